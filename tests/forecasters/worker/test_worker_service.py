"""The worker as a service of its own: it says when it is ready, serves client after client, and ends by itself."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from forecasters.base import ForecastError
from forecasters.progress import Progress
from forecasters.worker import wire
from forecasters.worker.client import Worker, WorkerSettings
from forecasters.worker.wire import Frame, WireError
from tests.forecasters.support import context, install_oddities
from tests.waiting import GENEROUS_S


class Service:
    """`python -m forecasters.worker` with a notification socket, as systemd would start it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "worker.sock"
        self._folder = folder
        self._notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notices.bind(str(folder / "notify"))
        self._notices.settimeout(GENEROUS_S)
        self.process: subprocess.Popen[bytes] | None = None
        install_oddities(folder / "site")

    def start(self, backend: str, *more: str, options: str = "{}") -> None:
        environment = {
            **os.environ,
            "NOTIFY_SOCKET": str(self._folder / "notify"),
            "PYTHONPATH": str(self._folder / "site"),
        }
        command = [sys.executable, "-m", "forecasters.worker", "--socket", str(self.path), "--backend", backend]
        given = self._folder / "options.json"
        given.write_text(options)
        command += ["--options-file", str(given)]
        self.process = subprocess.Popen([*command, *more], env=environment, stderr=subprocess.DEVNULL)

    def notice(self) -> str:
        return self._notices.recv(4096).decode()

    def end(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(GENEROUS_S)

    def close(self) -> None:
        self._notices.close()
        if self.process is not None:
            self.process.kill()
            self.process.wait(GENEROUS_S)


@pytest.fixture
def service() -> Iterator[Service]:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders can be too long for a socket's path
        service = Service(Path(folder))
        yield service
        service.close()


def test_ready_is_said_after_the_warm_up_and_sigterm_ends_it_in_order(service: Service) -> None:
    service.start("baseline", "--threads", "1", options='{"samples": 64}')
    assert service.notice().startswith("READY=1")
    for _ in range(2):  # a client that goes and comes back
        worker = Worker(WorkerSettings(backend="baseline", socket_path=service.path))
        worker.warm_up()
        forecast = worker.forecast([context()])["BTC/USD"]
        assert forecast.paths is not None
        assert len(forecast.paths) == 64
        worker.close()
    assert service.end() == 0
    assert service.notice() == "STOPPING=1"
    assert not service.path.exists()


def test_wrong_options_end_it_with_the_configuration_status(service: Service) -> None:
    service.start("baseline", options='{"sampels": 64}')
    assert service.process is not None
    assert service.process.wait(GENEROUS_S) == 78


def test_a_hang_ends_the_service_by_itself_and_a_restarted_one_is_found_again(service: Service) -> None:
    marker = f'{{"marker": "{service.path.parent / "once"}"}}'
    service.start("hangs_deaf", options=marker)
    service.notice()
    settings = WorkerSettings(backend="hangs_deaf", socket_path=service.path, deadline_s=0.3, backoff_first_s=0.05)
    worker = Worker(settings)
    worker.warm_up()
    with pytest.raises(ForecastError, match=r"deadline of 0\.3 s"):
        worker.forecast([context()])
    assert service.process is not None
    assert service.process.wait(GENEROUS_S) != 0
    service.start("hangs_deaf", options=marker)
    service.notice()
    answered: object = None
    while not answered:  # an attempt that began with the old process may still fail
        with contextlib.suppress(ForecastError):
            worker.warm_up()
            answered = worker.forecast([context()], deadline_s=GENEROUS_S)
    worker.close()


def test_malformed_frames_and_strange_requests_do_not_end_it(service: Service) -> None:
    service.start("baseline")
    service.notice()
    for nonsense in (b"GET / HTTP/1.1\r\n\r\n", b"FCW1" + b"\xff" * 60, b"FCW1\x02\x00\x00\x00" + b"\x00" * 8 + b"[]"):
        with socket.socket(socket.AF_UNIX) as stranger:
            stranger.settimeout(10)
            stranger.connect(str(service.path))
            stranger.sendall(nonsense)
            stranger.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):  # where it left some of the nonsense unread
                assert stranger.recv(1) == b""  # it hangs up
    worker = Worker(WorkerSettings(backend="baseline", socket_path=service.path))
    worker.warm_up()
    assert worker.forecast([context()])
    worker.close()


class Stranger:
    """A worker of somebody else's making: `says` gives the frames that answer a request."""

    def __init__(self, path: Path, says: Callable[[Frame], Iterator[Frame]]) -> None:
        self._says = says
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._answer, args=(self._listener.accept()[0],)).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(WireError):
            while True:
                request = wire.receive(connection, math.inf)
                for frame in self._says(request):
                    wire.send(connection, Frame({**frame.header, "id": request.header["id"]}), math.inf)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()


def test_progress_beyond_all_bounds_does_not_keep_a_worker_from_starting() -> None:
    heard: list[Progress] = []

    def says(request: Frame) -> Iterator[Frame]:
        for share in (10**400, -(10**400), 2, True):
            yield Frame({"kind": "progress", "text": "on", "share": share})
        yield Frame({"kind": "ok"})

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "worker.sock"
        stranger = Stranger(path, says)
        worker = Worker(WorkerSettings(backend="any", socket_path=path), on_progress=heard.append)
        try:
            worker.warm_up()
        finally:
            worker.close()
            stranger.close()
    assert [each.share for each in heard] == [1.0, 0.0, 1.0, 1.0]


def test_an_answer_that_came_too_late_is_not_taken_for_the_next_ones() -> None:
    asked = threading.Event()
    health = {"backend": "any", "pid": 1, "rss_bytes": 1, "uptime_s": 1.0, "warm": True, "busy_s": 0.0}

    def says(request: Frame) -> Iterator[Frame]:
        if request.header["kind"] == "ping":
            asked.wait()
        yield Frame({"kind": "ok", "health": {**health, "forecasts": 0, "failures": 0}})

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "worker.sock"
        stranger = Stranger(path, says)
        worker = Worker(WorkerSettings(backend="any", socket_path=path))
        try:
            worker.warm_up()
            with pytest.raises(ForecastError, match="deadline"):
                worker.ping(timeout_s=0.1)
            asked.set()
            assert worker.ping(timeout_s=GENEROUS_S).warm
            assert worker.ping(timeout_s=GENEROUS_S).warm
        finally:
            asked.set()
            worker.close()
            stranger.close()


def test_closing_does_not_wait_for_a_service_that_is_not_there(tmp_path: Path) -> None:
    worker = Worker(WorkerSettings(backend="baseline", socket_path=tmp_path / "nobody"))
    failed: list[ForecastError] = []

    def start() -> None:
        with pytest.raises(ForecastError) as raised:
            worker.warm_up()
        failed.append(raised.value)

    starting = threading.Thread(target=start)
    starting.start()
    worker.close()
    starting.join(GENEROUS_S)
    assert not starting.is_alive()
    assert "closed" in failed[0].reason
