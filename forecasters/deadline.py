"""How long there is for an answer, and a way out of what takes longer.

    with answering(until):       # whoever was asked; `until` is a moment of time.monotonic
        time_left()              -> seconds; None where nobody waits
    with cut_short(after_s):     # around what may take too long: OutOfTime is raised in it after so many seconds
    with leisure():              # nobody waits: what is cut short here with a reserve ends ...
        hurry(until)             # ... so long before an answer is wanted, as another thread finds out

Only Python can be left like that, and waiting: code that neither returns to the interpreter nor lets it run goes on,
and is the matter of whoever watches the process. The main thread alone; elsewhere nothing is ever cut short.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

_SIGNAL = signal.SIGUSR2

_until: ContextVar[float | None] = ContextVar("forecaster deadline", default=None)


class OutOfTime(BaseException):
    """Not an Exception: a compiler catches those in many places, and would go on."""


@dataclass(slots=True)
class _State:
    """Moments of time.monotonic."""

    due: float = math.inf  # of what is cut short
    reserve_s: float = 0.0
    armed: bool = False
    at_leisure: bool = False
    wanted: float = math.inf  # the first answer that somebody waits for

    def ends_at(self) -> float:
        return min(self.due, self.wanted - self.reserve_s)

    def is_over(self) -> bool:
        return self.armed and time.monotonic() >= self.ends_at()


_state = _State()


@contextmanager
def answering(until: float) -> Iterator[None]:
    token = _until.set(until)
    try:
        yield
    finally:
        _until.reset(token)


def time_left() -> float | None:
    """Seconds, negative where it is too late already."""
    until = _until.get()
    return None if until is None else until - time.monotonic()


@contextmanager
def cut_short(after_s: float | None, *, reserve_s: float = 0.0) -> Iterator[None]:
    """after_s    None: only where it is done at leisure, and somebody comes to wait
    reserve_s  then: what is to be left of the time until the answer is wanted
    """
    if threading.current_thread() is not threading.main_thread() or (after_s is None and not _state.at_leisure):
        yield
        return
    signal.signal(_SIGNAL, _ring)  # stays: a bell that rings late must find somebody who ignores it
    _state.due, _state.reserve_s = math.inf if after_s is None else time.monotonic() + after_s, reserve_s
    alarm: threading.Timer | None = None
    try:
        _state.armed = True
        if _state.is_over():
            raise OutOfTime
        alarm = _alarm()
        yield
    finally:
        _state.armed = False
        if alarm is not None:
            alarm.cancel()


@contextmanager
def leisure() -> Iterator[None]:
    _state.wanted, _state.at_leisure = math.inf, True
    try:
        yield
    finally:
        _state.wanted, _state.at_leisure = math.inf, False


def hurry(until: float) -> None:
    """From any thread; nothing happens where nobody is at leisure."""
    if _state.at_leisure:
        _state.wanted = min(_state.wanted, until)
        if _state.armed:
            _alarm()


def _alarm() -> threading.Timer | None:
    """One that rings in vain is no harm."""
    ends_at = _state.ends_at()
    if ends_at == math.inf:
        return None
    alarm = threading.Timer(max(0.0, ends_at - time.monotonic()), _wake)
    alarm.daemon = True
    alarm.start()
    return alarm


def _wake() -> None:
    """Interrupts what the main thread waits for, which setting a flag would not."""
    main = threading.main_thread().ident
    if main is not None:
        signal.pthread_kill(main, _SIGNAL)


def _ring(number: int, frame: object) -> None:
    if _state.is_over():
        _state.armed = False
        raise OutOfTime
