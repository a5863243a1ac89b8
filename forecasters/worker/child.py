"""The worker's own side: one backend behind a socket. Started by `python -m forecasters.worker`.

The main thread runs the backend, one job at a time (CUDA graphs belong to the thread that recorded them); one thread a
connection reads requests, answers `ping` by itself and passes the rest on. A job that is still running after its
limit ends the process from C, whatever the backend does: a restart is the parent's, or the service manager's, matter.
"""

from __future__ import annotations

import argparse
import ctypes
import faulthandler
import json
import logging
import math
import os
import queue
import resource
import signal
import socket
import stat
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from forecasters import registry
from forecasters.base import Forecaster, ForecastError, Upkeeping, account_of, notices_of
from forecasters.compiled.compile_report import CompileReport, Reporting, report_of_process
from forecasters.compiled.faults import breaks_the_device, in_words
from forecasters.compiled.forced import teacher_forced_of
from forecasters.deadline import answering, hurry, leisure
from forecasters.progress import Progress, listening
from forecasters.types import Context
from forecasters.worker import wire
from forecasters.worker.process import THREAD_VARIABLES
from forecasters.worker.sandbox.policy import advice
from forecasters.worker.wire import Frame, Header, WireError
from settings import children

_log = logging.getLogger("forecasters.worker")

EXIT_CONFIGURATION = 78
EXIT_OUT_OF_MEMORY = 71
UPKEEP_S = 900.0  # as for a warm-up
GRACE_S = 2.0  # after a job's limit: the caller has given up by then
HEARTBEAT_S = 1.0
_MAX_CONNECTIONS = 16
_PR_SET_PDEATHSIG = 1


@dataclass(slots=True)
class _Job:
    kind: str
    limit_s: float
    contexts: Sequence[Context] = ()
    asked_at: float = field(default_factory=time.monotonic)
    replies: queue.SimpleQueue[Frame] = field(default_factory=queue.SimpleQueue)
    sent: threading.Event = field(default_factory=threading.Event)


@dataclass(slots=True)
class _Counters:
    started_at: float = field(default_factory=time.monotonic)
    forecasts: int = 0
    failures: int = 0


