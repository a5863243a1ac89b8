"""A stock's days: bars that are whole sessions.

Their stamps say the date, in one way or another: 00:00 in UTC or in New York, or the open itself. One day after its
stamp a session is over and the next one has not begun. Nobody can act on such a bar before that next open: so the
cycle of a stock's days is the one of the open, and the newest bar there is the session before, Friday's on a Monday.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from trader.core.market import Bars, future_times, to_datetime, to_datetime64
from trader.core.types import AssetClass, Symbol, Timeframe

Spans = Sequence[tuple[datetime, datetime]]  # (open, close) of sessions, oldest first
Times = NDArray[np.datetime64]

_MARKET_ZONE = ZoneInfo("America/New_York")
_DAY = timedelta(days=1)
_ALMOST_A_DAY = _DAY - timedelta(microseconds=1)
_SATURDAY = 5


def is_session_bar(symbol: Symbol, timeframe: Timeframe) -> bool:
    """Whether a bar is a whole session."""
    return symbol.asset_class is AssetClass.STOCK and timeframe.unit == "Day"


def trades_now(symbol: Symbol, timeframe: Timeframe, bar_close: datetime, now: datetime, sessions: Spans) -> bool:
    """Whether a cycle is one of this symbol's: its market is open, and one of its bars has closed since it opened.

    Of a stock's days that is the one before the session: its cycle is that of the open. A coin's bars close at full
    multiples of their length: the cycle of an open is none of a coin's.
    """
    if symbol.asset_class is AssetClass.CRYPTO:
        return timeframe.floor(bar_close) == bar_close
    daily = is_session_bar(symbol, timeframe)
    return any(
        open_ <= now < close and (open_ == bar_close if daily else open_ < bar_close) for open_, close in sessions
    )


def expected_start(symbol: Symbol, timeframe: Timeframe, bar_close: datetime, sessions: Spans) -> datetime:
    """What the newest bar of a cycle must reach: of a session, its open; else the bar's start.

    bar_close  the cycle's moment; for a session's bar the open of the next one
    """
    if is_session_bar(symbol, timeframe):
        return max((open_ for open_, _ in sessions if open_ < bar_close), default=bar_close)
    return bar_close - timeframe.duration


def is_late(bars: Bars, expected: datetime) -> bool:
    """Whether a newer bar than the last of these is expected. A session's stamp may lie up to a day before its open."""
    early = _ALMOST_A_DAY if is_session_bar(bars.symbol, bars.timeframe) else timedelta(0)
    return bars.last_start + early < expected


def starts_ahead(
    symbol: Symbol, times: Times, timeframe: Timeframe, horizon: int, moment: datetime, sessions: Spans = ()
) -> Times:
    """Starts of the bars to forecast [H] after those at `times`: the first that begin at `moment` or later."""
    if not is_session_bar(symbol, timeframe):
        return future_times(moment, timeframe, horizon, sessions)
    opens = [open_ for open_, _ in sessions if open_ >= moment][:horizon] or [moment]
    while len(opens) < horizon:
        opens.append(_next_weekday(opens[-1]))  # beyond the calendar that is known
    return daily_starts(times, opens)


def calendar_ahead(timeframe: Timeframe, horizon: int) -> timedelta:
    """How far ahead the sessions must be known, that `horizon` bars can be placed in them."""
    weeks = -(-horizon // 4) if timeframe.unit == "Day" else 0  # four sessions in a week at least, but for holidays
    return timedelta(weeks=1 + weeks)


def daily_starts(times: Times, opens: Sequence[datetime]) -> Times:
    """The stamps of the sessions that open then, at the time of day at which the source of `times` stamps its days."""
    last_stamp = to_datetime(times[-1])
    local = last_stamp.astimezone(_MARKET_ZONE)
    of_day = times - times.astype("datetime64[D]")
    if local.hour != 0 and (of_day == of_day[-1]).all():
        dates: Times = np.array([to_datetime64(open_).astype("datetime64[D]") for open_ in opens]) + of_day[-1]
        return dates
    stamps = [open_.astimezone(_MARKET_ZONE) for open_ in opens]
    starts = [stamp.replace(hour=local.hour, minute=local.minute, second=local.second) for stamp in stamps]
    return np.array([to_datetime64(stamp) for stamp in starts])


def missing_days(times: Times, sessions: Spans) -> NDArray[np.int64]:
    """[T - 1] sessions between each two bars, by their dates."""
    opens = np.array([to_datetime64(open_) for open_, _ in sessions]).astype("datetime64[D]")
    dates = times.astype("datetime64[D]")
    counts: NDArray[np.int64] = np.searchsorted(opens, dates[1:]) - np.searchsorted(opens, dates[:-1], side="right")
    return np.maximum(counts, 0)


def _next_weekday(moment: datetime) -> datetime:
    following = moment + _DAY
    while following.weekday() >= _SATURDAY:
        following += _DAY
    return following
