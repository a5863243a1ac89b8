"""Orders between two states: sent but not arrived, cancelled but not gone. Pure, as the engine is.

An order on its way is in the books: it holds its quantity or its money, it can be cancelled, and nothing trades with
it. When it arrives it meets the market as it is then. A queued cancel leaves an order at work until its time comes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal

from trader.core.types import OrderStatus
from trader.core.values import altered
from trader.exchange.engine.events import Books, SimOrder, Submit
from trader.exchange.engine.matching import entered_bar, on_arrival
from trader.exchange.engine.working_books import Desk

_MICROSECONDS = Decimal(1_000_000)


def sent(order: SimOrder, books: Books, submit: Submit) -> SimOrder:
    """`order` as it is when its POST is answered: arrived, or on its way."""
    wait_s = submit.accept_s if submit.accept_s is not None else books.rules.accept_s
    if wait_s <= 0 and not submit.rejected:
        return order
    return altered(
        order,
        status=OrderStatus.PENDING_NEW,
        arrives_as=order.status,
        arrives_at=after(submit.at, wait_s),
        reject_reason=submit.rejected,
    )


def after(moment: datetime, seconds: Decimal) -> datetime:
    return moment + timedelta(microseconds=int(seconds * _MICROSECONDS))


def next_due(orders: Iterable[SimOrder]) -> datetime | None:
    """When the first of them arrives or leaves."""
    moments = [moment for order in orders for moment in (order.arrives_at, order.leaves_at) if moment is not None]
    return min(moments, default=None)


def arrive_and_leave(desk: Desk, books: Books) -> None:
    """What is due at the desk's moment: the arrivals in the order in which they were sent, then the queued cancels."""
    here = [o for o in books.orders.values() if o.arrives_at is not None and o.arrives_at <= desk.at]
    # an OCO's stop meets the market before its target does; the target was sent first
    for sent_one in sorted(here, key=lambda o: (o.arrives_at, o.submitted_at)):
        order = desk.orders.get(sent_one.id)  # one before it may have changed it, or ended it
        if order is None:
            continue
        if order.reject_reason:
            desk.end(order, OrderStatus.REJECTED)
        elif order.parent_id is None:
            _arrive(desk, order, books)
    for order in books.orders.values():
        current = desk.orders.get(order.id)
        if current is not None and current.leaves_at is not None and current.leaves_at <= desk.at:
            desk.end(current, OrderStatus.CANCELED)


def _arrive(desk: Desk, order: SimOrder, books: Books) -> None:
    """With its legs, as far as they are on their way."""
    family = [leg for leg_id in order.leg_ids if (leg := desk.orders.get(leg_id)) is not None and leg.arrives_at]
    for member in (order, *family):
        is_leaving = member.status is OrderStatus.PENDING_CANCEL
        bar = entered_bar(books, books.tapes.get(member.symbol), waiting=member.arrives_as is OrderStatus.ACCEPTED)
        arrival = altered(
            member,
            status=member.status if is_leaving else member.arrives_as,
            arrives_at=None,
            entered_bar=bar,
            updated_at=desk.at,
        )
        desk.put(arrival)
        if not is_leaving:
            desk.emit(arrival.status.value, arrival)
    if order.arrives_as is OrderStatus.ACCEPTED and order.symbol not in books.halted:
        return
    for member in (*family, order):
        on_arrival(desk, member.id, books)
