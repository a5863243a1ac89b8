"""Do the books add up? Every recorded decision's portfolio, recomputed from the executions and fees before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TypeAlias

from trader.adapters.journal import Correction, Journal
from trader.adapters.journal.records import FeeChange
from trader.core.fills import cash_of, units_of
from trader.core.types import ZERO, Execution, Portfolio, Symbol
from trader.trading.bookkeeping import DOUBTED

CENT = Decimal("0.01")
NO_SKEW = timedelta(0)  # in a simulation there is one clock
MOST_SKEW = timedelta(hours=2)  # elsewhere, between ours and the venue's


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A fill's fee became another one: by how much that moved the books."""

    at: datetime
    symbol: Symbol
    qty: Decimal
    cash: Decimal


Event: TypeAlias = Execution | Correction | Settled


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    cycle_id: str
    what: str  # equity, or a symbol
    computed: Decimal
    reported: Decimal


@dataclass(slots=True)
class Books:
    """Cash and units as executions and corrections make them."""

    cash: Decimal
    units: dict[Symbol, Decimal]
    booked: int  # events so far
    ahead: bool = False  # of the positions, by what happened before the account was told

    def add(self, event: Event) -> None:
        self.booked, self.ahead = self.booked + 1, False
        if isinstance(event, Execution):
            self._fill(event)
            return
        self.cash += event.cash
        if event.symbol is not None:
            self.units[event.symbol] = self.units.get(event.symbol, ZERO) + event.qty

    def _fill(self, execution: Execution) -> None:
        symbol, sign = execution.symbol, execution.side.sign
        in_coin = execution.fee_currency != symbol.currency
        held = self.units.get(symbol, ZERO) + sign * execution.qty - (execution.fee if in_coin else ZERO)
        self.units[symbol] = held
        self.cash -= sign * execution.qty * execution.price + (ZERO if in_coin else execution.fee)


def audit(journal: Journal, skew: timedelta = NO_SKEW) -> tuple[int, list[Difference]]:
    """(decisions looked at, where they differ from the venue: by a cent, or by any unit held). Fees count as they were
    known when it was decided.

    skew  by how much our clock may have differed from the venue's
    """
    fills = with_fees_of_then(journal.executions(), journal.fee_changes())
    events: list[Event] = [*fills, *journal.corrections(limit=10**9)]
    events.sort(key=lambda event: event.at)
    books = Books(cash=ZERO, units={}, booked=0)
    differences: list[Difference] = []
    looked = 0
    for cycle_id in journal.plan_cycles():
        inputs = journal.inputs(cycle_id)
        if DOUBTED in inputs.risk.paused:
            continue  # it was known then that they did not agree, and nothing was entered on it
        portfolio = inputs.portfolio
        books = brought_up_to(books, events, portfolio, skew)
        differences += compare(cycle_id, books, portfolio)
        looked += 1
    return looked, differences


def with_fees_of_then(executions: Sequence[Execution], changes: Sequence[FeeChange]) -> Iterator[Execution | Settled]:
    """Each fill with the fee that it was booked with, and each later change of it."""
    by_fill: dict[str, list[FeeChange]] = {}
    for change in changes:
        by_fill.setdefault(change.execution_id, []).append(change)
    for fill in executions:
        fill_changes = by_fill.get(fill.id, [])
        versions = [*(replace(fill, fee=change.fee, fee_currency=change.fee_currency) for change in fill_changes), fill]
        yield versions[0]
        for change, old, new in zip(fill_changes, versions, versions[1:], strict=False):
            currency = fill.symbol.currency
            cash, qty = cash_of(new, currency) - cash_of(old, currency), units_of(new) - units_of(old)
            yield Settled(at=change.at, symbol=fill.symbol, qty=qty, cash=cash)


def brought_up_to(before: Books, events: Sequence[Event], portfolio: Portfolio, skew: timedelta = NO_SKEW) -> Books:
    """The books with every event before the decision. Where they differ, the venue was looked at while it moved, or its
    moment was told by another clock: the same events in the same order, some more or fewer of them, are tried then."""
    books = deepcopy(before)
    while books.booked < len(events) and events[books.booked].at < portfolio.at:
        books.add(events[books.booked])
    if not any(compare("", books, portfolio)):
        return books
    candidate, positions_agree = deepcopy(before), False
    while True:
        # the positions are asked for first, the account after them: what came between shows in its cash alone
        positions_agree = positions_agree or not any(_units("", candidate, portfolio))
        if positions_agree and not any(_money("", candidate, portfolio)):
            candidate.ahead = any(_units("", candidate, portfolio))
            return candidate
        if candidate.booked == len(events) or events[candidate.booked].at > portfolio.at + skew:
            return books
        candidate.add(events[candidate.booked])


def compare(cycle_id: str, books: Books, portfolio: Portfolio) -> Iterator[Difference]:
    """Where the books and the venue differ."""
    if not books.ahead:
        yield from _units(cycle_id, books, portfolio)
    yield from _money(cycle_id, books, portfolio)


def _units(cycle_id: str, books: Books, portfolio: Portfolio) -> Iterator[Difference]:
    for symbol in sorted({*books.units, *portfolio.positions}):
        book_qty, position = books.units.get(symbol, ZERO), portfolio.position(symbol)
        venue_qty = position.qty if position else ZERO
        if book_qty != venue_qty:
            yield Difference(cycle_id=cycle_id, what=str(symbol), computed=book_qty, reported=venue_qty)


def _money(cycle_id: str, books: Books, portfolio: Portfolio) -> Iterator[Difference]:
    """The equity at the venue's marks, or else the cash: a market that moves is marked anew between two answers."""
    account = portfolio.account
    equity = books.cash + sum((p.qty * p.mark for p in portfolio.positions.values() if p.mark is not None), ZERO)
    if abs(equity - account.equity) >= CENT and abs(books.cash - account.cash) >= CENT:
        yield Difference(cycle_id=cycle_id, what="equity", computed=equity, reported=account.equity)
