"""What was entered since the day began, and what went wrong in a row. Kept in the journal, for the next start."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from datetime import date
from decimal import Decimal

from trader.core.types import ZERO, Execution, Position
from trader.trading.ports import Journal

_KEY = "counts"


@dataclass(slots=True)
class Counts:
    """`day` is UTC's. The last two go on over midnight, until something is filled, or a person resumes."""

    day: str = ""
    notional: Decimal = ZERO
    orders: int = 0
    refusals: int = 0
    losing_exits: int = 0
    _left_by: str = ""  # the last exit that is counted

    @classmethod
    def recalled(cls, journal: Journal) -> Counts:
        text = journal.get_meta(_KEY)
        if not text:
            return cls()
        fields = json.loads(text)
        return cls(**{**fields, "notional": Decimal(fields["notional"])})

    def begin(self, today: date) -> None:
        if self.day != today.isoformat():
            self.day, self.notional, self.orders = today.isoformat(), ZERO, 0

    def sent(self, notional: Decimal, journal: Journal) -> None:
        """One entry that the venue took."""
        self.orders += 1
        self.notional += notional
        self._keep(journal)

    def refused(self, journal: Journal) -> None:
        """An entry, at once or after it was taken."""
        self.orders += 1
        self.refusals += 1
        self._keep(journal)

    def filled(self, execution: Execution, held: Position | None, journal: Journal) -> None:
        """`held`: before it. An exit counts once, however many fills it has."""
        counts_before = (self.refusals, self.losing_exits)
        self.refusals = 0
        if held is not None and execution.side is held.entry_side.closing and execution.order_id != self._left_by:
            self._left_by = execution.order_id
            is_loss = (execution.price - held.avg_entry_price) * held.entry_side.sign < 0
            self.losing_exits = self.losing_exits + 1 if is_loss else 0
        if counts_before != (self.refusals, self.losing_exits):
            self._keep(journal)

    def resumed(self, journal: Journal) -> None:
        self.refusals = self.losing_exits = 0
        self._keep(journal)

    def _keep(self, journal: Journal) -> None:
        kept = {name: getattr(self, name) for name in _FIELDS}  # `asdict` would copy each value deeply
        journal.set_meta(_KEY, json.dumps({**kept, "notional": str(self.notional)}))


_FIELDS = tuple(each.name for each in fields(Counts))
