"""The equity that a day's loss is measured from, and the peak that a drawdown is."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal

from trader.core.types import Portfolio
from trader.trading.memory import Memory
from trader.trading.ports import Journal


def begin_day(memory: Memory, journal: Journal, portfolio: Portfolio, today: date) -> None:
    """The day is UTC's. It begins with the last equity of the day before, where that was seen: what is lost from then
    to a market's open is a loss of this day, also where the only cycle of the day is the one at the open."""
    if memory.day == today:
        return
    if memory.portfolio is not None:
        equity = memory.portfolio.account.equity
    else:  # started since: what was lost while nobody looked is a loss of this day, too
        known = journal.last_equity(datetime.combine(today, time(), UTC))
        equity = known if known is not None else portfolio.account.equity
    memory.day, memory.day_start = today, equity
    _keep_day(memory, journal)


def reach_peak(memory: Memory, journal: Journal, equity: Decimal) -> None:
    if memory.peak is None or equity > memory.peak:
        memory.peak = equity
        journal.set_meta("peak", str(equity))


def allow_for(memory: Memory, journal: Journal, transferred: Decimal) -> None:
    """Money that came in must hide no loss, and what a person took out is none."""
    if transferred and memory.day_start is not None:
        memory.day_start += transferred
        _keep_day(memory, journal)
    if transferred and memory.peak is not None:
        memory.peak += transferred
        journal.set_meta("peak", str(memory.peak))


def _keep_day(memory: Memory, journal: Journal) -> None:
    if memory.day is not None:
        journal.set_meta("day", f"{memory.day.isoformat()} {memory.day_start}")
