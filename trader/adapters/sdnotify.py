"""What the daemon tells systemd: ready, what it did last, still alive, stopping. Silent where systemd did not ask.

One datagram a message to the socket named by NOTIFY_SOCKET; `@name` is an abstract one.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType

_LONGEST_STATUS = 400  # characters; systemctl shows one line


class Notifier:
    """systemd's notification protocol. Nothing here raises: a status line must not end the daemon."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        """environment  where NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID are read; the process's own by default"""
        named = os.environ if environment is None else environment
        self._address = _address(named.get("NOTIFY_SOCKET", ""))
        self.watchdog_interval_s = _watchdog_interval_s(named)

    @property
    def listening(self) -> bool:
        """Whether systemd gave this process a socket to speak to."""
        return self._address is not None

    def ready(self, status: str = "") -> bool:
        """The venue is reconciled and the model is warm. Each call answers whether the message was delivered."""
        return self._send("READY=1", *_status_lines(status))

    def status(self, text: str) -> bool:
        return self._send(*_status_lines(text))

    def watchdog(self) -> bool:
        return self._send("WATCHDOG=1")

    def stopping(self, status: str = "") -> bool:
        return self._send("STOPPING=1", *_status_lines(status))

    def reloading(self) -> bool:
        """Settings are being read again; say `ready()` afterwards. The time is what newer systemd asks for."""
        return self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def _send(self, *lines: str) -> bool:
        if self._address is None or not lines:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                channel.setblocking(False)  # a full queue at systemd's end must not hold up a cycle
                return channel.sendto("\n".join(lines).encode(), self._address) > 0
        except OSError:
            return False


class ProgressWatchdog:
    """Feeds systemd's watchdog only while every named job makes progress.

    A thread of its own pings, but only when no mark is overdue: a hung `trade` or `manage` stops the pings, and systemd
    then ends the daemon and starts it again. A job that has not marked yet counts from `start`.
    """

    def __init__(
        self,
        notifier: Notifier,
        allowances_s: Mapping[str, float],
        *,
        monotonic: Callable[[], float] = time.monotonic,
        on_stuck: Callable[[str], None] = lambda _names: None,
    ) -> None:
        """
        allowances_s  for each job, the longest time in seconds between two marks that still is progress
        on_stuck      told the overdue jobs' names, once each time that it begins
        """
        self._notifier = notifier
        self._allowances_s = MappingProxyType(dict(allowances_s))
        self._monotonic = monotonic
        self._on_stuck = on_stuck
        self._marks = dict.fromkeys(self._allowances_s, monotonic())
        self._stuck: tuple[str, ...] = ()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def mark(self, job: str) -> None:
        """`job` got on. From any thread; an unknown name is a bug and raises KeyError."""
        if job not in self._allowances_s:
            raise KeyError(job)
        self._marks[job] = self._monotonic()

    def overdue(self) -> tuple[str, ...]:
        """The jobs that have not marked within their allowance."""
        now = self._monotonic()
        return tuple(name for name, allowed in self._allowances_s.items() if now - self._marks[name] > allowed)

    def beat(self) -> bool:
        """Ping if every job makes progress. Answers whether it did, whether or not systemd listens."""
        overdue = self.overdue()
        if overdue and overdue != self._stuck:
            self._on_stuck(", ".join(overdue))
        self._stuck = overdue
        if not overdue:
            self._notifier.watchdog()
        return not overdue

    def start(self) -> None:
        """Begin to ping, at a third of systemd's interval. Does nothing where systemd set no watchdog."""
        interval_s = self._notifier.watchdog_interval_s
        if interval_s is None or self._thread is not None:
            return
        now = self._monotonic()
        self._marks = dict.fromkeys(self._allowances_s, now)
        self._thread = threading.Thread(target=self._run, args=(interval_s / 3,), name="watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, every_s: float) -> None:
        self.beat()
        while not self._ended.wait(every_s):
            self.beat()


def _address(name: str) -> str | bytes | None:
    if name.startswith("@"):
        return b"\0" + name[1:].encode()
    return name if name.startswith("/") else None


def _watchdog_interval_s(environment: Mapping[str, str]) -> float | None:
    """How often systemd expects a sign of life, in seconds; None where it does not, or means another process."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    text = environment.get("WATCHDOG_USEC", "")
    return int(text) / 1e6 if text.isdecimal() and int(text) > 0 else None


def _status_lines(text: str) -> tuple[str, ...]:
    """STATUS= is one line: a newline in it would begin another assignment."""
    line = " ".join(text.split())[:_LONGEST_STATUS]
    return (f"STATUS={line}",) if line else ()
