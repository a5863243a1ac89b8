"""Do the books add up? Every recorded decision's portfolio, recomputed from the executions and fees before it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from trader.adapters.journal import Correction, Journal
from trader.core.types import ZERO, Execution, Portfolio, Symbol

CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    cycle_id: str
    what: str  # equity, or a symbol
    computed: Decimal
    reported: Decimal


@dataclass(slots=True)
class _Books:
    """Cash and units as executions and corrections make them."""

    cash: Decimal
    units: dict[Symbol, Decimal]

    def add(self, execution: Execution) -> None:
        symbol, sign = execution.symbol, execution.side.sign
        in_coin = execution.fee_currency != symbol.currency
        held = self.units.get(symbol, ZERO) + sign * execution.qty - (execution.fee if in_coin else ZERO)
        self.units[symbol] = held
        self.cash -= sign * execution.qty * execution.price + (ZERO if in_coin else execution.fee)


def audit(journal: Journal) -> tuple[int, list[Difference]]:
    """(decisions looked at, where they differ from the venue: by a cent of equity, or by any unit held)."""
    books = _Books(cash=ZERO, units={})
    events: list[Execution | Correction] = [*journal.executions(), *journal.corrections(limit=10**9)]
    events.sort(key=lambda event: event.at)
    differences: list[Difference] = []
    looked = booked = 0
    for cycle_id in journal.plan_cycles():
        portfolio = journal.inputs(cycle_id).portfolio
        while booked < len(events) and events[booked].at < portfolio.at:
            _apply(books, events[booked])
            booked += 1
        found = list(_compare(cycle_id, books, portfolio))
        # what happened in the decision's own moment may have come before it or after it
        while found and booked < len(events) and events[booked].at == portfolio.at:
            _apply(books, events[booked])
            booked += 1
            found = list(_compare(cycle_id, books, portfolio))
        differences += found
        looked += 1
    return looked, differences


def _apply(books: _Books, event: Execution | Correction) -> None:
    if isinstance(event, Execution):
        books.add(event)
        return
    books.cash += event.cash
    if event.symbol is not None:
        books.units[event.symbol] = books.units.get(event.symbol, ZERO) + event.qty


def _compare(cycle_id: str, books: _Books, portfolio: Portfolio) -> Iterator[Difference]:
    for symbol in sorted({*books.units, *portfolio.positions}):
        held, position = books.units.get(symbol, ZERO), portfolio.position(symbol)
        reported = position.qty if position else ZERO
        if held != reported:
            yield Difference(cycle_id=cycle_id, what=str(symbol), computed=held, reported=reported)
    equity = books.cash + sum((p.qty * p.mark for p in portfolio.positions.values() if p.mark is not None), ZERO)
    if abs(equity - portfolio.account.equity) >= CENT:
        yield Difference(cycle_id=cycle_id, what="equity", computed=equity, reported=portfolio.account.equity)
