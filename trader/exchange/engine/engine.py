"""The matching engine: one event in, new books and what happened out. Pure, and it never raises.

Everything that happens is an OrderEvent, in order; everything that is refused is one Refusal and unchanged books.
An order that ends leaves the books: the ledger keeps it. Events that make no sense (a tape with a low above its high,
a symbol that nobody lists) change nothing.
"""

from __future__ import annotations

from decimal import Decimal

from trader.core.types import ZERO, AssetClass, OrderClass, OrderStatus, TimeInForce
from trader.core.values import altered, maker
from trader.exchange.engine.accounting import AccountFigures, PositionFigures, account_figures, open_books
from trader.exchange.engine.events import (
    Books,
    Cancel,
    Due,
    Event,
    Halted,
    Output,
    Refusal,
    Relisted,
    Replace,
    SessionEnd,
    SimOrder,
    Submit,
    Tape,
)
from trader.exchange.engine.matching import entered_bar, on_arrival, on_tape, rests_on
from trader.exchange.engine.rules import DUPLICATE, INVALID, NOT_FOUND, judge
from trader.exchange.engine.waiting import after, arrive_and_leave, sent
from trader.exchange.engine.working_books import Desk, leg_of

_new_sim_order = maker(SimOrder)
__all__ = ["AccountFigures", "PositionFigures", "account_figures", "apply", "open_books"]

Result = tuple[Books, tuple[Output, ...]]
_LARGEST = Decimal("1e12")


def apply(books: Books, event: Event) -> Result:
    """The books after `event`, and the trade updates, or the one refusal, that it caused, in order."""
    if isinstance(event, Tape):
        return _tape(books, event)
    if isinstance(event, Submit):
        return _submit(books, event)
    if isinstance(event, Cancel):
        return _cancel(books, event)
    if isinstance(event, Replace):
        return _replace(books, event)
    if isinstance(event, SessionEnd):
        return _session_end(books, event)
    if isinstance(event, Due):
        return _due(books, event)
    if isinstance(event, Relisted):
        is_listed = event.instrument.symbol in books.instruments
        instruments = {**books.instruments, event.instrument.symbol: event.instrument}
        return altered(books, instruments=instruments) if is_listed else books, ()
    return _halted(books, event)


def _done(desk: Desk) -> Result:
    return desk.books(), tuple(desk.outputs)


def _refused(books: Books, status: int, code: int, message: str) -> Result:
    return books, (Refusal(status=status, code=code, message=message),)


# ---- the market ----


def _tape(books: Books, tape: Tape) -> Result:
    if tape.symbol not in books.instruments or not _makes_sense(tape):
        return books, ()
    if all(rests_on(order, tape) for order in books.orders.values()):  # only marks move
        return books.showing(tape), ()
    desk = Desk(books, tape.at)
    on_tape(desk, tape, books)
    return _done(desk)


def _makes_sense(tape: Tape) -> bool:
    if not (tape.low.is_finite() and tape.high.is_finite() and tape.last.is_finite() and tape.volume.is_finite()):
        return False
    return ZERO < tape.low <= tape.last <= tape.high <= _LARGEST and ZERO <= tape.volume <= _LARGEST


def _due(books: Books, due: Due) -> Result:
    desk = Desk(books, due.at)
    arrive_and_leave(desk, books)
    return _done(desk)


def _session_end(books: Books, event: SessionEnd) -> Result:
    """Day orders in stocks expire. One that was accepted while the market was closed has not had its day yet."""
    desk = Desk(books, event.at)
    for order in books.orders.values():
        day = order.tif is TimeInForce.DAY and order.symbol.asset_class is AssetClass.STOCK
        status = order.arrives_as if order.arrives_at is not None else order.status
        if day and status not in (OrderStatus.ACCEPTED, OrderStatus.HELD):  # a held leg goes with its entry
            current = desk.orders.get(order.id)
            if current is not None:
                desk.end(current, OrderStatus.EXPIRED)
    return _done(desk)


def _halted(books: Books, event: Halted) -> Result:
    symbols = books.halted | {event.symbol} if event.halted else books.halted - {event.symbol}
    return altered(books, halted=symbols), ()


# ---- orders ----


def _submit(books: Books, submit: Submit) -> Result:
    submit, refusal = judge(books, submit)
    if refusal is not None or submit.qty is None:
        return books, () if refusal is None else (refusal,)
    desk = Desk(books, submit.at)
    order = _order_from(books, submit, submit.qty)
    _enter(desk, books, sent(order, books, submit), _legs_of(order, submit))
    return _done(desk)


def _order_from(books: Books, submit: Submit, qty: Decimal) -> SimOrder:
    waiting = _waits(books, submit)
    idle = waiting or submit.symbol in books.halted
    return _new_sim_order(
        id=submit.order_id,
        client_order_id=submit.client_order_id,
        symbol=submit.symbol,
        side=submit.side,
        type=submit.type,
        tif=submit.tif,
        qty=qty,
        status=OrderStatus.ACCEPTED if idle else OrderStatus.NEW,
        submitted_at=submit.at,
        updated_at=submit.at,
        notional=submit.notional,
        limit_price=submit.take_profit if submit.order_class is OrderClass.OCO else submit.limit_price,
        stop_price=submit.stop_price,
        order_class=submit.order_class,
        extended_hours=submit.extended_hours,
        entered_bar=entered_bar(books, books.tapes.get(submit.symbol), waiting=waiting),
    )


