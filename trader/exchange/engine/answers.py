"""The venue's no, as an exception."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from trader.core.types import OrderSide, Symbol
from trader.exchange.engine.events import Refusal
from trader.exchange.engine.requests import NewOrder


class VenueRefusal(Exception):
    """The venue's no."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def refused(status: int, code: int, message: str) -> VenueRefusal:
    return VenueRefusal(Refusal(status=status, code=code, message=message))


def no_position(symbol: Symbol | str) -> VenueRefusal:
    name = symbol.position_name if isinstance(symbol, Symbol) else symbol
    return refused(404, 40410000, f"position does not exist: {name!a}")


def require_allowed(configuration: Mapping[str, Any], new: NewOrder, held: Decimal) -> None:
    """By what the account's owner has set. Raises VenueRefusal."""
    if configuration["suspend_trade"]:
        raise refused(403, 40310000, "new orders are rejected by user request")
    if configuration["no_shorting"] and new.side is OrderSide.SELL and held <= 0:
        raise refused(403, 40310000, "account is not allowed to short")
