"""Two clocks' business: how fast market time runs, and how many requests it allows."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from trader.exchange.venue import STEPS_AT_ONCE, Venue

RATE_WINDOW_S = 60
_WRITE_EVERY_S = 1.0


class Pace:
    """Market time = where it was when this began + speed x wall time. `speed` None (max): it stands still."""

    def __init__(self, venue: Venue, speed: float | None) -> None:
        self.speed = speed
        self._venue = venue
        self._market_origin = venue.now
        self._wall_origin = time.monotonic()
        self._written = self._wall_origin

    def due(self) -> datetime:
        """The market time that it is now. Only at a finite speed."""
        elapsed = time.monotonic() - self._wall_origin
        return self._market_origin + timedelta(seconds=elapsed * (self.speed or 0.0))

    def wall_seconds_until(self, moment: datetime) -> float:
        """How long until market time reaches `moment`. Only at a finite speed."""
        return max(0.0, (moment - self.due()).total_seconds() / (self.speed or 1.0))

    def catch_up(self) -> bool:
        """Play what is due, a bounded stretch of it. False where more is due."""
        if self.speed is None:
            return True
        wall = time.monotonic()
        write = wall - self._written >= _WRITE_EVERY_S
        if write:
            self._written = wall
        return self._venue.advance_some(self.due(), STEPS_AT_ONCE, through_fills=True, write_idle=write) is not None


@dataclass(slots=True)
class RateLimiter:
    """So many requests in each minute of market time; 0 is no limit."""

    limit: int
    _window: int = -1
    _used: int = 0

    def take(self, now: datetime) -> bool:
        """Whether one more request is allowed."""
        if not self.limit:
            return True
        window = int(now.timestamp()) // RATE_WINDOW_S
        if window != self._window:
            self._window, self._used = window, 0
        self._used += 1
        return self._used <= self.limit

    def headers(self) -> dict[str, str]:
        """As after the last `take`."""
        if not self.limit:
            return {}
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(max(0, self.limit - self._used)),
            "X-RateLimit-Reset": str((self._window + 1) * RATE_WINDOW_S),
        }
