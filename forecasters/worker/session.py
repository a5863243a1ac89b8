"""One life of a worker, seen from outside: its process, two connections to it, questions and answers."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import math
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from forecasters.base import ForecastError, Notice
from forecasters.compiled.compile_report import CompileReport
from forecasters.progress import Listener, Progress
from forecasters.worker import wire
from forecasters.worker.process import WorkerProcess
from forecasters.worker.sandbox.policy import DEFAULT, Sandbox
from forecasters.worker.wire import Frame, Header, Most, WireError
from settings import children

_log = logging.getLogger(__name__)

CONNECT_S = 30.0  # from the start of the child to its socket: an interpreter and its imports, on a busy machine
STOP_S = 2.0
_LOOK_AGAIN_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """`socket_path` names the socket of a worker that runs as a service of its own; None starts a child."""

    backend: str
    options: Mapping[str, object] = field(default_factory=dict)
    socket_path: Path | None = None
    deadline_s: float = 10.0
    warm_up_deadline_s: float = 900.0
    backoff_first_s: float = 0.5
    backoff_last_s: float = 60.0
    threads: int | None = None
    memory_limit_bytes: int | None = None  # address space; leave it out for CUDA
    python: str = sys.executable
    sandbox: Sandbox = DEFAULT  # of a child; a service has its unit's

    def __post_init__(self) -> None:
        json.dumps(dict(self.options))  # TypeError now, to whoever wrote them, rather than later in a thread


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What the worker says of itself."""

    backend: str
    pid: int
    rss_bytes: int
    uptime_s: float
    warm: bool
    busy_s: float  # how long its present job has been running, 0 where there is none
    forecasts: int
    failures: int
    compile: CompileReport | None = None  # of its compiled backend, else of the process


class Declined(ForecastError):
    """The worker answered that it has no forecast. `ends`: and is about to exit. `permanent`: nor will it ever."""

    def __init__(self, reply: Header) -> None:
        super().__init__(str(reply.get("reason", "no reason given"))[: wire.LONGEST_TEXT])
        self.ends = reply.get("ends") is True
        self.permanent = reply.get("permanent") is True
        self.notices = wire.unpack_notices(reply)


