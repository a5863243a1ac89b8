"""When the jobs run, as far as the hours of the stock market decide it: the same for the daemon and for the backtest.

A stock's days are traded at the open of the session after them; everything else when its bar closes. So with coins and
stocks on days there are two cycles a day: the coins' at midnight UTC, the stocks' at their open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from trader.core.days import is_session_bar
from trader.core.decision import ExitPolicy
from trader.core.types import AssetClass, Symbol, Timeframe
from trader.daemon.schedule import Moments, Timetable
from trader.trading.ports import Session
from trader.trading.positions import Sessions

_QUARTERS = 4  # of a bar: its prices move no oftener in the simulation
_AFTER = timedelta(seconds=1)  # what has just happened is seen
_BEFORE = timedelta(milliseconds=1)


def simulated_beat(timeframe: Timeframe) -> timedelta:
    """How often `manage` runs in the simulation: a quarter of a bar, since its prices move no oftener."""
    return timeframe.duration / _QUARTERS


def timetable_of(
    symbols: Sequence[Symbol],
    timeframe: Timeframe,
    sessions: Sessions,
    *,
    delay: timedelta,
    manage_every: timedelta,
    simulated: ExitPolicy | None = None,
) -> Timetable:
    """Both jobs' times.

    simulated  in the simulation: how positions are left. `manage` is hours apart there, and what it does just before
               a close, and a quarter into a session, has a time of its own
    """
    by_session = any(is_session_bar(symbol, timeframe) for symbol in symbols)
    stocks = any(symbol.asset_class is AssetClass.STOCK for symbol in symbols)
    opens = _Known(sessions, lambda known: [session.open for session in known]) if by_session else tuple
    looks: Moments = tuple
    if simulated is not None and stocks:
        before_close, quarters = simulated.flat_before_close, _QUARTERS if by_session else 0
        looks = _Known(sessions, lambda known: _looks(known, before_close, quarters))
    return Timetable.of(timeframe, delay, manage_every, opens=opens, looks=looks)


class _Known:
    """Moments of the sessions that are known, made anew when others are. It never asks the venue: whoever asks for the
    next fire time must not wait for an answer, and each cycle asks for the calendar anyway.
    """

    def __init__(self, sessions: Sessions, make: Callable[[tuple[Session, ...]], list[datetime]]) -> None:
        self._sessions = sessions
        self._make = make
        self._seen: tuple[tuple[Session, ...], list[datetime]] = ((), [])

    def __call__(self) -> Sequence[datetime]:
        known = self._sessions.known
        if known is not self._seen[0]:
            self._seen = (known, self._make(known))
        return self._seen[1]


def _looks(sessions: Iterable[Session], before_close: timedelta, quarters: int) -> list[datetime]:
    moments = set[datetime]()
    for session in sessions:
        quarter = (session.close - session.open) / _QUARTERS
        moments |= {session.open + quarter * number + _AFTER for number in range(quarters)}
        moments.add(session.close - before_close + _AFTER)
    return sorted(moments)


def closed_hours_skipper(
    symbols: Sequence[Symbol], sessions: Sessions, timetable: Timetable, now: Callable[[], datetime]
) -> Callable[[datetime], datetime]:
    """For stocks alone: no cycles while the market is closed. From a moment to the next one that makes sense."""
    if any(symbol.asset_class is AssetClass.CRYPTO for symbol in symbols):
        return lambda moment: moment

    def skip(moment: datetime) -> datetime:
        for session in sessions.around(now()):
            if moment < session.close:
                return moment if moment > session.open else timetable.next_trade(session.open - _BEFORE)
        return moment

    return skip
