"""What our live orders have done that is not booked yet, as far as the venue shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from trader.core.types import ZERO, Order, Portfolio
from trader.core.unbooked import Filled, filled_of
from trader.trading.ports import KnownIntent

Answers = Mapping[str, Order | None]  # by client order id; None where the venue does not know it


def with_hidden(portfolio: Portfolio, answers: Answers) -> Portfolio:
    """An order that the list leaves out and the look-up shows is open all the same: none is placed beside it."""
    listed = {order.id for order in portfolio.orders}
    hidden = [o for o in answers.values() if o is not None and o.is_open and o.id not in listed]
    return replace(portfolio, orders=(*portfolio.orders, *hidden)) if hidden else portfolio


def filled_meanwhile(
    portfolio: Portfolio, answers: Answers, live: Mapping[str, KnownIntent], booked: Mapping[str, Decimal]
) -> tuple[tuple[Filled, ...], datetime | None]:
    """And since when at most.

    booked  units of the booked executions, by order id
    """
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
                owing.append(record.created_at)
        elif name not in answers or record.order_id is not None:  # not seen: it may have done nothing, or all
            intent, ids = record.intent, (record.order_id,) if record.order_id else ()
            sign = intent.order_side.sign
            found.append(Filled(symbol=intent.symbol, sign=sign, ids=ids, least=ZERO, most=intent.qty))
            owing.append(record.created_at)
    return tuple(found), min(owing, default=None)
