"""What must hold at the end of every run, whatever happened in it: looked at in production, not only in tests.

Each is O(positions and open orders). One that does not hold is a fault of this program or of the venue's report, never
normal operation; so what is allowed here is wider than what risk allows when it lets an entry through.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from decimal import Decimal

from trader.core.ids import purpose_of
from trader.core.portfolio import is_ours
from trader.core.types import ZERO, AssetClass, Order, Portfolio, Position

DRIFT = Decimal("1.5")  # prices move between an entry and now: a cap may be exceeded by so much without a fault
LEAST = Decimal("0.000001")  # of a quantity, relative: fees in the coin are rounded


def violations(
    portfolio: Portfolio, known: Collection[str], equity: Decimal, *, max_symbol: Decimal, max_gross: Decimal
) -> tuple[str, ...]:
    """One line each, with the figures; empty where all of it holds.

    known   client order ids that the journal has made
    equity  our own: cash and units at marks, account currency
    caps    shares of equity, as RISK__ sets them
    """
    return (
        *_one_exit_each(portfolio),
        *_known_orders(portfolio, known),
        *_nothing_impossible(portfolio),
        *_within_caps(portfolio, equity, max_symbol, max_gross),
    )


def _one_exit_each(portfolio: Portfolio) -> Iterator[str]:
    """No unit is promised twice: exits of ours never add up to more than is held."""
    if len(portfolio.orders) < 2:
        return
    for symbol, position in sorted(portfolio.positions.items()):
        exits = [order for order in portfolio.orders_of(symbol) if _reduces(order, portfolio)]
        promised = sum((order.remaining for order in exits), ZERO)
        if len(exits) > 1 and promised > abs(position.qty) * (1 + LEAST):
            names = ", ".join(order.id for order in exits)
            yield f"{symbol}: exits {names} sell {promised}, held are {abs(position.qty)}"


def _known_orders(portfolio: Portfolio, known: Collection[str]) -> Iterator[str]:
    """An order under our name that this journal never made is another program's, or of a journal that was lost."""
    for order in portfolio.orders:
        if is_ours(order, portfolio.account.id) and order.client_order_id not in known:
            yield f"{order.symbol}: order {order.client_order_id} bears our name, and this journal never made it"


def _nothing_impossible(portfolio: Portfolio) -> Iterator[str]:
    for symbol, position in sorted(portfolio.positions.items()):
        if position.qty < 0 and symbol.asset_class is AssetClass.CRYPTO:
            yield f"{symbol}: {position.qty} held, and coins cannot be sold short"
        if not position.qty.is_finite():
            yield f"{symbol}: a quantity of {position.qty}"


def _within_caps(portfolio: Portfolio, equity: Decimal, max_symbol: Decimal, max_gross: Decimal) -> Iterator[str]:
    """Only while there are entries of ours open: what is held may have grown by itself, or be a person's."""
    entries = [order for order in portfolio.orders if _opens(order, portfolio)]
    if not entries or equity <= 0:
        return
    pending = {order.symbol: order.remaining * (order.limit_price or ZERO) for order in entries}
    values = {symbol: _value(position) for symbol, position in portfolio.positions.items()}
    for symbol, value in sorted(pending.items()):
        whole = value + values.get(symbol, ZERO)
        if whole > equity * max_symbol * DRIFT:
            yield f"{symbol}: {whole:.2f} held and on order, over {max_symbol:.0%} of an equity of {equity:.2f}"
    gross = sum(values.values(), ZERO) + sum(pending.values(), ZERO)
    if gross > equity * max_gross * DRIFT:
        yield f"{gross:.2f} held and on order, over {max_gross:.0%} of an equity of {equity:.2f}"


def _value(position: Position) -> Decimal:
    return abs(position.qty) * (position.mark if position.mark is not None else position.avg_entry_price)


def _reduces(order: Order, portfolio: Portfolio) -> bool:
    purpose = purpose_of(order)
    return order.is_open and purpose is not None and purpose.reduces and is_ours(order, portfolio.account.id)


def _opens(order: Order, portfolio: Portfolio) -> bool:
    purpose = purpose_of(order)
    return order.is_open and purpose is not None and not purpose.reduces and is_ours(order, portfolio.account.id)
