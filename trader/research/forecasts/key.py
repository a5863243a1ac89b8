"""What a stored forecast depends on. A key that leaves something out would answer one arm with another arm's forecasts.

Two parts: `ForecastKey` is the backend as it runs here, the same for a whole sweep; `Question` is one context of it.
"""

from __future__ import annotations

import hashlib
import json
import platform
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cache

from forecasters.base import ForecastError
from forecasters.card import UNKNOWN, Learned
from forecasters.compiled.likeness import Tolerance
from forecasters.registry import Described
from forecasters.types import Context
from forecasters.worker import inquiry
from forecasters.worker.sandbox.policy import DEFAULT, Sandbox
from settings import children
from trader.research.forecasts.sources_of import TooMuch, hash_of_files, libraries_of, named_files, source_files

EAGER = "eager"
_THIS_TIME = secrets.token_hex(8)
_APART = frozenset(
    {"model_id", "tokenizer_id", "dtype", "device", "seed", "compile", "compile_mode", "compile_backend", "guard"}
)
_PROBE = "import torch; print(torch.cuda.get_device_name(0) if torch.cuda.is_available() else 'cpu')"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastKey:
    """A backend as it runs here. Every field changes its forecasts; `digest` is over all of them.

    model         its id with the revision, as the records name it
    weights       hash of the checkpoint's files; empty for a backend without one
    device        "cpu" with the machine's kind, or the GPU's name
    compile_mode  "eager", or the mode and the compiler
    sampling      all other options, as JSON: samples, temperature, levels ...
    code          hash of the backend's own files, and of ours that it uses
    libraries     versions of what it imports
    paths         whether the sampled paths are kept
    files         what its options name, with a hash of each content
    once          where nothing says what changes its forecasts, a text of this process alone
    """

    backend: str
    model: str
    weights: str
    dtype: str
    device: str
    compile_mode: str
    sampling: str
    seed: str
    code: str
    libraries: str
    paths: bool = True
    files: str = ""
    once: str = ""

    @property
    def digest(self) -> str:
        return hashlib.blake2b(json.dumps(asdict(self), sort_keys=True).encode(), digest_size=12).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One context. `data` is a hash of its bars and of the times to forecast."""

    series: str
    origin: datetime
    horizon: int
    data: str


def question_of(context: Context) -> Question:
    digest = hashlib.blake2b(digest_size=16)
    for array in (context.times, context.values, context.future_times):
        digest.update(str(array.shape).encode())
        digest.update(array.tobytes())
    return Question(
        series=context.series, origin=context.asof, horizon=len(context.future_times), data=digest.hexdigest()
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownBackend:
    """A backend as it runs here, and what it says of itself.

    unkept      why its forecasts are not stored, one line; empty where they are
    learned_to  as forecasters.options.Checkpoint
    rounding    how far a forecast may differ with the size of its batch; None: not at all
    """

    key: ForecastKey
    unkept: str = ""
    learned_to: Learned = field(default_factory=lambda: UNKNOWN)
    rounding: Tolerance | None = None


def known_backend(
    name: str, options: Mapping[str, object], *, paths: bool = True, sandbox: Sandbox = DEFAULT
) -> KnownBackend:
    """A backend or alias with these options, without running it; its checkpoint may be downloaded.

    Raises ForecastError where it can't run here.
    """
    description = inquiry.describe(name, options, sandbox)
    values = description.options
    is_compiled = values.get("compile") is True
    checkpoint = description.checkpoint
    files, unkept = _named(description)
    code = source_files(description.backend, description.module)
    libraries = libraries_of(code, description.module)
    key = ForecastKey(
        backend=description.backend,
        model=checkpoint.label if checkpoint else str(values.get("model_id", description.backend)),
        weights=hash_of_files(checkpoint.files) if checkpoint else "",
        dtype=str(values.get("dtype", "")),
        device=device_kind(str(values.get("device", "cpu"))),
        compile_mode=f"{values.get('compile_mode')} by {values.get('compile_backend')}" if is_compiled else EAGER,
        sampling=json.dumps({k: v for k, v in values.items() if k not in _APART}, sort_keys=True),
        seed=str(values.get("seed", "")),
        code=hash_of_files(code),
        libraries=", ".join(f"{package} {text}" for package, text in libraries.items()),
        paths=paths,
        files=files,
        once=_THIS_TIME if unkept else "",
    )
    return KnownBackend(key=key, unkept=unkept, learned_to=_learned_to(description), rounding=description.rounding)


def _learned_to(description: Described) -> Learned:
    """Without files there is nothing that could have learned; one that does not speak of them may have any."""
    if description.checkpoint is not None:
        return description.checkpoint.learned_to
    return {} if description.says_files else UNKNOWN


def key_of(name: str, options: Mapping[str, object], *, paths: bool = True, sandbox: Sandbox = DEFAULT) -> ForecastKey:
    """The key of `known_backend`. Raises ForecastError."""
    return known_backend(name, options, paths=paths, sandbox=sandbox).key


def _named(description: Described) -> tuple[str, str]:
    """A hash of the files that its options name, and why its forecasts can't be kept; either may be empty."""
    if not description.says_files:
        return "", "it does not say which files change them: give it checkpoint(options)"
    ours = description.module.startswith("forecasters.")  # its checkpoint is what its model_id names
    apart = ("guard", "model_id") if ours else ()
    values = {name: value for name, value in description.options.items() if name not in apart}
    try:
        files = named_files(values)
        return "; ".join(f"{text} {hash_of_files(found)}" for text, found in files.items()), ""
    except (TooMuch, ForecastError) as error:
        return "", f"what its options name can't be hashed: {error}"


def device_kind(device: str) -> str:
    """What `device` means here: two GPUs of different kinds round differently, and so do two kinds of processor."""
    name = "cpu" if device == "cpu" else _gpu_name()
    return f"cpu {platform.machine()}" if name == "cpu" else name


@cache
def _gpu_name() -> str:
    """Asked in a process of its own: this one never imports torch. "cpu" where there is no GPU, or no torch."""
    done = children.run(children.script(_PROBE))
    return done.stdout.strip() if done.returncode == 0 and done.stdout.strip() else "cpu"
