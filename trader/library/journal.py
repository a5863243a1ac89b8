"""read_journal: what a daemon did, as frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from trader.adapters.journal import Journal
from trader.adapters.journal.records import Alert, Correction, CycleRecord, EquityPoint, Trade
from trader.core.types import Execution, Order
from trader.library.frames import frame_of
from trader.library.settings import NONE, Changes, load_settings

_ALL = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JournalFrames:
    """Oldest first. `status` is what the daemon last said of itself."""

    status: Mapping[str, object]
    cycles: pd.DataFrame
    orders: pd.DataFrame
    executions: pd.DataFrame
    trades: pd.DataFrame
    equity: pd.DataFrame
    corrections: pd.DataFrame
    alerts: pd.DataFrame


def read_journal(changes: Changes = NONE) -> JournalFrames:
    """The journal of the configured mode (TRADING_MODE, STATE_DIR, DATABASE_URL); a running daemon is not disturbed.

    Raises an error of `trader.errors` where there is none, or it can't be read.
    """
    with Journal.open(load_settings(changes).settings.database_url, create=False) as journal:
        return JournalFrames(
            status=dict(journal.status()),
            cycles=frame_of(CycleRecord, journal.cycles(_ALL)[::-1], without=("timings",)),
            orders=frame_of(Order, journal.orders(_ALL)[::-1], without=("legs",)),
            executions=frame_of(Execution, journal.executions()),
            trades=frame_of(Trade, journal.trades()[::-1]),
            equity=frame_of(EquityPoint, journal.equity_points()),
            corrections=frame_of(Correction, journal.corrections(limit=None)[::-1]),
            alerts=frame_of(Alert, journal.alerts(_ALL)[::-1]),
        )