class Session:
    """One life of the worker: its process, where we started it, and two connections, for jobs and for pings."""

    def __init__(
        self,
        settings: WorkerSettings,
        on_log: Callable[[str], None] | None,
        on_notice: Callable[[Notice], None] = lambda notice: None,
    ) -> None:
        self._settings = settings
        self._on_notice = on_notice
        self._on_log = on_log
        self._process: WorkerProcess | None = None
        self._folder: Path | None = None
        self._connections: list[socket.socket] = []
        self._numbers = itertools.count(1)
        self._pinging = threading.Lock()

    def open(self, *, on_exit: Callable[[], None], is_wanted: Callable[[], bool]) -> None:
        """Raises ForecastError."""
        deadline = time.monotonic() + CONNECT_S
        path = self._settings.socket_path
        if path is not None:
            self._connections = [_connected(path, deadline, is_wanted), _connected(path, deadline, is_wanted)]
            return
        # What it writes in passing goes there too, and is gone with it.
        self._folder = Path(tempfile.mkdtemp(prefix="worker-", dir=children.temporary_folder()))
        path = self._folder / "worker.sock"
        self._process = process = WorkerProcess(
            backend=self._settings.backend,
            options=self._settings.options,
            socket_path=path,
            threads=self._settings.threads,
            memory_limit_bytes=self._settings.memory_limit_bytes,
            python=self._settings.python,
            sandbox=self._settings.sandbox,
            on_log=self._on_log,
            on_exit=on_exit,
        )
        alive = lambda: is_wanted() and not process.has_ended  # noqa: E731
        try:
            self._connections = [_connected(path, deadline, alive), _connected(path, deadline, alive)]
        except WireError as error:
            raise ForecastError(f"start: {self.exit_reason() or error.reason}") from error

    def ask(
        self,
        kind: str,
        request: Frame,
        limit_s: float,
        deadline: float,
        *,
        listener: Listener | None,
        most: Most = wire.NO_FORECAST,
    ) -> Frame:
        """`most`: how large the answer may be. Raises WireTimeout, WireError, Declined."""
        try:
            number = next(self._numbers)
            reply = _exchange(self._connections[0], number, kind, request, limit_s, deadline, listener, most)
        except Declined as declined:
            self._hear(declined.notices)
            raise
        self._hear(wire.unpack_notices(reply.header))
        return reply

    def _hear(self, notices: Sequence[Notice]) -> None:
        for notice in notices:
            self._on_notice(notice)

    def ping(self, deadline: float) -> Health:
        with self._pinging:
            number = next(self._numbers)
            reply = _exchange(self._connections[1], number, "ping", Frame({}), 1.0, deadline, None, wire.NO_FORECAST)
        health = reply.header.get("health")
        try:
            said = {name: health[name] for name in Health.__slots__ if name != "compile"}  # type: ignore[index]
            if not all(isinstance(value, str if name == "backend" else int | float) for name, value in said.items()):
                raise TypeError
            return Health(**said, compile=CompileReport.from_plain(health.get("compile")))  # type: ignore[union-attr]
        except (KeyError, TypeError) as error:
            raise WireError("garbage on the socket: no health") from error

    def exit_reason(self) -> str | None:
        return self._process.exit_reason(patience_s=1.0) if self._process is not None else None

    def kill(self) -> None:
        """At once, without waiting. A service that we did not start ends by itself soon after its limit."""
        if self._process is not None:
            self._process.kill()
        self._hang_up()

    def end(self) -> None:
        """In good order; idempotent."""
        if self._process is not None:
            self._process.stop(STOP_S)
        self._hang_up()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)  # follows no link that a backend left

    def _hang_up(self) -> None:
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)  # wakes a thread that reads; close alone would not
            connection.close()


def _exchange(
    connection: socket.socket,
    number: int,
    kind: str,
    request: Frame,
    limit_s: float,
    deadline: float,
    listener: Listener | None,
    most: Most,
) -> Frame:
    wire.send(
        connection, Frame({**request.header, "id": number, "kind": kind, "limit_s": limit_s}, request.arrays), deadline
    )
    while True:
        reply = wire.receive(connection, deadline, most)
        answers = reply.header.get("id")
        if type(answers) is int and answers < number:
            continue  # too late for whoever asked that
        if answers != number:
            raise WireError("garbage on the socket: an answer to another question")
        match reply.header.get("kind"):
            case "progress":
                _tell(listener, reply.header)
            case "ok":
                return reply
            case "error":
                raise Declined(reply.header)
            case other:
                raise WireError(f"garbage on the socket: a reply of kind {str(other)[:40]!r}")


def _tell(listener: Listener | None, header: Header) -> None:
    if listener is None:
        return
    given = header.get("share")
    share = float(min(max(given, 0), 1)) if isinstance(given, (int, float)) and abs(given) < math.inf else None
    try:
        listener(Progress(text=str(header.get("text", ""))[: wire.LONGEST_TEXT], share=share))
    except Exception:  # noqa: BLE001 - a broken progress bar must not stop the start
        _log.exception("the progress callback failed")


def _connected(path: Path, deadline: float, is_wanted: Callable[[], bool]) -> socket.socket:
    """Wait for the socket to be there. Raises WireError where it is not in time, or no longer wanted."""
    while is_wanted() and time.monotonic() < deadline:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            connection.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            time.sleep(_LOOK_AGAIN_S)
        except OSError as error:
            connection.close()
            raise WireError(f"{path}: {error}") from error
        else:
            return connection
    raise WireError(f"no worker listens on {path}")
