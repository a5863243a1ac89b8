"""The states of our intents, brought up to what the venue shows of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from trader.core.orders import IntentEvent, IntentState, is_over, next_state, seen
from trader.core.reconcile import Reported
from trader.core.types import ZERO, Order, OrderStatus
from trader.core.unbooked import filled_of
from trader.trading.journal_cache import Known
from trader.trading.memory import Memory
from trader.trading.ports import Clock, Journal, KnownIntent

ABANDON_AFTER = timedelta(seconds=60)  # an intent that the venue does not know by then never reached it


class IntentStates:
    """To be called with the desk's lock held."""

    def __init__(self, memory: Memory, known: Known, journal: Journal, clock: Clock) -> None:
        self.memory, self.known, self.journal, self.clock = memory, known, journal, clock

    def settle(self, live: Sequence[KnownIntent], reported: Reported) -> None:
        """Bring the live intents' states up to what the venue shows of them. One that is over stays live until the
        executions of all that it filled are booked: until then it explains what is held."""
        now = self.clock.now()
        open_orders = {order.client_order_id: order for order in reported.portfolio.orders}
        for record in live:
            name = record.intent.client_order_id
            order = open_orders.get(name) or reported.looked_up.get(name)
            if order is not None and record.state == IntentState.ACCEPTED and not is_over(order):
                continue  # the usual case: it rests, and is known to
            state = IntentState(record.state)
            if order is not None:
                event = IntentEvent.SEEN_OPEN if is_over(order) and self._owes_fills(order) else seen(order)
                self._advance(name, state, event, order_id=order.id)
                if order.status is OrderStatus.REJECTED and not record.intent.purpose.reduces:
                    self.memory.counts.refused(self.journal)
                if event is IntentEvent.SEEN_TERMINAL:
                    for order_id in filled_of(order).ids:
                        self.memory.filled.pop(order_id, None)
            elif name in reported.looked_up and now - self._last_sent(record) >= ABANDON_AFTER:
                state = next_state(state, IntentEvent.ABSENT)
                self._advance(name, state, IntentEvent.GIVEN_UP, reason="the venue never saw it")

    def _owes_fills(self, order: Order) -> bool:
        fill = filled_of(order)
        if fill.most > sum([self.memory.filled.get(order_id, ZERO) for order_id in fill.ids], ZERO):
            self.memory.ended[order.client_order_id] = order  # it will not change any more: not to be asked for again
            return True
        return False

    def unsettled(self) -> set[str]:
        return {each.intent.client_order_id for each in self.known.live()} if self.memory.ended else set()

    def _last_sent(self, record: KnownIntent) -> datetime:
        return max(record.created_at, self.memory.unanswered.get(record.intent.client_order_id, record.created_at))

    def _advance(
        self, name: str, state: IntentState, event: IntentEvent, *, order_id: str | None = None, reason: str = ""
    ) -> None:
        after = next_state(state, event)
        if after is not state:
            self.known.set_intent(name, after, self.clock.now(), order_id=order_id, reason=reason)
