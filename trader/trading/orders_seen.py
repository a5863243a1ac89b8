"""What single orders of ours have done, as far as it can be seen: in the list, or asked for by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from functools import partial

from trader.core.types import ZERO, Order, Portfolio
from trader.core.unbooked import Filled, filled_of
from trader.errors import Transient
from trader.trading.history import CLOCKS
from trader.trading.parts import Parts
from trader.trading.ports import Broker, KnownIntent


def look_up(
    broker: Broker, parts: Parts, names: Sequence[str], live: Mapping[str, KnownIntent]
) -> dict[str, Order | None]:
    """What could be learnt of them."""
    found: dict[str, Order | None] = {}
    for name in names:
        try:
            found[name] = parts.read("look-up", partial(_one, broker, name, live[name].order_id))
        except Transient:
            break  # the others of now would be answered alike
    return found


def _one(broker: Broker, name: str, order_id: str | None) -> Order | None:
    """By our own name for it, or by the venue's where that fails."""
    try:
        return broker.order_by_client_id(name)
    except Transient:
        order = broker.order(order_id) if order_id is not None else None
        if order is None:
            raise
        return order


def with_hidden(portfolio: Portfolio, answers: Mapping[str, Order | None]) -> Portfolio:
    """An order that the list leaves out and the look-up shows is open all the same: none is placed beside it."""
    listed_ids = {order.id for order in portfolio.orders}
    hidden_orders = [o for o in answers.values() if o is not None and o.is_open and o.id not in listed_ids]
    return replace(portfolio, orders=(*portfolio.orders, *hidden_orders)) if hidden_orders else portfolio


def filled_lately(
    portfolio: Portfolio,
    answers: Mapping[str, Order | None],
    live: Mapping[str, KnownIntent],
    booked: Mapping[str, Decimal],
) -> tuple[tuple[Filled, ...], datetime | None]:
    """What our live orders have done that is not booked yet, as far as it can be seen; and since when at most, by the
    venue's clock. `booked`: units by order id."""
    shown = {order.client_order_id: order for order in portfolio.orders}
    found, owing = list[Filled](), list[datetime]()
    for name, record in live.items():
        order = shown.get(name) or answers.get(name)
        if order is not None:
            if not (order.filled_qty or order.legs):
                continue  # the usual case: it rests
            each = filled_of(order)
            if each.most > sum([booked.get(one, ZERO) for one in each.ids], ZERO):
                found.append(each)
                owing.append(min(record.created_at, order.submitted_at))
        elif name not in answers or record.order_id is not None:  # not seen: it may have done nothing, or all
            intent, ids = record.intent, (record.order_id,) if record.order_id else ()
            sign = intent.order_side.sign
            found.append(Filled(symbol=intent.symbol, sign=sign, ids=ids, least=ZERO, most=intent.qty))
            owing.append(record.created_at - CLOCKS)  # by our own clock
    return tuple(found), min(owing, default=None)
