"""What `flatten` and `kill` have not sold yet, and why not: what the commands wait for."""

from __future__ import annotations

from collections.abc import Callable

from trader.core.portfolio import is_held
from trader.core.types import Instrument, Portfolio, Symbol
from trader.trading.consent import by_hand


def still_held(
    portfolio: Portfolio | None,
    is_left: Callable[[Symbol], bool],
    instrument: Callable[[Symbol], Instrument | None],
    why: Callable[[Symbol, Portfolio], str],
) -> dict[Symbol, str]:
    """By symbol, of the last sync; dust can't be sold and is not among them.

    is_left  whether a person wants to be out of it
    why      what was decided about its exit last
    """
    left = [] if portfolio is None else [symbol for symbol in portfolio.positions if is_left(symbol)]
    if portfolio is None or not left:
        return {}
    unsold = [symbol for symbol in left if is_held(portfolio.positions[symbol], instrument(symbol))]
    return {symbol: why(symbol, portfolio) for symbol in unsold}


def in_the_way(symbol: Symbol, portfolio: Portfolio) -> str:
    """Orders that are not ours: one of them may be why the venue refuses an exit."""
    foreign_orders = [order for order in by_hand(portfolio) if order.symbol == symbol]
    texts = [
        f"{o.side} {o.remaining} at {o.limit_price or o.stop_price or 'the market'} ({o.id})" for o in foreign_orders
    ]
    return f"; beside an order that is not ours: {', '.join(texts)}" if texts else ""
