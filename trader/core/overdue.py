"""A position past its time, or with more of it than the strategy wants, in a market too thin to take it at once.

Asked every few seconds, such a market gives no more, and each exit that is tried takes the stop away for a moment. So
the exits come ever more rarely, and in between the position is protected as if nothing were to be sold.
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
    """How often a position was to be left, or a part of it, for what came `due`, and when that was last.

    due  when its time was up; of a part, when the strategy wanted it sold
    """

    due: datetime
    exits: int
    last: datetime

    def rests(self, now: datetime) -> bool:
        """Whether it is too early for the next one. A clock that was set back makes no wait longer."""
        wait = WAITS_S[min(self.exits, len(WAITS_S)) - 1]
        return self.last <= now < self.last + timedelta(seconds=wait)


def after_exit(
    before: Overdue | None, wish: ExitWish, levels: Levels | None, now: datetime, *, taken: bool = True
) -> Overdue | None:
    """Now that `wish` was sent; `before` where it was for something else. Only what ends by itself leaves something: a
    share's exit stays at the market until all of it is done.

    taken  whether the venue took it. A part that it refuses is tried again after the longest wait: the stop of the
           whole must come to rest in between.
    """
    due = _due(wish, levels, now)
    refused_part = not taken and wish.purpose is Purpose.SIGNAL
    if due is None or not (refused_part or (taken and wish.tif is TimeInForce.IOC)):
        return before
    earlier = before.exits if before is not None and before.due == due else 0
    return Overdue(due=due, exits=len(WAITS_S) if refused_part else earlier + 1, last=now)


def _due(wish: ExitWish, levels: Levels | None, now: datetime) -> datetime | None:
    if levels is None:
        return None
    if wish.purpose is Purpose.SIGNAL:
        return None if levels.keep is None else levels.set_at
    is_late = levels.expires_at is not None and now >= levels.expires_at
    return levels.expires_at if wish.purpose is Purpose.TIME_EXIT and is_late else None


def meanwhile(levels: Levels, overdue: Overdue | None, now: datetime) -> Levels:
    """The levels to protect by: without what is due, while the next exit for it is waited for."""
    if overdue is None or not overdue.rests(now):
        return levels
    if overdue.due == levels.expires_at:
        return replace(levels, expires_at=None)
    return replace(levels, keep=None) if overdue.due == levels.set_at else levels
