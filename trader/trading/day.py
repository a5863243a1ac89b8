"""The equity that a day's loss is measured from, and the peak that a drawdown is.

Both are kept less the money that had come in by then (`earned`), and what has come in by now is added when they are
looked at: a deposit hides no loss, a withdrawal is none, and neither is counted twice, wherever a process dies.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal

from trader.core.equity import Peak
from trader.trading.memory import Memory
from trader.trading.ports import Journal


def begin_day(memory: Memory, journal: Journal, today: date, earned_now: Decimal | None = None) -> None:
    """The day is UTC's. It begins with the last equity of the day before, where that was seen: what is lost from then
    to a market's open is a loss of this day, also where the only cycle of the day is the one at the open.

    `earned_now`: where none was ever seen; None: not sure of it yet."""
    if memory.day == today:
        return
    earned = memory.earned
    if earned is None:  # started since: what was lost while nobody looked is a loss of this day, too
        known = journal.last_equity(datetime.combine(today, time(), UTC))
        earned = earned_now if known is None else (known.equity if known.own is None else known.own) - known.moved
    if earned is not None:
        memory.day, memory.day_start = today, earned
        _keep_day(memory, journal)


def reach_peak(memory: Memory, journal: Journal, earned: Decimal) -> None:
    if memory.peak.reached(earned):
        _keep_peak(memory, journal)


def forget_peak(memory: Memory, journal: Journal) -> None:
    """A person says so: a drawdown is measured from the next equity on."""
    memory.peak = Peak()
    _keep_peak(memory, journal)


def _keep_peak(memory: Memory, journal: Journal) -> None:
    journal.set_meta("peak", "" if memory.peak.value is None else str(memory.peak.value))


def _keep_day(memory: Memory, journal: Journal) -> None:
    if memory.day is not None:
        journal.set_meta("day", f"{memory.day.isoformat()} {memory.day_start}")
