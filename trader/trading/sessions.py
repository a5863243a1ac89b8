"""The stock market's sessions around now, as the venue's calendar has them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from trader.core.types import AssetClass, Symbol
from trader.errors import Transient
from trader.trading.ports import Session

BEFORE = timedelta(days=10)  # of the calendar: the longest pause of this century was six days
CALENDAR_RETRY = timedelta(minutes=10)


@dataclass(slots=True)
class Sessions:
    """Stock sessions around now, read from the venue's calendar once a day."""

    read: Callable[[datetime, datetime], object]
    ahead: timedelta = timedelta(days=7)
    known: tuple[Session, ...] = ()
    until: datetime | None = None

    def close_of(self, symbol: Symbol, now: datetime) -> datetime | None:
        """When the session under way closes; None while the market is closed. Crypto never closes: None too."""
        if symbol.asset_class is AssetClass.CRYPTO:
            return None
        return next((s.close for s in self.around(now) if s.open <= now < s.close), None)

    def is_open(self, symbol: Symbol, now: datetime) -> bool:
        return symbol.asset_class is AssetClass.CRYPTO or self.close_of(symbol, now) is not None

    def reopens(self, symbol: Symbol, now: datetime) -> datetime | None:
        """When the next session opens; None for crypto, and where no further one is known."""
        if symbol.asset_class is AssetClass.CRYPTO:
            return None
        return next((s.open for s in self.around(now) if s.open > now), None)

    def around(self, now: datetime) -> tuple[Session, ...]:
        """Transient where the calendar can't be read, and none that was read before covers the time."""
        if self.until is None or now >= self.until:
            try:
                found = self.read(now - BEFORE, now + self.ahead)
            except Transient:
                if not any(session.open > now for session in self.known):
                    raise
                self.until = now + CALENDAR_RETRY
            else:
                self.known = tuple(found)  # type: ignore[arg-type]
                self.until = now + timedelta(days=1)
        return self.known
