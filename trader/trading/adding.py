"""An entry in a symbol that is held already. The venue takes no buy beside a resting stop of the same symbol, so that
our exit makes room for the moment of the entry, and rests again after it.
"""

from __future__ import annotations

from collections.abc import Mapping

from trader.core.ids import purpose_of
from trader.core.types import OrderIntent, Portfolio, Quote, Symbol
from trader.trading import failpoints
from trader.trading.desk import Desk
from trader.trading.positions import Manager


def add_to_position(
    desk: Desk, manager: Manager, intent: OrderIntent, portfolio: Portfolio, quotes: Mapping[Symbol, Quote]
) -> tuple[bool, Portfolio]:
    """Whether the venue took it, and the portfolio with its exit at rest again. With the desk's lock held, after the
    last look. A crash in between leaves a position without its exit, which the next start sets first of all."""
    symbol = intent.symbol
    exit_ids = [order.id for order in portfolio.orders_of(symbol) if (why := purpose_of(order)) and why.reduces]
    before = portfolio.position(symbol)
    if exit_ids:
        manager.attempts.withdrawn(symbol)
        confirmed = desk.cancel(exit_ids)
        portfolio = desk.refresh()
        after = portfolio.position(symbol)
        if not confirmed or after is None or before is None or after.qty != before.qty:
            desk.drop(intent, "its exit filled, or would not make room")
            return False, manager.protect_all(portfolio, quotes)
    failpoints.reach("while_bare")
    order = desk.place(intent)
    if order is not None:
        desk.wait_for_end(order.id)  # it takes what is there and ends; a share's may stay, and makes room in turn
    return order is not None, manager.protect_all(desk.refresh(), quotes)
