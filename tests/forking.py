"""Programs of ours that are forked from an interpreter which has imported everything already."""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tests.waiting import GENEROUS_S, eventually

ROOT = Path(__file__).parents[1]


class Zygote:
    """Of zygote.py. Whoever has it is the parent of what it starts."""

    def __init__(self) -> None:
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment,
        )
        self._turn = threading.Lock()
        assert self._answer() == {"ready": True}

    def start(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        output: Path,
        errors: Path,
        limits: Mapping[str, int] | None = None,
    ) -> int:
        """`trader ARGUMENTS` in `folder`, its output at the ends of the two files. Returns the process id."""
        request = {
            "arguments": list(arguments),
            "environment": dict(environment),
            "output": str(output),
            "errors": str(errors),
            "folder": str(folder),
            "limits": dict(limits or {}),
        }
        pid: int = self._ask({"start": request})["pid"]
        return pid

    def poll(self, pid: int) -> int | None:
        code: int | None = self._ask({"poll": pid})["code"]
        return code

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(GENEROUS_S)
        self._process.stdout.close()

    def _ask(self, request: object) -> dict[str, Any]:
        assert self._process.stdin is not None
        with self._turn:  # several scenes may be played at once
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the zygote has ended"
        found: dict[str, Any] = json.loads(line)
        return found


@cache
def shared_zygote() -> Zygote:
    """One for all tests of this process, begun by the first that asks."""
    zygote = Zygote()
    atexit.register(zygote.close)
    return zygote


class Forked:
    """What subprocess.Popen tells of a process, of one that the zygote started."""

    def __init__(self, zygote: Zygote, pid: int) -> None:
        self._zygote, self.pid = zygote, pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._zygote.poll(self.pid)
        return self.returncode

    def wait(self, timeout: float = GENEROUS_S) -> int:
        eventually(lambda: self.poll() is not None, f"the end of process {self.pid}", within_s=timeout, every_s=0.01)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)
