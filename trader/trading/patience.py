"""How long is waited for the venue to carry something out: by the market's time, and not where that stands still."""

from __future__ import annotations

from trader.trading.ports import Clock

MOST_LOOKS_AT_A_STANDSTILL = 20  # one that was woken stands still for one or two; at a market's end for good


class Patience:
    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seen = clock.monotonic()
        self._deadline = self._seen + seconds
        self._still = 0

    def is_over(self) -> bool:
        """To be asked after each look."""
        now = self._clock.monotonic()
        self._still = 0 if now > self._seen else self._still + 1
        self._seen = now
        return now >= self._deadline or self._still > MOST_LOOKS_AT_A_STANDSTILL
