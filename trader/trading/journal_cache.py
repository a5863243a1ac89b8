"""What the journal holds of live intents, the books and the levels, kept in memory between two looks at it.

While the daemon holds the account nobody else writes these. Every change goes to the journal first; one that fails
lets go of what is kept, so that the next look reads the journal again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from trader.core.decision import DecisionInputs, Levels, Plan
from trader.core.equity import Counted
from trader.core.orders import IntentState
from trader.core.postings import Posting
from trader.core.types import ZERO, Execution, Order, OrderIntent, Portfolio, Symbol
from trader.core.values import maker, quick
from trader.trading.in_reserve import InReserve
from trader.trading.ports import Journal, KnownBooks, KnownIntent

LIVE = tuple(state for state in IntentState if not state.is_terminal)


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class LiveIntent:
    """An intent that is not over, as the journal would give it back."""

    intent: OrderIntent
    state: str
    order_id: str | None
    created_at: datetime


_new_live_intent = maker(LiveIntent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What was kept before a change that is under way, or is to be kept after it; None where nothing was."""

    live: dict[str, KnownIntent] | None = None
    books: KnownBooks | None = None
    moved: Decimal | None = None
    levels: dict[Symbol, Levels] | None = None


class Known:
    """Reads from memory, writes through to the journal. Every method is to be called with the desk's lock held."""

    def __init__(self, journal: Journal) -> None:
        self._journal: Journal | InReserve = journal
        self._real = journal
        self._live: dict[str, KnownIntent] | None = None
        self._books: KnownBooks | None = None
        self._moved: Decimal | None = None
        self._levels: dict[Symbol, Levels] | None = None
        # as they were before the change that is under way: what is left where it fails, and the journal with it
        self._before = Before()
        self.changes = 0  # of live intents, books and levels made anew, those that failed counted: one more each time

    # ---- reading ----

    def live(self) -> Sequence[KnownIntent]:
        """Intents that may be open at the venue, oldest first."""
        if self._live is None:
            self._live = self._read_live()
        return tuple(self._live.values())

    def books(self) -> KnownBooks:
        if self._books is None:
            self._books = self._real.believed()
        return self._books

    def moved(self) -> Decimal:
        """Money that came in, less what went out, as far as it is booked."""
        if self._moved is None:
            self._moved = self._real.moved()
        return self._moved

    def levels(self) -> Mapping[Symbol, Levels]:
        if self._levels is None:
            self._levels = dict(self._real.levels())
        return dict(self._levels)

    # ---- without the journal ----

    def go_without(self, reserve: InReserve) -> None:
        """By what is known, and into the reserve. Raises DatabaseAway where too little is known."""
        before = self._before
        self._live = before.live if self._live is None else self._live
        self._books = before.books if self._books is None else self._books
        self._moved = before.moved if self._moved is None else self._moved
        self._levels = before.levels if self._levels is None else self._levels
        self.live(), self.books(), self.moved(), self.levels()
        self._journal = reserve

    def anew(self) -> Before:
        """All of it as the journal has it. Changes nothing: a journal that goes away again costs nothing."""
        real = self._real
        return Before(live=self._read_live(), books=real.believed(), moved=real.moved(), levels=dict(real.levels()))

    def come_back(self, anew: Before) -> None:
        """From now on by the journal alone."""
        self._journal = self._real
        self._live, self._books, self._moved, self._levels = anew.live, anew.books, anew.moved, anew.levels
        self._done()
        self.changes += 1

    def _read_live(self) -> dict[str, KnownIntent]:
        return {each.intent.client_order_id: each for each in self._real.intents(LIVE)}

    def _keep(self) -> None:
        before = self._before
        self._before = Before(
            live=before.live if self._live is None else self._live,
            books=before.books if self._books is None else self._books,
            moved=before.moved if self._moved is None else self._moved,
            levels=before.levels if self._levels is None else self._levels,
        )

    def _done(self) -> None:
        self._before = Before()

    def _read_books(self) -> None:
        """At once: where this fails, the change counts as one that failed, and books and fills are both of before."""
        self.books(), self.moved()
        self._done()

    # ---- writing ----

    def save_plan(self, cycle_id: str, inputs: DecisionInputs, plan: Plan) -> None:
        self._keep()
        live, self._live, levels, self._levels = self._live, None, self._levels, None
        self.changes += bool(plan.intents)
        self._journal.save_plan(cycle_id, inputs, plan)
        self._live = _with(live, plan.intents, inputs.now)
        if levels is not None:
            self._levels = {**levels, **{each.symbol: each for each in plan.levels}}
        self._done()

    def add_intent(self, cycle_id: str, intent: OrderIntent, at: datetime) -> None:
        self._keep()
        live, self._live = self._live, None
        self.changes += 1
        self._journal.add_intents(cycle_id, [intent], at)
        self._live = _with(live, [intent], at)
        self._done()

    def set_intent(
        self, name: str, state: IntentState, at: datetime, *, order_id: str | None = None, reason: str = ""
    ) -> None:
        self._keep()
        live, self._live = self._live, None
        self.changes += 1
        self._journal.set_intent(name, state.value, at, order_id=order_id, reason=reason)
        self._done()
        if live is None or name not in live:
            return
        if state.is_terminal:
            del live[name]
        else:
            before = live[name]
            live[name] = _new_live_intent(
                intent=before.intent,
                state=state.value,
                order_id=before.order_id if order_id is None else order_id,
                created_at=before.created_at,
            )
        self._live = live

    def save_sync(
        self, portfolio: Portfolio, orders: Sequence[Order], executions: Sequence[Execution], counted: Counted
    ) -> Sequence[Execution]:
        self._keep()
        if executions:
            self._books = None
            self.changes += 1
        fresh = self._journal.save_sync(portfolio, orders, executions, counted)
        self._read_books()
        return fresh

    def correct(
        self,
        kind: str,
        at: datetime,
        *,
        symbol: Symbol | None = None,
        qty: Decimal = ZERO,
        cash: Decimal = ZERO,
        detail: str = "",
        posting: Posting | None = None,
    ) -> None:
        self._keep()
        self._books = self._moved = None
        self.changes += 1
        self._journal.correction(kind, at, symbol=symbol, qty=qty, cash=cash, detail=detail, posting=posting)
        self._read_books()

    def claim(self, correction_id: int, reasons: Mapping[str, Sequence[Posting]]) -> None:
        self._keep()
        self._books = self._moved = None
        self.changes += 1
        self._journal.claim(correction_id, reasons)
        self._read_books()

    def settle_fees(
        self, fills: Sequence[Execution], joined: Mapping[str, Posting], freed: Collection[str], at: datetime
    ) -> None:
        self._keep()
        self._books = None
        self.changes += 1
        self._journal.settle_fees(fills, joined, freed, at)
        self._read_books()

    def save_levels(self, new_levels: Sequence[Levels]) -> None:
        self._keep()
        levels, self._levels = self._levels, None
        self.changes += 1
        self._journal.save_levels(new_levels)
        if levels is not None:
            self._levels = {**levels, **{new.symbol: new for new in new_levels}}
        self._done()

    def drop_levels(self, symbol: Symbol) -> None:
        self._keep()
        levels, self._levels = self._levels, None
        self._journal.drop_levels(symbol)
        if levels is not None:
            self._levels = {name: kept_levels for name, kept_levels in levels.items() if name != symbol}
        self._done()


def _with(
    live: dict[str, KnownIntent] | None, intents: Sequence[OrderIntent], at: datetime
) -> dict[str, KnownIntent] | None:
    if live is None:
        return None
    state = IntentState.PLANNED.value
    new_records = (_new_live_intent(intent=intent, state=state, order_id=None, created_at=at) for intent in intents)
    return live | {record.intent.client_order_id: record for record in new_records}
