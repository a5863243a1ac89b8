"""How a slow warm-up says what it is doing: `report` from inside a backend; whoever runs it may listen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """`share` is in [0, 1], or None where the end is not known."""

    text: str
    share: float | None = None


Listener = Callable[[Progress], None]

_listener: ContextVar[Listener | None] = ContextVar("forecaster progress", default=None)


def report(text: str, share: float | None = None) -> None:
    """Say what is being done. Costs nothing where nobody listens."""
    listener = _listener.get()
    if listener is not None:
        listener(Progress(text=text, share=share))


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Pass what is reported in this context, and in this thread, to `listener`."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
