"""The end of a daemon that can't write its journal any more, and still has a venue.

What rests is put right without a record of it: entries go, and each position is left with its stop. The orders carry
our own names, by which the next start knows them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from trader.core.decision import ExitPolicy, ExitRests, Levels
from trader.core.ids import client_order_id, cycle_id, parse_client_order_id, purpose_of
from trader.core.orders import IntentState, is_over
from trader.core.protect import protect, stop_of
from trader.core.reconcile import Correction, CorrectionKind
from trader.core.types import EntrySide, Instrument, Order, OrderIntent, OrderSide, Position, Purpose, Symbol
from trader.errors import TraderError, Transient
from trader.trading.in_reserve import UNRECORDED
from trader.trading.journal_cache import Known
from trader.trading.patience import Patience
from trader.trading.ports import Accepted, Broker, Clock, Journal

PASSES = 3
CONFIRM_S = 5.0
_A_DAY = timedelta(days=1)


def leave_stops(
    broker: Broker,
    clock: Clock,
    account_id: str,
    levels: Mapping[Symbol, Levels],
    instruments: Mapping[Symbol, Instrument],
    policy: ExitPolicy,
    pause: Callable[[float], None],
) -> list[str]:
    """What could not be done, one line each. Raises nothing of the venue's."""
    troubles: list[str] = []
    cancels = _Cancels(broker, clock, pause)
    try:
        entries = [order.id for order in broker.open_orders() if purpose_of(order) is Purpose.ENTRY]
        if not cancels.confirmed(entries):
            troubles.append("entries: their cancel is unconfirmed")
        for position in broker.positions():
            instrument = instruments.get(position.symbol)
            if instrument is not None:
                trouble = _leave_stop(
                    broker, clock, account_id, position, levels.get(position.symbol), instrument, policy, cancels
                )
                troubles += [f"{position.symbol}: {trouble}"] if trouble else []
    except TraderError as error:
        troubles.append(str(error))
    return troubles


def _leave_stop(
    broker: Broker,
    clock: Clock,
    account_id: str,
    position: Position,
    levels: Levels | None,
    instrument: Instrument,
    policy: ExitPolicy,
    cancels: _Cancels,
) -> str:
    """No quote is asked for: without one the stop is what rests."""
    symbol, latest, now = position.symbol, position, clock.now()
    stop_rests = replace(policy, exit_rests=ExitRests.STOP)
    for attempt in range(PASSES):
        resting_orders = [order for order in broker.open_orders() if order.symbol == symbol]
        latest = next((p for p in broker.positions() if p.symbol == symbol), latest)
        levels_only = None if levels is None else replace(levels, expires_at=None, keep=None)
        action = protect(
            latest, None, levels_only, stop_rests, instrument, now, resting_orders, session_close=now + _A_DAY
        )
        if action.cancel:
            if cancels.wait:
                return "cancels wait at the venue, so what rests is left, and no stop could take its place"
            if not cancels.confirmed(action.cancel):
                return "the cancel of what rested is unconfirmed, and nothing rests once it is obeyed"
            continue
        if action.place is None:
            return "" if action.keep else action.reason
        name = client_order_id(account_id, cycle_id(now, "manage"), symbol, action.place.purpose, UNRECORDED + attempt)
        outcome = broker.submit(action.place.under(name))
        if isinstance(outcome, Accepted):
            return ""
    return "the stop was not taken"


class _Cancels:
    """`wait`: one was not obeyed in time, so that no other is to be sent: what rests is more than nothing."""

    def __init__(self, broker: Broker, clock: Clock, pause: Callable[[float], None]) -> None:
        self._broker, self._clock, self._pause = broker, clock, pause
        self.wait = False

    def confirmed(self, order_ids: Iterable[str]) -> bool:
        pending = set(order_ids)
        for order_id in sorted(pending):
            try:
                self._broker.cancel(order_id)
            except Transient:
                continue
        patience = Patience(self._clock, CONFIRM_S)
        while pending:
            pending = {order_id for order_id in pending if not _has_ended(self._broker, order_id)}
            if pending and patience.is_over():
                self.wait = True
                return False
            if pending:
                self._pause(0.25)
        return True


def _has_ended(broker: Broker, order_id: str) -> bool:
    try:
        order = broker.order(order_id)
    except Transient:
        return False
    return order is None or is_over(order)


def adopt_unrecorded(
    journal: Journal, known: Known, orders: Iterable[Order], corrections: Iterable[Correction], now: datetime
) -> None:
    """Journal what an end without a journal has left at the venue: from then on it is an exit like any other. One that
    came so late that it was given up has its record already."""
    unrecorded_names = {c.detail.partition(" ")[0] for c in corrections if c.kind is CorrectionKind.OUR_ORDER}
    recorded_names = {each.intent.client_order_id for each in journal.intents()} if unrecorded_names else set()
    for order in orders:
        id_parts = parse_client_order_id(order.client_order_id)
        if id_parts is None or id_parts.attempt < UNRECORDED or order.client_order_id not in unrecorded_names:
            continue
        if order.client_order_id not in recorded_names:
            if journal.cycle(id_parts.cycle_id) is None:
                journal.begin_cycle(id_parts.cycle_id, "manage", now)
                journal.close_cycle(id_parts.cycle_id, now, "left without a record")
            known.add_intent(id_parts.cycle_id, _intent_of(order, id_parts.purpose), now)
        known.set_intent(order.client_order_id, IntentState.ACCEPTED, now, order_id=order.id)


def _intent_of(order: Order, purpose: Purpose) -> OrderIntent:
    return OrderIntent(
        client_order_id=order.client_order_id,
        symbol=order.symbol,
        purpose=purpose,
        entry_side=EntrySide.LONG if order.side is OrderSide.SELL else EntrySide.SHORT,
        order_side=order.side,
        qty=order.qty,
        type=order.type,
        tif=order.tif,
        limit_price=order.limit_price,
        stop_price=stop_of(order),
        order_class=order.order_class,
        reason="left without a record",
    )