class Server:
    """`create` makes the backend when it is first needed, in the main thread."""

    def __init__(
        self, name: str, create: Callable[[], Forecaster], threads: int | None, parent: int | None = None
    ) -> None:
        self._name = name
        self._parent = parent
        self._create = create
        self._threads = threads
        self._jobs: queue.Queue[_Job | None] = queue.Queue()
        self._counters = _Counters()
        self._forecaster: Forecaster | None = None
        self._busy_since: float | None = None

    def warm_up(self) -> None:
        """Build and warm up, once. Raises ForecastError, or whatever the backend does."""
        if self._forecaster is None:
            forecaster = self._create()
            if self._threads and "torch" in sys.modules:
                sys.modules["torch"].set_num_threads(self._threads)
            forecaster.warm_up()
            self._forecaster = forecaster

    def serve(self, listener: socket.socket) -> None:
        """Until SystemExit. Runs jobs in the calling thread."""
        threading.Thread(target=self._accept, args=(listener,), name="accept", daemon=True).start()
        while True:
            job = self._jobs.get()
            if job is None:
                continue
            faulthandler.dump_traceback_later(job.limit_s + GRACE_S, exit=True)
            reply = self._reply_to(job)
            faulthandler.cancel_dump_traceback_later()
            job.replies.put(reply)
            if reply.header.get("ends"):
                job.sent.wait(GRACE_S)
                raise SystemExit(EXIT_OUT_OF_MEMORY)
            self._keep_up()

    def _keep_up(self) -> None:
        """What the backend put off until the answer is out, in the thread that its graphs belong to."""
        forecaster: object = self._forecaster
        if not isinstance(forecaster, Upkeeping):
            return
        self._busy_since = time.monotonic()
        faulthandler.dump_traceback_later(UPKEEP_S, exit=True)
        try:
            with leisure():
                if self._jobs.empty():
                    forecaster.upkeep()
        except Exception:  # noqa: BLE001 - nobody waits for it; the next forecast will tell
            _log.exception("the backend's upkeep failed")
        faulthandler.cancel_dump_traceback_later()
        self._busy_since = None

    def wake_on_signals(self) -> None:
        """A signal that comes just before the main thread waits would not be handled until the next job: make one."""
        ours, kernels = socket.socketpair()
        kernels.setblocking(False)
        signal.set_wakeup_fd(kernels.detach(), warn_on_full_buffer=False)

        def wake() -> None:
            while ours.recv(1):
                self._jobs.put(None)

        threading.Thread(target=wake, name="signals", daemon=True).start()

    def close(self) -> None:
        if self._forecaster is not None:
            self._forecaster.close()

    def _reply_to(self, job: _Job) -> Frame:
        self._busy_since = time.monotonic()
        try:
            reply = self._run(job)
        except MemoryError:
            reply = _error("out of memory: the limit of the worker was reached", ends=True)
        except registry.RegistryError as error:
            reply = _error(error.reason, permanent=True)
        except ForecastError as error:
            reply = _error(error.reason)
        except Exception as error:  # noqa: BLE001 - whatever a backend raises costs one forecast, not the process
            _log.exception("the backend failed")
            broken = breaks_the_device(error)  # this process can use it no more, another one may
            said = in_words(error) if broken else f"the backend raised {error!r}"[:1900] + advice(error)
            reply = _error(said, ends=broken)
        reply = Frame({**reply.header, **self._notices()}, reply.arrays)
        self._busy_since = None
        self._counters.forecasts += job.kind == "forecast"
        self._counters.failures += reply.header["kind"] == "error"
        return reply

    def _notices(self) -> Header:
        try:
            return wire.pack_notices(notices_of(self._forecaster))
        except Exception:  # noqa: BLE001 - what a backend says of itself is worth no forecast
            _log.exception("the backend's notices failed")
            return {}

    def _run(self, job: _Job) -> Frame:
        with listening(lambda progress: job.replies.put(_progress(progress))):
            self.warm_up()
        if job.kind == "warm_up" or self._forecaster is None:
            return Frame({"kind": "ok"})
        until = job.asked_at + job.limit_s
        if time.monotonic() >= until:
            raise ForecastError("its time had passed before it was begun")
        with answering(until):
            if job.kind == "teacher_forced":
                packed = wire.pack_forced(teacher_forced_of(self._forecaster, job.contexts))
            else:
                packed = wire.pack_forecasts(self._forecaster.forecast(job.contexts))
        return Frame({**packed.header, **self._account(job), "kind": "ok"}, packed.arrays)

    def _account(self, job: _Job) -> Header:
        if job.kind != "forecast":
            return {}
        try:
            return wire.pack_account(account_of(self._forecaster), [context.symbol for context in job.contexts])
        except Exception:  # noqa: BLE001 - what a backend says of its forecasts is worth none of them
            _log.exception("what the backend says of its forecasts is of another kind")
            return {}

    def _accept(self, listener: socket.socket) -> None:
        free = threading.BoundedSemaphore(_MAX_CONNECTIONS)
        while True:
            connection, _ = listener.accept()
            if not free.acquire(blocking=False):
                connection.close()
                continue
            threading.Thread(target=self._converse, args=(connection, free), name="connection", daemon=True).start()

    def _converse(self, connection: socket.socket, free: threading.BoundedSemaphore) -> None:
        with connection:
            try:
                while True:
                    request = wire.receive(connection, math.inf)
                    self._answer(connection, request)
            except WireError as error:
                _log.debug("connection ended: %s", error.reason)
            finally:
                free.release()
        if self._parent is not None and os.getppid() != self._parent:
            os.kill(os.getpid(), signal.SIGKILL)  # a backend may have made us deaf to the kernel's word

    def _answer(self, connection: socket.socket, request: Frame) -> None:
        number, kind = request.header.get("id"), request.header.get("kind")

        def say(frame: Frame) -> None:
            wire.send(connection, Frame({**frame.header, "id": number}, frame.arrays), time.monotonic() + 60)

        if kind == "ping":
            say(Frame({"kind": "ok", "health": self._health()}))
        elif kind in ("warm_up", "forecast", "teacher_forced"):
            try:
                job = _Job(kind, _limit(request.header), wire.unpack_contexts(request) if kind != "warm_up" else ())
            except ForecastError as error:
                say(_error(error.reason))
                return
            self._jobs.put(job)
            hurry(job.asked_at + job.limit_s)
            _pass_on(job, say)
        else:
            say(_error(f"no request is called {str(kind)[:40]!r}"))

    def _compiled(self) -> CompileReport:
        forecaster: object = self._forecaster
        return forecaster.report() if isinstance(forecaster, Reporting) else report_of_process()

    def _health(self) -> Header:
        now, busy = time.monotonic(), self._busy_since
        return {
            "backend": self._name,
            "pid": os.getpid(),
            "rss_bytes": int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize(),
            "uptime_s": now - self._counters.started_at,
            "warm": self._forecaster is not None,
            "busy_s": 0.0 if busy is None else now - busy,
            "forecasts": self._counters.forecasts,
            "failures": self._counters.failures,
            "compile": self._compiled().as_plain(),
        }


