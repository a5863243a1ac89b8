"""systemd's notification protocol, over a real AF_UNIX datagram socket in systemd's place."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from trader.adapters.sdnotify import Notifier, ProgressWatchdog


class Supervisor:
    """What systemd does at the other end: a bound datagram socket."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self._socket.settimeout(5)

    def receive(self) -> list[str]:
        return self._socket.recv(4096).decode().split("\n")

    def silent_for(self, seconds: float) -> bool:
        self._socket.settimeout(seconds)
        try:
            self._socket.recv(4096)
        except TimeoutError:
            return True
        finally:
            self._socket.settimeout(5)
        return False

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def supervisor(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Supervisor]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@trader-test-{uuid.uuid4().hex}"
    it = Supervisor(address)
    yield it
    it.close()


@pytest.fixture
def on_path(tmp_path: Path) -> Iterator[Supervisor]:
    it = Supervisor(str(tmp_path / "notify"))
    yield it
    it.close()


def test_every_message_arrives_as_the_protocol_spells_it(supervisor: Supervisor) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": supervisor.address})

    assert notifier.listening
    assert notifier.ready("reconciled, warm")
    assert supervisor.receive() == ["READY=1", "STATUS=reconciled, warm"]
    assert notifier.status("cycle 7: no entry")
    assert supervisor.receive() == ["STATUS=cycle 7: no entry"]
    assert notifier.watchdog()
    assert supervisor.receive() == ["WATCHDOG=1"]
    assert notifier.reloading()
    reload_line, moment = supervisor.receive()
    assert reload_line == "RELOADING=1"
    assert moment.removeprefix("MONOTONIC_USEC=").isdecimal()
    assert notifier.stopping()
    assert supervisor.receive() == ["STOPPING=1"]


def test_a_status_stays_one_line_so_that_text_from_outside_cannot_speak_the_protocol(on_path: Supervisor) -> None:
    Notifier({"NOTIFY_SOCKET": on_path.address}).status("refused\nREADY=1\n" + "x" * 5000)

    (line,) = on_path.receive()
    assert line.startswith("STATUS=refused READY=1 xxx")
    assert len(line) < 500


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "relative"}])
def test_without_systemd_nothing_is_said_and_nothing_fails(environment: dict[str, str]) -> None:
    notifier = Notifier(environment)

    assert not notifier.listening
    assert notifier.watchdog_interval_s is None
    said = [notifier.ready(), notifier.status("x"), notifier.watchdog(), notifier.reloading(), notifier.stopping()]
    assert said == [False] * 5


def test_a_supervisor_that_is_gone_or_full_never_raises_into_the_loop(tmp_path: Path, on_path: Supervisor) -> None:
    assert not Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).watchdog()

    flooding = Notifier({"NOTIFY_SOCKET": on_path.address})
    delivered = [flooding.watchdog() for _ in range(2000)]  # nobody reads: the kernel's queue is far shorter
    assert delivered[0]
    assert not delivered[-1]


@pytest.mark.parametrize(
    ("environment", "expected_s"),
    [
        ({"WATCHDOG_USEC": "120000000"}, 120.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}, 0.5),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_interval_is_ours_only_when_systemd_means_this_process(
    environment: dict[str, str], expected_s: float | None
) -> None:
    assert Notifier(environment).watchdog_interval_s == expected_s


def test_the_watchdog_is_fed_only_while_every_job_makes_progress(on_path: Supervisor) -> None:
    time_now = 100.0
    said: list[str] = []
    watchdog = ProgressWatchdog(
        Notifier({"NOTIFY_SOCKET": on_path.address}),
        {"trade": 60.0, "manage": 10.0},
        monotonic=lambda: time_now,
        on_stuck=said.append,
    )
    assert watchdog.beat()
    assert on_path.receive() == ["WATCHDOG=1"]

    time_now = 111.0  # manage is a second late, trade has time left
    assert watchdog.overdue() == ("manage",)
    assert not watchdog.beat()
    assert not watchdog.beat()
    assert said == ["manage"]  # told once, not at each beat

    watchdog.mark("manage")
    assert watchdog.beat()

    time_now = 161.0
    watchdog.mark("manage")  # one job's progress does not stand in for the other's
    assert not watchdog.beat()
    assert said == ["manage", "trade"]


def test_a_mark_under_an_unknown_name_is_a_bug_and_says_so() -> None:
    with pytest.raises(KeyError):
        ProgressWatchdog(Notifier({}), {"trade": 1.0}).mark("tradee")


def test_without_a_watchdog_from_systemd_no_thread_is_started() -> None:
    before = threading.active_count()
    watchdog = ProgressWatchdog(Notifier({}), {"trade": 1.0})
    watchdog.start()
    assert threading.active_count() == before
    watchdog.stop()


def test_a_hung_loop_starves_the_watchdog_while_its_process_lives_on(on_path: Supervisor) -> None:
    """The loop stops inside a job: the process, its threads and its pinging thread are all alive, and yet no ping."""
    program = """
        import threading
        from trader.adapters.sdnotify import Notifier, ProgressWatchdog

        notifier = Notifier()
        tell = lambda names: notifier.status("stuck: " + names)
        watchdog = ProgressWatchdog(notifier, {"manage": 1.5}, on_stuck=tell)
        watchdog.start()
        notifier.ready()
        for _ in range(10):          # a second of healthy work
            watchdog.mark("manage")
            threading.Event().wait(0.1)
        threading.Event().wait(60)   # and then a call that never returns
    """
    environment = {**os.environ, "NOTIFY_SOCKET": on_path.address, "WATCHDOG_USEC": "300000"}
    environment.pop("WATCHDOG_PID", None)
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], env=environment) as process:
        try:
            heard: list[str] = []
            while not heard or not heard[-1].startswith("STATUS=stuck"):
                heard += on_path.receive()
            assert "READY=1" in heard
            assert heard.count("WATCHDOG=1") >= 5
            assert heard[-1] == "STATUS=stuck: manage"
            assert on_path.silent_for(1.0)
            assert process.poll() is None
        finally:
            process.kill()
