"""The venue's no, as an exception."""

from __future__ import annotations

from trader.core.types import Symbol
from trader.exchange.engine.events import Refusal


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
