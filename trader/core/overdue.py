"""A position past its time in a market too thin to take it at once.

Asked every few seconds, such a market gives no more, and each exit that is tried takes the stop away for a moment. So
the exits come ever more rarely, and in between the position is protected as if its time were not up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from trader.core.decision import Levels
from trader.core.exits import ExitWish
from trader.core.types import Purpose, TimeInForce

WAITS_S = (5, 10, 20, 40, 60)  # after the first exit, the second, ...; the last of them from then on


@dataclass(frozen=True, slots=True, kw_only=True)
class Overdue:
    """How often a position was to be left because it was held until `due`, and when that was last."""

    due: datetime
    exits: int
    last: datetime

    def rests(self, now: datetime) -> bool:
        """Whether it is too early for the next one. A clock that was set back makes no wait longer."""
        wait = WAITS_S[min(self.exits, len(WAITS_S)) - 1]
        return self.last <= now < self.last + timedelta(seconds=wait)


def after_exit(before: Overdue | None, wish: ExitWish, levels: Levels | None, now: datetime) -> Overdue | None:
    """Now that `wish` was sent; `before` where it was for something else. Only what ends by itself leaves something: a
    share's exit stays at the market until all of it is done."""
    due = None if levels is None else levels.expires_at
    if due is None or now < due or wish.purpose is not Purpose.TIME_EXIT or wish.tif is not TimeInForce.IOC:
        return before
    earlier = before.exits if before is not None and before.due == due else 0
    return Overdue(due=due, exits=earlier + 1, last=now)


def meanwhile(levels: Levels, overdue: Overdue | None, now: datetime) -> Levels:
    """The levels to protect by: without the time that is up, while the next exit for it is waited for."""
    if overdue is None or overdue.due != levels.expires_at or not overdue.rests(now):
        return levels
    return replace(levels, expires_at=None)
