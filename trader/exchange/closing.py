"""Closing positions as DELETE /v2/positions does: market orders against what is held."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from trader.core.types import AssetClass, OrderSide, OrderType, Symbol, TimeInForce
from trader.exchange.api.parse import NewOrder
from trader.exchange.engine.answers import VenueRefusal, no_position, refused
from trader.exchange.engine.events import Refusal, SimOrder
from trader.exchange.venue import Venue


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """What became of closing one position: the order, or the refusal."""

    symbol: Symbol
    order: SimOrder | None
    refusal: Refusal | None


def close_position(
    venue: Venue, symbol: Symbol, *, qty: Decimal | None = None, percentage: Decimal | None = None
) -> SimOrder:
    """A market order against the position. Raises VenueRefusal."""
    holding = venue.books.holdings.get(symbol)
    if holding is None or not holding.qty:
        raise no_position(symbol)
    units = qty if qty is not None else abs(holding.qty)
    if percentage is not None and percentage != 100:
        units = venue.market.instruments[symbol].qty_down(units * percentage / 100)
    if units <= 0:
        raise refused(422, 40010001, "qty must be > 0")
    return venue.submit(
        NewOrder(
            symbol=symbol.text,
            side=OrderSide.SELL if holding.qty > 0 else OrderSide.BUY,
            type=OrderType.MARKET,
            tif=TimeInForce.GTC if symbol.asset_class is AssetClass.CRYPTO else TimeInForce.DAY,
            qty=units,
        )
    )


def close_all(venue: Venue, *, cancel_orders: bool) -> list[Closed]:
    if cancel_orders:
        venue.cancel_all()
    results = []
    for symbol in list(venue.books.holdings):
        try:
            results.append(Closed(symbol=symbol, order=close_position(venue, symbol), refusal=None))
        except VenueRefusal as no:
            results.append(Closed(symbol=symbol, order=None, refusal=no.refusal))
    return results
