"""Reads that fail each by itself: one endpoint's trouble costs what needs it, and is not waited for again and again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from trader.errors import Transient
from trader.trading.ports import Clock

Value = TypeVar("Value")

RETRY_S = (0.0, 2.0, 5.0, 10.0, 30.0)  # after the first failure, the second, ...: a slow endpoint must not slow exits


@dataclass(slots=True)
class _Part:
    failures: int = 0
    not_before: float = 0.0
    trouble: str = ""


class Parts:
    """By name: how often it failed in a row, and when it is asked again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._parts: dict[str, _Part] = {}

    def read(self, name: str, ask: Callable[[], Value]) -> Value:
        """Raises Transient where it fails, or is being left alone after it failed."""
        part = self._parts.get(name) or self._parts.setdefault(name, _Part())
        if part.failures and self._clock.monotonic() < part.not_before:
            raise Transient(part.trouble)
        try:
            found = ask()
        except Transient as error:
            part.not_before = self._clock.monotonic() + RETRY_S[min(part.failures, len(RETRY_S) - 1)]
            part.failures += 1
            part.trouble = str(error)
            raise
        part.failures, part.trouble = 0, ""
        return found

    def fails(self, name: str) -> bool:
        part = self._parts.get(name)
        return part is not None and part.failures > 0

    def forget(self, name: str) -> None:
        """It is not needed any more: its trouble is nobody's."""
        self._parts.pop(name, None)

    def trouble(self) -> str:
        """What can't be read just now; "" for nothing."""
        failing = [f"{name}: {part.trouble}" for name, part in self._parts.items() if part.failures]
        return "; ".join(failing) if failing else ""