def _waits(books: Books, submit: Submit) -> bool:
    """A stock order outside the session waits for the next one, unless it may trade in a market that runs now."""
    if submit.market_open or submit.symbol.asset_class is AssetClass.CRYPTO:
        return False
    tape = books.tapes.get(submit.symbol)
    return not (submit.extended_hours and tape is not None and not tape.regular)


def _legs_of(order: SimOrder, submit: Submit) -> tuple[SimOrder, ...]:
    """A bracket's target and stop, held until the entry has filled; an OCO's stop, beside its target `order`."""
    if submit.take_profit is None or submit.stop_loss is None:
        return ()
    stop = leg_of(order, "stop", submit.stop_loss, submit.stop_loss_limit)
    if submit.order_class is OrderClass.OCO:
        return (altered(stop, sibling_id=order.id),)
    target = leg_of(order, "target", submit.take_profit)
    away = order.side.opposite
    return (
        altered(target, side=away, status=OrderStatus.HELD, sibling_id=stop.id),
        altered(stop, side=away, status=OrderStatus.HELD, sibling_id=target.id),
    )


def _enter(desk: Desk, books: Books, order: SimOrder, legs: tuple[SimOrder, ...]) -> None:
    if legs:
        sibling_id = legs[0].id if order.order_class is OrderClass.OCO else None
        order = altered(order, leg_ids=tuple(leg.id for leg in legs), sibling_id=sibling_id)
    if order.arrives_at is not None:
        legs = tuple(leg if leg.status is OrderStatus.HELD else _likewise(leg, order) for leg in legs)
    desk.place(order, legs, event=order.status.value)
    if order.arrives_at is not None:
        return
    if order.status is OrderStatus.ACCEPTED and order.symbol not in books.halted:
        return
    # an OCO's stop meets the market before its target does
    for arriving_id in (*(leg.id for leg in legs if leg.status is not OrderStatus.HELD), order.id):
        on_arrival(desk, arriving_id, books)


def _likewise(leg: SimOrder, order: SimOrder) -> SimOrder:
    """On its way as its parent is."""
    return altered(leg, status=order.status, arrives_at=order.arrives_at, arrives_as=leg.status)


def _cancel(books: Books, event: Cancel) -> Result:
    order = books.orders.get(event.order_id)
    if order is None:
        return _gone(books, event.order_id, event.terminal)
    if order.leaves_at is not None:
        return _refused(books, 422, INVALID, 'order is already in "pending_cancel" state')
    desk = Desk(books, event.at)
    wait_s = event.cancel_s if event.cancel_s is not None else books.rules.cancel_s
    if wait_s > 0 and order.status is not OrderStatus.HELD:  # a leg that does not work yet has nothing to wait for
        leaves_at = after(event.at, wait_s)
        leaving = altered(order, status=OrderStatus.PENDING_CANCEL, leaves_at=leaves_at, updated_at=event.at)
        desk.emit("pending_cancel", desk.put(leaving))
    else:
        desk.end(order, OrderStatus.CANCELED)
    return _done(desk)


def _gone(books: Books, order_id: str, terminal: OrderStatus | None) -> Result:
    if terminal is None:
        return _refused(books, 404, NOT_FOUND, f"order not found for {order_id}")
    return _refused(books, 422, INVALID, f'order is already in "{terminal}" state')


def _replace(books: Books, event: Replace) -> Result:
    """A new order in the old one's place. `qty` counts what the old one has filled: the new one is for the rest."""
    old = books.orders.get(event.order_id)
    if old is None:
        return _gone(books, event.order_id, event.terminal)
    if event.duplicate or event.client_order_id == old.client_order_id or event.new_order_id == old.id:
        return _refused(books, 422, DUPLICATE, "client_order_id must be unique")
    if old.arrives_at is not None or old.leaves_at is not None:
        return _refused(books, 422, INVALID, f"cannot replace order in {old.status} status")
    if old.order_class is not OrderClass.SIMPLE:
        return _refused(books, 422, INVALID, "only simple orders can be replaced: cancel and place it again")
    qty = event.qty if event.qty is not None else old.qty
    if not qty.is_finite() or qty <= old.filled_qty:
        return _refused(books, 422, INVALID, "qty must be greater than filled_qty")
    without = {order_id: order for order_id, order in books.orders.items() if order_id != old.id}
    submit, refusal = judge(altered(books, orders=without), _as_submit(old, event, qty - old.filled_qty))
    if refusal is not None or submit.qty is None:
        return books, () if refusal is None else (refusal,)
    desk = Desk(books, event.at)
    del desk.orders[old.id]
    replaced_order = altered(old, status=OrderStatus.REPLACED, updated_at=event.at, replaced_by=event.new_order_id)
    desk.emit("replaced", replaced_order)
    _enter(desk, books, altered(_order_from(books, submit, submit.qty), replaces=old.id), ())
    return _done(desk)


def _as_submit(old: SimOrder, event: Replace, qty: Decimal) -> Submit:
    return Submit(
        at=event.at,
        order_id=event.new_order_id,
        client_order_id=event.client_order_id,
        symbol=old.symbol,
        side=old.side,
        type=old.type,
        tif=event.tif if event.tif is not None else old.tif,
        qty=qty,
        limit_price=event.limit_price if event.limit_price is not None else old.limit_price,
        stop_price=event.stop_price if event.stop_price is not None else old.stop_price,
        extended_hours=old.extended_hours,
        market_open=old.status is not OrderStatus.ACCEPTED,
    )
