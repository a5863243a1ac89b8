"""The operating-system side of a spawned worker: start it, watch it end, kill it with all that it started."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from forecasters.base import ForecastError
from forecasters.worker.sandbox.policy import Sandbox, started
from settings import children

_log = logging.getLogger(__name__)

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_LONGEST_LINE = 8192
_LAST_NOTE_S = 2.0


class WorkerProcess:
    """A child in its own process group.

    It asks the kernel to be killed when the thread that started it ends, so that thread must outlive it.
    """

    def __init__(
        self,
        *,
        backend: str,
        options: Mapping[str, object],
        socket_path: Path,
        threads: int | None,
        memory_limit_bytes: int | None,
        python: str,
        sandbox: Sandbox,
        on_log: Callable[[str], None] | None,
        on_exit: Callable[[], None],
    ) -> None:
        """Raises ForecastError where it can't be started. `on_exit` is called from a thread, once.

        The folder of the socket is the child's temporary one.
        """
        command = children.python("forecasters.worker", "--socket", str(socket_path), interpreter=python)
        command += ["--backend", backend, "--options-file", "-", "--parent", str(os.getpid())]
        command += ["--threads", str(threads)] if threads else []
        command += ["--memory-limit", str(memory_limit_bytes)] if memory_limit_bytes else []
        more = {"TMPDIR": str(socket_path.parent)} | (dict.fromkeys(THREAD_VARIABLES, str(threads)) if threads else {})
        command, policy = started(command, sandbox, backend=backend, options=options, fetches=True)
        try:
            self._process = children.start(
                command,
                given=json.dumps(dict(options)).encode(),  # they may hold a secret
                more=more | policy,
                stdout=subprocess.PIPE if on_log else 2,  # the parent's standard output is not ours to write on
                stderr=subprocess.STDOUT if on_log else None,
                own_group=True,
            )
        except OSError as error:
            raise ForecastError(f"the worker could not be started: {error}") from error
        self._reaping = threading.Lock()
        self._stopping = threading.Lock()
        self._ended = threading.Event()
        if on_log is not None and self._process.stdout is not None:
            _background(_drain, self._process.stdout, on_log)
        _background(self._watch, on_exit)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._ended.is_set()

    def kill(self) -> None:
        """SIGKILL to the whole group. Returns at once; safe at any time and from any thread."""
        self._signal_group(signal.SIGKILL)

    def stop(self, patience_s: float) -> None:
        """SIGTERM, then SIGHUP, which is noted whatever it is doing, then SIGKILL for what is still there.

        One caller at a time, the others wait for it: a second SIGHUP would end the child before it has noted the first.
        """
        with self._stopping:
            self._signal_group(signal.SIGTERM)
            self._ended.wait(patience_s)
            self._signal_group(signal.SIGHUP)
            self._ended.wait(_LAST_NOTE_S)
            self.kill()
            self._ended.wait(patience_s)

    def exit_reason(self, patience_s: float) -> str | None:
        """Why it ended, in words; None where it still runs after `patience_s`."""
        if not self._ended.wait(patience_s):
            return None
        code = self._process.returncode
        if code >= 0:
            return f"the worker ended with status {code}"
        cause = " (out of memory?)" if -code == signal.SIGKILL else ""
        return f"the worker was killed by {signal.Signals(-code).name}{cause}"

    def _signal_group(self, number: signal.Signals) -> None:
        with self._reaping:  # once it is reaped its number may belong to someone else
            if self._process.returncode is None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, number)

    def _watch(self, on_exit: Callable[[], None]) -> None:
        os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        self.kill()  # what it started goes with it
        with self._reaping:
            self._process.wait()
        self._ended.set()
        on_exit()


def _background(function: Callable[..., None], *arguments: object) -> None:
    threading.Thread(target=function, args=arguments, name=f"worker {function.__name__}", daemon=True).start()


def _drain(stream: IO[bytes], on_log: Callable[[str], None]) -> None:
    """Read to the end whatever happens: a pipe that nobody empties stops the writer."""
    with stream:
        while line := stream.readline(_LONGEST_LINE):
            try:
                on_log(line.decode(errors="replace").rstrip())
            except Exception:  # noqa: BLE001 - the pipe must be emptied whatever the callback does
                _log.exception("the log callback failed")
