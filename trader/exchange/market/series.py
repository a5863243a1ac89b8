"""The bars of one symbol: when each plays, which have closed, and the same at a coarser length.

Times are int64 microseconds since 1970 UTC. A series may grow at its end (a generated market), never change.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from trader.core.days import is_session_bar
from trader.core.types import Instrument, Symbol, Timeframe
from trader.exchange.market.files import Columns, Floats, Micros, from_micros

PHASES = 4
_PAGE = 1024  # rows that are made at a time, and kept
_STOCKS_MIDNIGHT_US = 5 * 3_600_000_000  # UTC: in summer and winter after the evening's trading, before the morning's
_UNITS_A_TRADE = 0.05  # share of a bar's volume in one trade, for the count that the data API must tell


@dataclass(frozen=True, slots=True, kw_only=True)
class BarRow:
    """One closed bar as the data API tells it: prices in quote currency, volume in units, `trades` a count."""

    start: datetime
    open: float
    high: float
    low: float
    close: float
    volume: float
    trades: int
    vwap: float


class _Table:
    """Columns at one length, as rows: made by pages when asked for, so that each is made once."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self.times: list[int] = columns.times.tolist()
        self._pages: dict[int, list[BarRow]] = {}

    def rows(self, first: int, last: int) -> list[BarRow]:
        """Rows [first, last)."""
        found: list[BarRow] = []
        while first < last:
            page = first // _PAGE
            until = min(last, (page + 1) * _PAGE)
            found += self._page(page)[first - page * _PAGE : until - page * _PAGE]
            first = until
        return found

    def _page(self, number: int) -> list[BarRow]:
        if number not in self._pages:
            self._pages[number] = _rows_of(self.columns, slice(number * _PAGE, (number + 1) * _PAGE))
        return self._pages[number]


class Series:
    """One symbol's bars of length `timeframe`.

    moments [4T] int64: the four phases of each bar, never decreasing
    """

    def __init__(
        self,
        symbol: Symbol,
        timeframe: Timeframe,
        columns: Columns,
        *,
        playing: Callable[[Micros], tuple[Micros, Micros]],
        grow: Callable[[], Columns] | None = None,
    ) -> None:
        self.symbol = symbol
        self.timeframe = timeframe
        self.length_us = length_of(timeframe)
        self._playing = playing
        self._grow = grow
        self._set(columns)

    def _set(self, columns: Columns) -> None:
        self.columns = columns
        self.moments = moments_of(columns.times, self._playing)
        self._moments: list[int] = self.moments.tolist()  # a search in it is far quicker
        self._tables: dict[Timeframe, _Table] = {}

    def reach(self, until_us: int) -> None:
        """Grow, where the series can, until a bar starts later than `until`."""
        while self._grow is not None and (not len(self.columns) or self.columns.times[-1] <= until_us):
            self._set(joined(self.columns, self._grow()))

    @property
    def end_us(self) -> int:
        """When the last bar closes."""
        return int(self.columns.times[-1]) + self.length_us

    def next_moment(self, after_us: int) -> int | None:
        """The next phase later than `after`, or None at the end of the data."""
        if self._grow is not None:
            self.reach(after_us + 1)
        place = bisect_right(self._moments, after_us)
        return self._moments[place] if place < len(self._moments) else None

    def last_moment(self, after_us: int, until_us: int) -> int | None:
        """The last phase later than `after` and not later than `until`, or None."""
        self.reach(until_us + 1)
        place = bisect_right(self._moments, until_us) - 1
        return self._moments[place] if place >= 0 and self._moments[place] > after_us else None

    def phase_at(self, at_us: int) -> tuple[int, int] | None:
        """(bar, phase) that is exactly then."""
        self.reach(at_us + 1)
        place = bisect_left(self._moments, at_us)
        return divmod(place, PHASES) if place < len(self._moments) and self._moments[place] == at_us else None

    def latest_phase(self, at_us: int) -> tuple[int, int] | None:
        """(bar, phase) that was played last, then or before."""
        self.reach(at_us + 1)
        place = bisect_right(self._moments, at_us) - 1
        return divmod(place, PHASES) if place >= 0 else None

    def rows(
        self, timeframe: Timeframe, *, start_us: int | None, end_us: int, limit: int, newest: bool
    ) -> list[BarRow]:
        """Closed bars; see Market.bars."""
        self.reach(end_us)
        table = self._table(timeframe)
        first = 0 if start_us is None else bisect_left(table.times, start_us)
        last = bisect_right(table.times, end_us - length_of(timeframe))
        if newest:
            return table.rows(max(first, last - limit), max(first, last))
        return table.rows(first, max(first, min(last, first + limit)))

    def closed(self, timeframe: Timeframe, *, end_us: int) -> tuple[Columns, int]:
        """The columns at that length, and how many of their bars have closed by `end`. As Market.bars raises."""
        self.reach(end_us)
        table = self._table(timeframe)
        return table.columns, bisect_right(table.times, end_us - length_of(timeframe))

    def closed_after(self, timeframe: Timeframe, count: int) -> int | None:
        """When the first `count` bars of that length have closed, or None where there are fewer."""
        times = self._table(timeframe).times
        return times[count - 1] + length_of(timeframe) if count <= len(times) else None

    def closed_before(self, timeframe: Timeframe, at_us: int) -> int:
        """How many bars of that length have closed by then."""
        return bisect_right(self._table(timeframe).times, at_us - length_of(timeframe))

    def _table(self, timeframe: Timeframe) -> _Table:
        if timeframe not in self._tables:
            length = length_of(timeframe)
            if length % self.length_us:
                raise ValueError(f"{self.symbol} has {self.timeframe} bars: no {timeframe} bars can be made of them")
            whole = length == self.length_us
            midnight = _STOCKS_MIDNIGHT_US if is_session_bar(self.symbol, timeframe) else 0
            self._tables[timeframe] = _Table(self.columns if whole else aggregated(self.columns, length, midnight))
        return self._tables[timeframe]


