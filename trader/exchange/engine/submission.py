"""From an order request to the engine's event."""

from __future__ import annotations

from datetime import datetime

from trader.core.types import Symbol
from trader.core.values import maker
from trader.exchange.engine.events import Submit
from trader.exchange.engine.requests import NewOrder

_new_submit = maker(Submit)


def submission(
    new: NewOrder,
    symbol: Symbol,
    *,
    order_id: str,
    client_order_id: str,
    at: datetime,
    duplicate: bool,
    market_open: bool,
) -> Submit:
    """What the shell knows and the engine does not goes in here: the time, the ids, whether the market is open."""
    return _new_submit(
        at=at,
        order_id=order_id,
        client_order_id=client_order_id,
        symbol=symbol,
        side=new.side,
        type=new.type,
        tif=new.tif,
        qty=new.qty,
        notional=new.notional,
        limit_price=new.limit_price,
        stop_price=new.stop_price,
        order_class=new.order_class,
        take_profit=new.take_profit,
        stop_loss=new.stop_loss,
        stop_loss_limit=new.stop_loss_limit,
        extended_hours=new.extended_hours,
        duplicate=duplicate,
        market_open=market_open,
    )
