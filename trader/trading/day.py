"""The equity that a day's loss is measured from, and the peak that a drawdown is."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal

from trader.core.equity import Peak
from trader.trading.memory import Memory
from trader.trading.ports import Journal


def begin_day(memory: Memory, journal: Journal, equity_now: Decimal, today: date) -> None:
    """The day is UTC's. It begins with the last equity of the day before, where that was seen: what is lost from then
    to a market's open is a loss of this day, also where the only cycle of the day is the one at the open."""
    if memory.day == today:
        return
    if memory.equity is not None:
        equity = memory.equity
    else:  # started since: what was lost while nobody looked is a loss of this day, too
        known = journal.last_equity(datetime.combine(today, time(), UTC))
        equity = known if known is not None else equity_now
    memory.day, memory.day_start = today, equity
    _keep_day(memory, journal)


def reach_peak(memory: Memory, journal: Journal, equity: Decimal) -> None:
    if memory.peak.reached(equity):
        _keep_peak(memory, journal)


def forget_peak(memory: Memory, journal: Journal) -> None:
    """A person says so: a drawdown is measured from the next equity on."""
    memory.peak = Peak()
    _keep_peak(memory, journal)


def allow_for(memory: Memory, journal: Journal, transferred: Decimal) -> None:
    """Money that came in must hide no loss, and what a person took out is none."""
    if transferred and memory.day_start is not None:
        memory.day_start += transferred
        _keep_day(memory, journal)
    if transferred and memory.peak.value is not None:
        memory.peak = Peak(memory.peak.value + transferred)
        _keep_peak(memory, journal)


def _keep_peak(memory: Memory, journal: Journal) -> None:
    journal.set_meta("peak", "" if memory.peak.value is None else str(memory.peak.value))


def _keep_day(memory: Memory, journal: Journal) -> None:
    if memory.day is not None:
        journal.set_meta("day", f"{memory.day.isoformat()} {memory.day_start}")
