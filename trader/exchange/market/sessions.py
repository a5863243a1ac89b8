"""Sessions of the US stock market: opens and closes with holidays, half days and daylight saving.

The calendar library is slow to import and to build, so it is asked a decade at a time, and only about stocks.
"""

from __future__ import annotations

import warnings
from bisect import bisect_right
from collections.abc import Callable
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from trader.core.types import AssetClass, Symbol
from trader.exchange.market.files import Micros, from_micros

Playing = Callable[[Micros], tuple[Micros, Micros]]

DAY_US = 86_400_000_000
_FIRST_DECADE, _LAST_DECADE = 190, 225  # beyond, the library's nanoseconds or rules end: there are no sessions


class Sessions:
    """The regular sessions, each from its open to its close, as int64 microseconds since 1970 UTC."""

    def __init__(self) -> None:
        self._decades: dict[int, tuple[list[int], list[int]]] = {}

    def between(self, start_us: int, end_us: int) -> tuple[list[int], list[int]]:
        """(opens, closes) of the sessions that overlap [start, end]."""
        opens: list[int] = []
        closes: list[int] = []
        for decade in range(_decade_of(start_us), _decade_of(end_us) + 1):
            more_opens, more_closes = self._decade(decade)
            first = bisect_right(more_closes, start_us - 1)
            last = bisect_right(more_opens, end_us)
            opens += more_opens[first:last]
            closes += more_closes[first:last]
        return opens, closes

    def is_open(self, at_us: int) -> bool:
        opens, closes = self._decade(_decade_of(at_us))
        place = bisect_right(opens, at_us) - 1
        return place >= 0 and at_us < closes[place]

    def next_change(self, after_us: int) -> int:
        """The next open or close later than `after`. Raises ValueError where the calendar knows none."""
        for decade in range(_decade_of(after_us), _LAST_DECADE + 1):
            opens, closes = self._decade(decade)
            place = bisect_right(closes, after_us)
            if place < len(closes):
                return opens[place] if opens[place] > after_us else closes[place]
        raise ValueError(f"no stock session is known after {from_micros(after_us):%Y-%m-%d}")

    def _decade(self, decade: int) -> tuple[list[int], list[int]]:
        if decade not in self._decades:
            self._decades[decade] = _load(decade)
        return self._decades[decade]


def playing_times(
    times: NDArray[np.int64], length_us: int, sessions: Sessions
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(from, until) of each stock bar's trading: the bar cut to its session.

    A daily bar is its date's session; an hourly one that begins before the open or ends after the close is cut. A bar
    outside every session was recorded in extended hours and keeps its own time.
    """
    start, end = times.copy(), times + length_us
    if not len(times):
        return start, end
    opens, closes = (np.array(side, dtype=np.int64) for side in sessions.between(int(start[0]), int(end[-1])))
    if not len(opens):
        return start, end
    # the first session that ends after the bar began: for a daily stamp of 00:00 UTC, or of New York, its own date's
    first = np.minimum(np.searchsorted(closes, start, side="right"), len(opens) - 1)
    inside = (opens[first] < end) & (closes[first] > start)
    start = np.where(inside, np.maximum(start, opens[first]), start)
    return start, np.where(inside, np.minimum(end, closes[first]), end)


def playing_of(symbol: Symbol, length_us: int, sessions: Sessions) -> Playing:
    """When the bars of a symbol trade, from their starts."""
    if symbol.asset_class is AssetClass.STOCK:
        return lambda times: playing_times(times, length_us, sessions)
    return lambda times: (times, times + length_us)


def _decade_of(at_us: int) -> int:
    year = from_micros(at_us).year
    return min(max(year // 10, _FIRST_DECADE), _LAST_DECADE)


def _load(decade: int) -> tuple[list[int], list[int]]:
    import exchange_calendars

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library uses what newer pandas deprecate: nothing that we could change
        calendar = exchange_calendars.get_calendar("XNYS", start=f"{decade}0-01-01", end=f"{decade}9-12-31")
    opens, closes = (side.dt.tz_convert("UTC").dt.tz_localize(None) for side in (calendar.opens, calendar.closes))
    return _as_micros(opens.to_numpy()), _as_micros(closes.to_numpy())


def _as_micros(stamps: NDArray[np.datetime64]) -> list[int]:
    micros: list[int] = stamps.astype("datetime64[us]").astype(np.int64).tolist()
    return micros


def as_datetimes(opens: list[int], closes: list[int]) -> list[tuple[datetime, datetime]]:
    return [(from_micros(o), from_micros(c)) for o, c in zip(opens, closes, strict=True)]
