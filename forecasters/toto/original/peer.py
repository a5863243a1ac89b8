"""The other end of `worker`: a model of the published packages that can be asked.

with Peer(python, folder, generation=2) as peer:
    answer = peer.forecast(series, mask, horizon=64)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecasters.base import ForecastError
from settings import children

WORKER = Path(__file__).with_name("worker.py")
_PACKAGES = ("", "toto2", "dd_unit_scaling")  # in a checkout of the original's repository


class PeerFailed(ForecastError):
    """The process with the published packages ended or can't start; the message has the end of what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """found is None where it was not asked for; seconds one for each repeat; MB of the whole process."""

    found: NDArray[np.float32] | None
    seconds: tuple[float, ...]
    peak_mb: float
    now_mb: float


def command_for(place: Path) -> tuple[list[str], dict[str, str]]:
    """How to start a worker, and its environment: `place` is a Python, a virtual environment, or a folder of packages.

    Raises PeerFailed where it is none of these.
    """
    environment: dict[str, str] = {}
    inside = place / "bin" / "python"
    if place.is_file() or inside.is_file():
        return [str(place if place.is_file() else inside), str(WORKER)], environment
    if not place.is_dir():
        raise PeerFailed(f"{place} is neither a Python nor a folder: name one that has the packages toto-2 and toto-ts")
    environment["PYTHONPATH"] = os.pathsep.join(str(place / name) for name in _PACKAGES)
    return [sys.executable, str(WORKER)], environment


class Worker:
    """A process that speaks the worker's protocol."""

    def __init__(self, command: Sequence[str], environment: dict[str, str], *, load: dict[str, Any]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="toto-peer-")
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        self._command = " ".join(command)
        self._process = children.start(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True, more=environment
        )
        self.load_mb = float(self.ask({"do": "load"} | load)["now_mb"])

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()
        self._log.close()
        self._folder.cleanup()

    def memory(self) -> tuple[float, float]:
        """MB: the most so far, and now."""
        answer = self.ask({"do": "memory"})
        return answer["peak_mb"], answer["now_mb"]

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Raises PeerFailed where no answer comes."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            print(json.dumps(request), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._process.wait()
            self._log.seek(0)
            raise PeerFailed(f"{self._command} ended: ...{self._log.read()[-1500:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def forecast(
        self,
        series: NDArray[np.float32],
        mask: NDArray[np.bool_],
        horizon: int,
        *,
        groups: Sequence[int] | None = None,
        samples: int | None = None,
        at_once: int | None = None,
        seed: int = 0,
        block: int | None = None,
        repeats: int = 1,
        keep: bool = False,
        limits: bool = True,
        together: bool = False,
    ) -> Answer:
        """keep: whether the numbers are wanted, of the last repeat. together: see `Toto.sample`; of ours alone."""
        ids = np.zeros(len(series), dtype=np.int64) if groups is None else np.asarray(groups, dtype=np.int64)
        inputs, outputs = (Path(self._folder.name, name) for name in ("inputs.npz", "outputs.npz"))
        np.savez(inputs, series=series, mask=mask, groups=ids)
        request = {"do": "forecast", "inputs": str(inputs), "horizon": horizon, "samples": samples, "seed": seed}
        request |= {
            "block": block,
            "repeats": repeats,
            "limits": limits,
            "outputs": str(outputs) if keep else None,
            "at_once": at_once,
            "together": together,
        }
        answer = self.ask(request)
        numbers = None
        if keep:
            with np.load(outputs) as arrays:
                numbers = arrays["found"]
        return Answer(
            found=numbers, seconds=tuple(answer["seconds"]), peak_mb=answer["peak_mb"], now_mb=answer["now_mb"]
        )


def original(place: Path, folder: Path, *, generation: int, compile: bool = False, threads: int = 1) -> Worker:
    """The published packages with the checkpoint in `folder`. Raises PeerFailed."""
    command, environment = command_for(place)
    load = {"folder": str(folder), "generation": generation, "compile": compile, "threads": threads}
    return Worker(command, environment, load=load)


def ours(
    folder: Path,
    *,
    generation: int,
    compile: bool,
    threads: int,
    bars: int,
    horizons: Sequence[int],
    variates: Sequence[int],
    dtype: str = "float32",
    cache: Path | None = None,
) -> Worker:
    """Our own model with the checkpoint in `folder`, in a process of its own.

    bars, horizons, variates  what is prepared where it is compiled
    cache                     the compiler's folder; an empty one makes it compile from nothing
    """
    environment = {"TORCHINDUCTOR_CACHE_DIR": str(cache)} if cache is not None else {}
    load = {"folder": str(folder), "generation": generation, "compile": compile, "threads": threads, "bars": bars}
    load |= {"horizons": list(horizons), "variates": list(variates), "dtype": dtype}
    return Worker(children.python("forecasters.toto.original.ours"), environment, load=load)
