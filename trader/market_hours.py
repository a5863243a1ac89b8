"""When the jobs of a simulation run: the same for the daemon on its exchange and for the backtest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from trader.core.types import AssetClass, Symbol, Timeframe
from trader.manage import Sessions
from trader.schedule import Timetable


def simulated_beat(timeframe: Timeframe) -> timedelta:
    """How often `manage` runs: a quarter of a bar, since its prices move no oftener."""
    return timeframe.duration / 4


def closed_hours_skipper(
    symbols: Sequence[Symbol], sessions: Sessions, timetable: Timetable, now: Callable[[], datetime]
) -> Callable[[datetime], datetime]:
    """For stocks alone: no cycles while the market is closed. From a moment to the next one that makes sense."""
    if any(symbol.asset_class is AssetClass.CRYPTO for symbol in symbols):
        return lambda moment: moment

    def skip(moment: datetime) -> datetime:
        for session in sessions.around(now()):
            if moment < session.close:
                return moment if moment > session.open else timetable.next_trade(session.open)
        return moment

    return skip
