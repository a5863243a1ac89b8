"""Exits that may leave a part: when the next one is tried, and when what was wanted is done."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from trader.core.decision import Levels
from trader.core.exits import ExitWish
from trader.core.overdue import Overdue, after_exit, meanwhile
from trader.core.types import ZERO, Instrument, Position, Symbol
from trader.core.values import altered


class PartExits:
    def __init__(self) -> None:
        self._overdue: dict[Symbol, Overdue] = {}

    def levels(self, levels: Levels | None, now: datetime) -> Levels | None:
        """To protect by now."""
        if not self._overdue or levels is None:
            return levels
        return meanwhile(levels, self._overdue.get(levels.symbol), now)

    def sent(self, wish: ExitWish, levels: Levels | None, now: datetime, *, taken: bool) -> None:
        overdue = after_exit(self._overdue.get(wish.symbol), wish, levels, now, taken=taken)
        if overdue is not None:
            self._overdue[wish.symbol] = overdue


def as_done(levels: Levels | None, position: Position | None, instrument: Instrument | None) -> Levels | None:
    """The levels without what was to be sold, once it is: what comes to the position later, by a person's hand say, is
    not for an old decision to sell. None where nothing changes."""
    if levels is None or levels.keep is None or position is None or instrument is None:
        return None
    surplus: Decimal = max(abs(position.qty) - levels.keep, ZERO)
    if levels.entry_side is position.entry_side and instrument.qty_down(surplus) >= instrument.min_qty:
        return None
    return altered(levels, keep=None, why="")