def _pass_on(job: _Job, say: Callable[[Frame], None]) -> None:
    """Send the job's progress, a heartbeat each second, then its reply."""
    while True:
        try:
            frame = job.replies.get(timeout=HEARTBEAT_S)
        except queue.Empty:
            frame = _progress(Progress(text=""))
        try:
            say(frame)
        finally:
            if frame.header["kind"] != "progress":
                job.sent.set()
        if frame.header["kind"] != "progress":
            return


def _progress(progress: Progress) -> Frame:
    return Frame({"kind": "progress", "text": progress.text[:500], "share": progress.share})


def _error(reason: str, *, permanent: bool = False, ends: bool = False) -> Frame:
    return Frame({"kind": "error", "reason": reason, "permanent": permanent, "ends": ends})


def _limit(header: Header) -> float:
    limit = header.get("limit_s")
    if not isinstance(limit, (int, float)) or not 0 < limit < 1e6:
        raise WireError(f"a request with a limit of {limit!r} s")
    return float(limit)


def main(arguments: Sequence[str]) -> int:
    """Serve until SIGTERM. Without --parent, as a service: warm up first, then tell the service manager READY."""
    parsed = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    _with_threads(parsed.threads, arguments)
    if parsed.parent is not None:
        _die_with(parsed.parent)
    if parsed.memory_limit is not None:
        resource.setrlimit(resource.RLIMIT_AS, (parsed.memory_limit, parsed.memory_limit))
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _end)
    options = json.loads(_given(parsed.options_file))
    server = Server(parsed.backend, lambda: registry.build(parsed.backend, options), parsed.threads, parsed.parent)
    server.wake_on_signals()
    try:
        with _listening(parsed.socket, mode=0o600 if parsed.parent else 0o660) as listener:
            if parsed.parent is None:
                server.warm_up()
                notify(f"READY=1\nSTATUS=backend {parsed.backend} is warm")
            server.serve(listener)
    except registry.RegistryError as error:
        print(f"{parsed.backend}: {error.reason}", file=sys.stderr)
        return EXIT_CONFIGURATION
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)  # ending already: a second word would only break it off
        notify("STOPPING=1")
        parsed.socket.unlink(missing_ok=True)
        server.close()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m forecasters.worker", description=__doc__.partition("\n")[0])
    parser.add_argument("--socket", type=Path, required=True, help="path of the AF_UNIX socket to listen on")
    parser.add_argument("--backend", required=True, help="a name that `trader backends` lists")
    parser.add_argument("--options-file", help="the backend's options, a JSON object; - is the standard input")
    parser.add_argument("--threads", type=int, help="threads of numerical libraries")
    parser.add_argument(
        "--memory-limit", type=int, help="address space in bytes (not for CUDA, which reserves far more)"
    )
    parser.add_argument("--parent", type=int, help="process to die with")
    return parser


def _given(file: str | None) -> str:
    """The options, never in an argument: `ps` shows those to every user."""
    if file != "-":
        return Path(file).read_text(encoding="utf-8") if file else "{}"
    text = sys.stdin.read()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # read once
    return text


def _with_threads(threads: int | None, arguments: Sequence[str]) -> None:
    """Numerical libraries read their thread counts when they are loaded, which has already happened: start over."""
    if threads and os.environ.get(THREAD_VARIABLES[0]) != str(threads):
        again = children.python("forecasters.worker", *arguments)
        children.become(again, more={**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads))})


def _die_with(parent: int) -> None:
    """SIGHUP from the kernel when the parent ends, and at once where it already has.

    It ends us like SIGKILL, also when the parent ignored it, but compiled code is not suspected for it (see marker.py).
    """
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGHUP, 0, 0, 0)
    if os.getppid() != parent:
        raise SystemExit("the parent is gone")


_signals: list[int] = []


def _end(number: int, _frame: object) -> None:
    """Once: a second signal while the first one's exit unwinds would end it with a traceback."""
    _signals.append(number)
    if len(_signals) == 1:
        raise SystemExit(0)


def _listening(path: Path, mode: int) -> socket.socket:
    """Bind and listen. A socket left behind by one that was killed is removed; anything else at `path` is not."""
    if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    old = os.umask(0o777 & ~mode)
    try:
        listener.bind(str(path))
    finally:
        os.umask(old)
    listener.listen(_MAX_CONNECTIONS)
    return listener


def notify(text: str) -> None:
    """Tell the service manager, where there is one: a datagram to $NOTIFY_SOCKET."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as messenger:
            messenger.connect(address.replace("@", "\0", 1) if address.startswith("@") else address)
            messenger.sendall(text.encode())
