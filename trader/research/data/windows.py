"""Contexts out of stored bars, as a model would have got them at that moment: nothing in them is later than it.

An origin is an index into the bars: the context ends with the bar before it, the first forecast bar is the one that
would start there. What is to be forecast follows from the calendar and from the context's own habit, never from the
bars that came: cut them off or spoil them, and the context stays the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from forecasters.types import Context
from trader.core.days import Times, daily_starts
from trader.core.market import Bars, future_times, to_datetime
from trader.core.types import AssetClass
from trader.exchange.market.sessions import Sessions

_RECENT_SESSIONS = 20
_DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """`context` bars in, `horizon` bars out."""

    context: int
    horizon: int


class Calendar:
    """Which bars come next. Holds the sessions that it has looked up."""

    def __init__(self) -> None:
        self._sessions = Sessions()

    def following(self, bars: Bars, horizon: int) -> Times:
        """[H] the starts of the bars after the last one.

        A stock's bars go on where its sessions do, at the places within a session at which the newest bars lie: some
        sources stamp the first hour at the open, others at the full hour before it.
        """
        after = bars.last_start + bars.timeframe.duration
        if bars.symbol.asset_class is AssetClass.CRYPTO:
            return future_times(after, bars.timeframe, horizon)
        opens, closes = self._around(bars, horizon)
        daily = bars.timeframe.unit == "Day"
        spans = daily_starts(bars.times, [to_datetime(o) for o in opens]) if daily else _intraday(bars, opens, closes)
        ahead: Times = spans[spans > bars.times[-1]][:horizon]
        return ahead

    def _around(self, bars: Bars, horizon: int) -> tuple[Times, Times]:
        """Opens and closes from some sessions before the last bar to more than enough after it."""
        last = bars.times[-1].astype("datetime64[us]").astype(np.int64)
        days_ahead = 7 + 2 * horizon * max(1, bars.timeframe.duration // timedelta(hours=6))
        first = max(int(bars.times[0].astype(np.int64)), int(last) - 2 * _RECENT_SESSIONS * _DAY_US)
        opens, closes = self._sessions.between(first - _DAY_US, int(last) + days_ahead * _DAY_US)
        return np.array(opens, dtype="datetime64[us]"), np.array(closes, dtype="datetime64[us]")


def context_at(bars: Bars, origin: int, window: Window, calendar: Calendar) -> Context:
    """The context of `origin`. IndexError where there are not enough bars before it."""
    first = origin - window.context
    if first < 0 or not 0 < origin <= len(bars):
        raise IndexError(f"{bars.symbol}: origin {origin} has no {window.context} bars before it")
    past = slice(first, origin)
    known = Bars(symbol=bars.symbol, timeframe=bars.timeframe, times=bars.times[past], values=bars.values[past])
    return Context(
        symbol=str(bars.symbol),
        times=known.times,
        values=known.values,
        future_times=calendar.following(known, window.horizon),
    )


def rolling_origins(bars: Bars, window: Window, count: int) -> list[int]:
    """`count` origins, evenly over the bars that leave a whole context before and a whole horizon after; sorted."""
    first, last = window.context, len(bars) - window.horizon
    if last < first:
        return []
    return sorted(set(np.linspace(first, last, min(count, last - first + 1)).round().astype(int).tolist()))


def actual_rows(bars: Bars, context: Context) -> NDArray[np.float64] | None:
    """[H, 6] the bars that came at exactly the times to forecast; None where one of them is missing."""
    places = np.searchsorted(bars.times, context.future_times)
    if places[-1] >= len(bars) or (bars.times[places] != context.future_times).any():
        return None
    return bars.values[places]


def _intraday(bars: Bars, opens: Times, closes: Times) -> Times:
    """The places of the newest sessions' bars, in the sessions to come. A half day ends early for regular hours."""
    step = np.timedelta64(bars.timeframe.duration // timedelta(microseconds=1), "us")
    half_day = np.timedelta64(12, "h")
    session = np.clip(np.searchsorted(opens, bars.times + half_day, side="right") - 1, 0, len(opens) - 1)
    recent = session > session[-1] - _RECENT_SESSIONS
    offsets = bars.times[recent] - opens[session[recent]]
    places, counts = np.unique(offsets, return_counts=True)
    sessions = len(np.unique(session[recent]))
    usual = places[counts * 2 >= min(sessions, 2)] if sessions < 3 else places[counts * 3 >= sessions]
    ahead = slice(int(session[-1]), None)
    grid = opens[ahead, None] + usual[None, :]
    length = (closes - opens).max()
    regular = bool((usual > -step).all() and (usual < length).all())
    inside = grid < closes[ahead, None] if regular else np.ones(grid.shape, dtype=np.bool_)
    starts: Times = grid[inside]
    return starts
