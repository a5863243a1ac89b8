"""How long there is for an answer, and a way out of what takes longer.

    with answering(until):       # whoever was asked; `until` is a moment of time.monotonic
        time_left()              -> seconds; None where nobody waits
    with cut_short(after_s):     # around what may take too long: OutOfTime is raised in it after so many seconds
    with leisure():              # nobody waits: what is cut short here ends ...
        hurry()                  # ... as soon as another thread says that somebody does

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
    due: float = math.inf  # of what is cut short
    armed: bool = False
    at_leisure: bool = False
    hurried: bool = False

    def is_over(self) -> bool:
        return self.armed and (time.monotonic() >= self.due or self.hurried)


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
def cut_short(after_s: float | None) -> Iterator[None]:
    """None: only where it is done at leisure, and somebody hurries."""
    if threading.current_thread() is not threading.main_thread() or (after_s is None and not _state.at_leisure):
        yield
        return
    signal.signal(_SIGNAL, _ring)  # stays: a bell that rings late must find somebody who ignores it
    _state.due = math.inf if after_s is None else time.monotonic() + after_s
    alarm = threading.Timer(after_s or 0.0, _wake)
    alarm.daemon = True
    if after_s is not None:
        alarm.start()
    try:
        _state.armed = True
        if _state.is_over():
            raise OutOfTime
        yield
    finally:
        _state.armed = False
        alarm.cancel()


@contextmanager
def leisure() -> Iterator[None]:
    _state.hurried, _state.at_leisure = False, True
    try:
        yield
    finally:
        _state.hurried = _state.at_leisure = False


def hurry() -> None:
    """From any thread; nothing happens where nobody is at leisure."""
    if _state.at_leisure:
        _state.hurried = True
        if _state.armed:
            _wake()


def _wake() -> None:
    """Interrupts what the main thread waits for, which setting a flag would not."""
    main = threading.main_thread().ident
    if main is not None:
        signal.pthread_kill(main, _SIGNAL)


def _ring(number: int, frame: object) -> None:
    if _state.is_over():
        _state.armed = False
        raise OutOfTime
