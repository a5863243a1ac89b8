"""What backends say of themselves, asked in a process of its own: their code never runs in the one that trades.

`python -m forecasters.worker.inquiry` is that process: a question on its standard input, one answer, then it ends. Only
the backend that a question is about is imported there; the menu alone asks all of them. Like the worker it is started
without keys and in a sandbox, and what comes back is bounded in size and time and checked before it is believed.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

from forecasters import registry
from forecasters.base import ForecastError
from forecasters.card import moment_of, plain
from forecasters.compiled.likeness import Tolerance
from forecasters.options import Checkpoint
from forecasters.registry import BackendInfo, Described, RegistryError, Resolved
from forecasters.worker.sandbox.policy import DEFAULT, Sandbox, started
from settings import children

ANSWER_S = 60.0
DOWNLOAD_S = 3600.0
MOST_BYTES = 2**20
MOST_ROUNDING = Tolerance(difference=0.02, agreement=0.95, sampling=4.0)
_LONGEST = 2000  # characters of one text
_NO_DESCRIPTION = "what the backend says of itself is no description"

Answer = Mapping[str, Any]


class WrongOptions(RegistryError):
    """An option that a backend does not have, or does not take."""


def lacking(
    name: str,
    options: Mapping[str, object] | None,
    given: Mapping[str, Mapping[str, object]],
    sandbox: Sandbox = DEFAULT,
) -> tuple[str, ...]:
    """What is missing here for the backend behind a name with these options; with None only `given` is looked at.

    given  options by backend as somebody wrote them, others' too; of other packages' only the chosen one's are judged
    Raises WrongOptions, RegistryError.
    """
    try:
        registry.check_names(given)
    except RegistryError as error:
        raise WrongOptions(error.reason) from error
    question = {"do": "lacking", "name": name, "options": _plain(options), "given": _plain(given)}
    answer = _asked(question, ANSWER_S, sandbox)
    return _texts(answer, "missing")


def menu(sandbox: Sandbox = DEFAULT) -> list[BackendInfo]:
    """Every backend with what it lacks here. Raises RegistryError."""
    return [_info(each) for each in _list(_asked({"do": "menu"}, ANSWER_S, sandbox), "menu")]


def describe(name: str, options: Mapping[str, object], sandbox: Sandbox = DEFAULT) -> Described:
    """As registry.describe. Raises ForecastError, RegistryError."""
    answer = _asked({"do": "describe", "name": name, "options": _plain(options)}, DOWNLOAD_S, sandbox)
    backend_options = answer.get("options")
    if not isinstance(backend_options, dict):
        raise RegistryError(_NO_DESCRIPTION)
    return Described(
        backend=_text(answer, "backend"),
        module=_text(answer, "module"),
        options=MappingProxyType(backend_options),
        checkpoint=_checkpoint(answer.get("checkpoint")),
        says_files=answer.get("says_files") is True,
        rounding=_rounding(answer.get("rounding")),
    )


def resolve(name: str, sandbox: Sandbox = DEFAULT) -> Resolved:
    """As registry.resolve. Who has a name of its own need not be asked. Raises RegistryError."""
    if name in registry.names():
        return registry.resolve(name)
    answer = _asked({"do": "resolve", "name": name}, ANSWER_S, sandbox)
    fixed = answer.get("fixed")
    if not isinstance(fixed, dict):
        raise RegistryError(_NO_DESCRIPTION)
    return Resolved(backend=_text(answer, "backend"), fixed=MappingProxyType(fixed))


def _checkpoint(told: object) -> Checkpoint | None:
    """Raises RegistryError."""
    if told is None:
        return None
    learned = told.get("learned_to") if isinstance(told, dict) else None
    if not isinstance(told, dict) or not isinstance(learned, dict):
        raise RegistryError(_NO_DESCRIPTION)
    try:
        learned_to = {_one_line(name): None if at is None else moment_of(at) for name, at in learned.items()}
    except (TypeError, ValueError) as error:
        raise RegistryError(f"{_NO_DESCRIPTION}: learned_to is not aware UTC times by symbol") from error
    files = tuple(Path(text) for text in _texts(told, "files"))
    return Checkpoint(label=_text(told, "label"), files=files, learned_to=learned_to)


def _rounding(told: object) -> Tolerance | None:
    """Never more than what rounding can do, whatever a backend says. Raises RegistryError."""
    if told is None:
        return None
    try:
        given = {name: float(told[name]) for name in ("difference", "agreement", "sampling")}  # type: ignore[index]
    except (KeyError, TypeError, ValueError) as error:
        raise RegistryError(f"{_NO_DESCRIPTION}: its rounding is no Tolerance") from error
    most = Tolerance(
        difference=min(given["difference"], MOST_ROUNDING.difference),
        agreement=max(given["agreement"], MOST_ROUNDING.agreement),
        sampling=min(given["sampling"], MOST_ROUNDING.sampling),
    )
    return most if math.isfinite(sum(given.values())) else MOST_ROUNDING


# ---- the asking side ----


def _asked(question: Mapping[str, Any], within_s: float, sandbox: Sandbox) -> Answer:
    """Raises WrongOptions, RegistryError, ForecastError."""
    what = str(question.get("name") or "the backends")
    command, more = started(
        children.python("forecasters.worker.inquiry"),
        sandbox,
        backend=str(question.get("name") or ""),
        options=question.get("options") or {},
        fetches=question["do"] == "describe",
    )
    try:
        folder = tempfile.mkdtemp(prefix="asked-", dir=children.temporary_folder())  # ours has others' sockets in it
        process = children.start(
            command,
            given=json.dumps(question).encode(),
            more={"TMPDIR": folder, **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            own_group=True,
        )
    except OSError as error:
        raise RegistryError(f"{what} could not be asked: {error}") from error
    try:
        said = _read(process, time.monotonic() + within_s)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # and what it started
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
        shutil.rmtree(folder, ignore_errors=True)
    if said is None:
        raise RegistryError(f"{what} did not say within {within_s:g} s, and in {MOST_BYTES} bytes, what it lacks")
    return _believed(said, what)


def _read(process: subprocess.Popen[bytes], until: float) -> bytes | None:
    """All that it says; None where that takes too long or is too much."""
    said = b""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while len(said) <= MOST_BYTES:
            if not selector.select(max(0.0, until - time.monotonic())):
                return None
            part = os.read(process.stdout.fileno(), 65536)
            if not part:
                return said
            said += part
    return None


def _believed(said: bytes, what: str) -> Answer:
    try:
        answer = json.loads(said)
    except (ValueError, RecursionError):
        raise RegistryError(f"{what} ended without saying what it lacks") from None
    if not isinstance(answer, dict):
        raise RegistryError(f"{what} said nothing that makes sense")
    for name, kind in (("wrong", WrongOptions), ("refused", RegistryError), ("failed", ForecastError)):
        if name in answer:
            raise kind(_text(answer, name))
    return answer


def _text(answer: Answer, name: str) -> str:
    return _one_line(answer.get(name))


def _texts(answer: Answer, name: str) -> tuple[str, ...]:
    return tuple(_one_line(each) for each in _list(answer, name))


def _list(answer: Answer, name: str) -> list[Any]:
    found = answer.get(name)
    if not isinstance(found, list):
        raise RegistryError(f"what the backend says of itself has no list {name!r}")
    return found[:1000]


def _one_line(text: object) -> str:
    printable = "".join(letter if letter.isprintable() else " " for letter in str(text)[:_LONGEST])
    return " ".join(printable.split())


def _info(told: object) -> BackendInfo:
    answer: Answer = told if isinstance(told, dict) else {}
    return BackendInfo(
        name=_text(answer, "name"),
        source=_text(answer, "source"),
        missing=_texts(answer, "missing"),
        aliases=_texts(answer, "aliases"),
        description=_text(answer, "description"),
        notes=_texts(answer, "notes"),
    )


def _plain(value: object) -> Any:
    """Mappings of any kind as JSON has them."""
    return {str(key): _plain(item) for key, item in value.items()} if isinstance(value, Mapping) else value


# ---- the answering side ----


def _lacking(question: Answer) -> Answer:
    name, options = question["name"], question["options"]
    registry.resolve(name)
    try:
        registry.check_given(question["given"], chosen=name)
    except RegistryError as error:
        return {"wrong": error.reason}
    return {"missing": [] if options is None else list(registry.lacking(name, options))}


def _menu(_question: Answer) -> Answer:
    names = ("name", "source", "missing", "aliases", "description", "notes")
    return {"menu": [{name: getattr(info, name) for name in names} for info in registry.available()]}


def _describe(question: Answer) -> Answer:
    found = registry.describe(question["name"], question["options"])
    checkpoint = found.checkpoint
    files = None if checkpoint is None else [str(file) for file in checkpoint.files]
    return {
        "backend": found.backend,
        "module": found.module,
        "options": dict(found.options),
        "checkpoint": None
        if checkpoint is None
        else {"label": checkpoint.label, "files": files, "learned_to": plain(checkpoint.learned_to)},
        "says_files": found.says_files,
        "rounding": None if found.rounding is None else asdict(found.rounding),
    }


def _resolve(question: Answer) -> Answer:
    found = registry.resolve(question["name"])
    return {"backend": found.backend, "fixed": dict(found.fixed)}


def _fetches(question: Answer) -> Answer:
    return {"fetches": registry.fetches(question["name"], question["options"])}


_ANSWERS: Mapping[str, Callable[[Answer], Answer]] = {
    "lacking": _lacking,
    "menu": _menu,
    "describe": _describe,
    "resolve": _resolve,
    "fetches": _fetches,
}


def main(_arguments: Sequence[str] = ()) -> int:
    question = json.load(sys.stdin)
    told = os.dup(1)
    os.dup2(2, 1)  # what a backend prints is no answer
    try:
        answer = _ANSWERS[question["do"]](question)
    except RegistryError as error:
        answer = {"refused": error.reason}
    except ForecastError as error:
        answer = {"failed": error.reason}
    with os.fdopen(told, "w", encoding="utf-8") as out:
        json.dump(answer, out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
