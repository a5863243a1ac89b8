"""What a client asks of the venue, once it is known to be well formed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from trader.core.types import OrderClass, OrderSide, OrderType, TimeInForce
from trader.core.values import quick

# Of an account, as Alpaca answers it; a client may change each.
DEFAULT_CONFIGURATION: Mapping[str, Any] = {
    "fractional_trading": True,
    "max_margin_multiplier": "4",
    "no_shorting": False,
    "suspend_trade": False,
    "trade_confirm_email": "all",
    "ptp_no_exception_entry": False,
    "max_options_trading_level": None,
}


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class NewOrder:
    """A well-formed order request. Exactly one of qty and notional is set; which symbol that is, is not yet known."""

    symbol: str
    side: OrderSide
    type: OrderType
    tif: TimeInForce
    qty: Decimal | None = None
    notional: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    client_order_id: str | None = None
    order_class: OrderClass = OrderClass.SIMPLE
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    stop_loss_limit: Decimal | None = None
    extended_hours: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    qty: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    tif: TimeInForce | None = None
    client_order_id: str | None = None
