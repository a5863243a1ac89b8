"""What a stored forecast depends on. A key that leaves something out would answer one arm with another arm's forecasts.

Two parts: `ForecastKey` is the backend as it runs here, the same for a whole sweep; `Question` is one context of it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from forecasters import registry
from forecasters.base import ForecastError
from forecasters.types import Context
from forecasters.worker import inquiry
from forecasters.worker.sandbox.policy import DEFAULT, Sandbox
from settings import children

EAGER = "eager"
NUMERIC_PACKAGES = ("numpy", "torch", "triton")
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
    code          hash of the backend's source files
    libraries     versions of the packages that do the arithmetic
    paths         whether the sampled paths are kept
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


def key_of(name: str, options: Mapping[str, object], *, paths: bool = True, sandbox: Sandbox = DEFAULT) -> ForecastKey:
    """Of a backend or alias with these options, without running it; its checkpoint may be downloaded.

    Raises ForecastError where it can't run here.
    """
    description = inquiry.describe(name, options, sandbox)
    values = description.options
    is_compiled = values.get("compile") is True
    checkpoint = description.checkpoint
    return ForecastKey(
        backend=description.backend,
        model=checkpoint.label if checkpoint else str(values.get("model_id", description.backend)),
        weights=hash_of_files(checkpoint.files) if checkpoint else "",
        dtype=str(values.get("dtype", "")),
        device=device_kind(str(values.get("device", "cpu"))),
        compile_mode=f"{values.get('compile_mode')} by {values.get('compile_backend')}" if is_compiled else EAGER,
        sampling=json.dumps({k: v for k, v in values.items() if k not in _APART}, sort_keys=True),
        seed=str(values.get("seed", "")),
        code=hash_of_files(source_files(description.backend, description.module)),
        libraries=", ".join(f"{package} {_version(package)}" for package in NUMERIC_PACKAGES),
        paths=paths,
    )


def source_files(backend: str, module: str) -> list[Path]:
    """The code that makes a backend's forecasts: its module, and the package around it.

    Of our own, all that is not another backend's: what a family shares with the rest may be anywhere in there.
    """
    top = module.partition(".")[0]
    spec = importlib.util.find_spec(module if top == module else top)
    if spec is None:
        raise ForecastError(f"the code of backend {backend!r} ({module}) can't be found: install it again")
    folders = [Path(place) for place in spec.submodule_search_locations or ()]
    files = [file for folder in folders for file in folder.rglob("*.py")] or [Path(spec.origin or "")]
    if top != "forecasters":
        return sorted(files)
    other_backends = set(registry.names()) - {backend}
    return sorted(file for file in files if not _is_of(file.relative_to(folders[0]), other_backends))


def _is_of(file: Path, names: Iterable[str]) -> bool:
    """Whether a file below `forecasters` is one backend's own: backends/NAME.py, or in the folder NAME."""
    own = file.parts[0] if len(file.parts) > 1 and file.parts[0] != "backends" else file.stem
    return own in names


def hash_of_files(files: Iterable[Path]) -> str:
    """Over names and contents. Raises ForecastError where one can't be read."""
    digest = hashlib.blake2b(digest_size=16)
    for file in sorted(files):
        digest.update(file.name.encode() + b"\0")
        try:
            with file.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
        except OSError as error:
            raise ForecastError(f"{file} can't be read: {error.strerror}") from error
    return digest.hexdigest()


def device_kind(device: str) -> str:
    """What `device` means here: two GPUs of different kinds round differently, and so do two kinds of processor."""
    name = "cpu" if device == "cpu" else _gpu_name()
    return f"cpu {platform.machine()}" if name == "cpu" else name


@cache
def _gpu_name() -> str:
    """Asked in a process of its own: this one never imports torch. "cpu" where there is no GPU, or no torch."""
    done = children.run(children.script(_PROBE))
    return done.stdout.strip() if done.returncode == 0 and done.stdout.strip() else "cpu"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