def length_of(timeframe: Timeframe) -> int:
    return int(timeframe.duration.total_seconds()) * 1_000_000


def moments_of(times: Micros, playing: Callable[[Micros], tuple[Micros, Micros]]) -> Micros:
    """[4T] the phases: the beginning of each bar's trading, and a quarter, a half, three quarters into it."""
    start, end = playing(times)
    if len(times) > 1:
        end[:-1] = np.minimum(end[:-1], start[1:])  # rows closer than a bar's length: the next one cuts the former
    quarter = (end - start) // PHASES
    moments: Micros = (start[:, None] + quarter[:, None] * np.arange(PHASES)).reshape(-1)
    return moments


def aggregated(columns: Columns, length_us: int, offset_us: int = 0) -> Columns:
    """Bars of `length`, aligned to `offset` after 1970 UTC. A bar exists where a base bar starts inside it."""
    if not len(columns):
        return columns
    starts = (columns.times - offset_us) // length_us * length_us + offset_us
    first = np.flatnonzero(np.concatenate([[True], starts[1:] != starts[:-1]]))
    last = np.concatenate([first[1:], [len(starts)]]) - 1
    return Columns(
        times=starts[first],
        open=columns.open[first],
        high=np.maximum.reduceat(columns.high, first),
        low=np.minimum.reduceat(columns.low, first),
        close=columns.close[last],
        volume=np.add.reduceat(columns.volume, first),
    )


def joined(before: Columns, after: Columns) -> Columns:
    """One series after the other. Both carry a spread, or neither does."""
    spread = None
    if before.spread_bps is not None and after.spread_bps is not None:
        spread = np.concatenate([before.spread_bps, after.spread_bps])
    return Columns(
        times=np.concatenate([before.times, after.times]),
        open=np.concatenate([before.open, after.open]),
        high=np.concatenate([before.high, after.high]),
        low=np.concatenate([before.low, after.low]),
        close=np.concatenate([before.close, after.close]),
        volume=np.concatenate([before.volume, after.volume]),
        spread_bps=spread,
    )


def on_ticks(columns: Columns, instrument: Instrument) -> Columns:
    """Prices as the venue can trade them: the nearest tick, at least one. Rounding keeps their order."""

    def rounded(prices: Floats) -> Floats:
        nearest = np.round(prices, _decimals(instrument.tick.as_tuple().exponent))
        if instrument.sub_dollar_tick is not None:
            fine = np.round(prices, _decimals(instrument.sub_dollar_tick.as_tuple().exponent))
            nearest = np.where(prices < 1, fine, nearest)
        smallest = instrument.sub_dollar_tick or instrument.tick
        return np.maximum(nearest, float(smallest))

    return Columns(
        times=columns.times,
        open=rounded(columns.open),
        high=rounded(columns.high),
        low=rounded(columns.low),
        close=rounded(columns.close),
        volume=np.round(columns.volume, _decimals(instrument.lot.as_tuple().exponent)),
        spread_bps=columns.spread_bps,
    )


def _decimals(exponent: int | str) -> int:
    """Ticks and lots are powers of ten."""
    return -int(exponent)


def _rows_of(columns: Columns, part: slice) -> list[BarRow]:
    names: tuple[NDArray[np.float64], ...] = (columns.open, columns.high, columns.low, columns.close, columns.volume)
    o, h, low, c, v = (values[part].tolist() for values in names)
    times = columns.times[part].tolist()
    return [
        BarRow(
            start=from_micros(times[i]),
            open=o[i],
            high=h[i],
            low=low[i],
            close=c[i],
            volume=v[i],
            trades=_trades(v[i]),
            vwap=(o[i] + h[i] + low[i] + c[i]) / 4,  # the data has no trades to weigh
        )
        for i in range(len(times))
    ]


def _trades(volume: float) -> int:
    """A plausible count: recorded bars seldom have one, and the API always tells one."""
    return max(1, int(volume * _UNITS_A_TRADE)) if volume > 0 else 0
