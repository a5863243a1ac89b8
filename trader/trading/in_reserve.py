"""The records of exits while the journal takes nothing: in the reserve before they are sent, in the journal later."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from trader.core.decision import DecisionInputs, Levels, Plan
from trader.core.equity import Counted
from trader.core.ids import client_order_id, cycle_id
from trader.core.orders import IntentState
from trader.core.postings import Posting
from trader.core.protect import ExitWish
from trader.core.types import Execution, Order, OrderIntent, Portfolio, Purpose, Symbol
from trader.errors import DatabaseAway, Transient
from trader.trading import failpoints
from trader.trading.ports import Journal, Reserve

UNRECORDED = 900  # attempts from here on are of orders that no journal knows yet


class InReserve:
    """What `Known` writes to meanwhile. What can't be kept there is DatabaseAway, as it is in the journal."""

    def __init__(self, reserve: Reserve) -> None:
        self._reserve = reserve
        self.why = ""  # the journal's trouble
        self._names = Counter[tuple[str, Symbol, Purpose]]()  # none twice in a process; another one has another moment

    def under(self, wish: ExitWish, account_id: str, at: datetime) -> tuple[str, OrderIntent]:
        """The exit under a name of its own, which no journal has given; and that of its record."""
        record = cycle_id(at, "manage")
        attempt = UNRECORDED + self._names[record, wish.symbol, wish.purpose]
        self._names[record, wish.symbol, wish.purpose] += 1
        return record, wish.under(client_order_id(account_id, record, wish.symbol, wish.purpose, attempt))

    def add_intents(self, record: str, intents: Sequence[OrderIntent], at: datetime) -> None:
        try:
            for intent in intents:
                self._reserve.add(record, intent, at)
        except OSError as error:
            raise Transient(f"the reserve can't be written, so no exit is sent: {error.strerror}") from error

    def set_intent(self, name: str, state: str, at: datetime, *, order_id: str | None = None, reason: str = "") -> None:
        try:
            self._reserve.note(name, str(state), order_id, reason)
        except OSError:
            return  # the venue tells it again

    def save_levels(self, levels: Sequence[Levels]) -> None:
        """In memory alone."""

    def drop_levels(self, symbol: Symbol) -> None:
        """In memory alone."""

    def save_plan(self, record: str, inputs: DecisionInputs, plan: Plan) -> None:
        raise DatabaseAway(self.why)

    def save_sync(
        self, portfolio: Portfolio, orders: Sequence[Order], executions: Sequence[Execution], counted: Counted
    ) -> Sequence[Execution]:
        raise DatabaseAway(self.why)

    def correction(self, kind: str, at: datetime, **of: Symbol | Decimal | str | Posting | None) -> None:
        raise DatabaseAway(self.why)

    def claim(self, correction_id: int, reasons: Mapping[str, Sequence[Posting]]) -> None:
        raise DatabaseAway(self.why)

    def settle_fees(
        self, fills: Sequence[Execution], joined: Mapping[str, Posting], freed: Collection[str], at: datetime
    ) -> None:
        raise DatabaseAway(self.why)


def take_in(journal: Journal, reserve: Reserve, now: datetime) -> int:
    """Each of its exits into the journal, once, whatever was cut off before. Returns how many there were.

    Raises DatabaseAway, OSError.
    """
    kept = reserve.kept()
    if not kept:
        return 0
    known = {each.intent.client_order_id: each for each in journal.intents()}
    for each in kept:
        name = each.intent.client_order_id
        if name not in known:
            if journal.cycle(each.cycle_id) is None:
                journal.begin_cycle(each.cycle_id, "manage", each.at)
            journal.add_intents(each.cycle_id, [each.intent], each.at)
            failpoints.reach("amid_taking_in")
        state, was = IntentState(each.state), known[name].state if name in known else IntentState.PLANNED
        if was == IntentState.PLANNED and state is not was:
            journal.set_intent(name, state.value, now, order_id=each.order_id, reason=each.reason)
        journal.close_cycle(each.cycle_id, each.at, "exits while the journal was away")
    failpoints.reach("before_clearing")
    reserve.clear()
    failpoints.reach("after_clearing")
    return len(kept)
