"""Fills that our orders show, and no execution tells of yet: a venue's activities come seconds to minutes later.

And what the orders and the books leave possible of each position, held against what the venue says of it: the list of
positions is a system of its own, too, and may leave one out, or be behind.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from trader.core.types import ZERO, AssetClass, Execution, Order, Portfolio, Position, Symbol
from trader.core.values import maker, quick

NEGLIGIBLE = Decimal("0.00000001")  # units; the venue keeps nine decimals
FEE_SHARE = Decimal("0.003")  # no fill costs more of its value than this; a fee may be posted after its fill


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """What an order of ours has done since it was placed: between `least` and `most` units, unsigned.

    ids    of the order and of its legs
    price  the venue's mean, where it has told one
    """

    symbol: Symbol
    sign: int
    ids: tuple[str, ...]
    least: Decimal
    most: Decimal
    price: Decimal | None = None


_new_filled = maker(Filled)


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Signed units, from `low` to `high`. What was bought and sold again leaves nothing but its fees: `traded` is all
    of it, unsigned, and `bought` what a coin's fees are taken of."""

    low: Decimal = ZERO
    high: Decimal = ZERO
    traded: Decimal = ZERO
    bought: Decimal = ZERO

    def plus(self, low: Decimal, high: Decimal) -> Span:
        turnover, purchases = self.traded + max(abs(low), abs(high)), self.bought + max(high, ZERO)
        return Span(low=self.low + low, high=self.high + high, traded=turnover, bought=purchases)

    def covers(self, units: Decimal, room: Decimal) -> bool:
        return self.low - room <= units <= self.high + room


NOTHING = Span()


def filled_of(order: Order) -> Filled:
    """As the venue shows it, legs and all."""
    if not order.legs:
        units, price = order.filled_qty, order.filled_avg_price
        return _new_filled(
            symbol=order.symbol, sign=order.side.sign, ids=(order.id,), least=units, most=units,
            price=price if units else None,
        )  # fmt: skip
    tree = (order, *order.legs)
    units = sum([each.filled_qty for each in tree], ZERO)
    ids = tuple(each.id for each in tree)
    price = next((each.filled_avg_price for each in tree if each.filled_qty), None)
    return Filled(symbol=order.symbol, sign=order.side.sign, ids=ids, least=units, most=units, price=price)


def unbooked(
    orders: Iterable[Filled], book_units: Mapping[str, Decimal], new_fills: Iterable[Execution] = ()
) -> dict[Symbol, Span]:
    """By symbol, how many units are still to be told of. Symbols with nothing are absent.

    book_units  of the executions that are in the books, by order id; `new_fills` are about to be booked
    """
    units_by_order = with_fresh(book_units, new_fills)
    spans: dict[Symbol, Span] = {}
    for order in orders:
        booked_qty = sum([units_by_order.get(name, ZERO) for name in order.ids], ZERO)
        least, most = max(order.least - booked_qty, ZERO), max(order.most - booked_qty, ZERO)
        if most > 0:
            low, high = sorted((order.sign * least, order.sign * most))
            spans[order.symbol] = spans.get(order.symbol, NOTHING).plus(low, high)
    return spans


def with_fresh(book_units: Mapping[str, Decimal], new_fills: Iterable[Execution]) -> Mapping[str, Decimal]:
    """Units by order id, those of `new_fills` counted."""
    units_by_order = dict(book_units)
    for execution in new_fills:
        units_by_order[execution.order_id] = units_by_order.get(execution.order_id, ZERO) + execution.qty
    return units_by_order


def awaited_cash(
    orders: Iterable[Filled], book_units: Mapping[str, Decimal], new_fills: Iterable[Execution] = ()
) -> Decimal | None:
    """What those units have cost or brought, by the orders' own prices; None where that can't be told."""
    total, units_by_order = ZERO, with_fresh(book_units, new_fills)
    for order in orders:
        booked_qty = sum([units_by_order.get(name, ZERO) for name in order.ids], ZERO)
        if order.most <= booked_qty:
            continue
        if order.least != order.most or order.price is None:
            return None
        total -= order.sign * (order.least - booked_qty) * order.price
    return total


def fee_room(symbol: Symbol, units: Decimal) -> Decimal:
    """Units that fees in the coin can explain: they may be posted after the fill, or differ from our estimate."""
    return ZERO if symbol.asset_class is AssetClass.STOCK else FEE_SHARE * abs(units)


# ---- the positions to protect ----


def to_protect(
    portfolio: Portfolio,
    book_units: Mapping[Symbol, Decimal],
    open_fills: Mapping[Symbol, Span],
    last_portfolio: Portfolio | None,
    just_filled: Mapping[Symbol, Decimal],
    freed_symbols: Collection[Symbol] = (),
) -> Portfolio:
    """`portfolio` with every position as large as the books and the orders say at least, and no larger to be sold than
    they say at most. The same object where all agree.

    book_units      signed, by symbol
    last_portfolio  where the price of one that is left out was seen last
    just_filled     the price of each symbol's fill that is so recent that the list of positions may not show it yet
    freed_symbols   where an order of ours ended so recently that the list may still count its units as held
    """
    changes: dict[Symbol, Position] = {}
    for symbol in sorted({*book_units, *portfolio.positions, *open_fills}):
        span, units = open_fills.get(symbol, NOTHING), book_units.get(symbol, ZERO)
        position = portfolio.position(symbol)
        shown_qty = ZERO if position is None else position.qty
        low, high = units + span.low, units + span.high
        fees = fee_room(symbol, span.bought)
        room = max(NEGLIGIBLE, fee_room(symbol, abs(units) + span.traded))
        if Span(low=low, high=high).covers(shown_qty, room):
            if position is not None and symbol in freed_symbols and position.qty_available < _free(portfolio, position):
                changes[symbol] = replace(position, qty_available=_free(portfolio, position))
            continue
        nearest = min(max(shown_qty, low), high)
        if symbol.asset_class is AssetClass.CRYPTO:  # a fee is taken of what was bought, and a coin is never short
            nearest = max(nearest if nearest == shown_qty else nearest - fees, ZERO)
            nearest = ZERO if nearest <= room else nearest  # it may be nothing but fees
        if abs(nearest) > abs(shown_qty) or (nearest and nearest * shown_qty < 0):
            changes[symbol] = _left_out(portfolio, symbol, nearest, position, last_portfolio, just_filled.get(symbol))
        elif position is not None:
            changes[symbol] = _surplus(portfolio, position, nearest)
    return replace(portfolio, positions={**portfolio.positions, **changes}) if changes else portfolio


def _free(told: Portfolio, position: Position) -> Decimal:
    """What no open order holds."""
    closing = [o for o in told.orders_of(position.symbol) if o.is_open and o.side.sign * position.qty < 0]
    return max(abs(position.qty) - sum([order.remaining for order in closing], ZERO), ZERO)


def _left_out(
    portfolio: Portfolio,
    symbol: Symbol,
    qty: Decimal,
    position: Position | None,
    last_portfolio: Portfolio | None,
    price: Decimal | None,
) -> Position:
    """A position that the venue does not show, or less of it. What rests goes on resting.

    A share that is not there after all would be sold short by a new order: those go out only where the list lags a
    fill. A coin can't be: the venue would refuse it.
    """
    last_position = position or (last_portfolio.position(symbol) if last_portfolio is not None else None)
    resting = sum([o.remaining for o in portfolio.orders_of(symbol) if o.is_open and o.side.sign * qty < 0], ZERO)
    may_be_sold = price is not None or symbol.asset_class is AssetClass.CRYPTO
    return Position(
        symbol=symbol,
        qty=qty,
        qty_available=max(abs(qty) - resting, ZERO) if may_be_sold else ZERO,
        avg_entry_price=last_position.avg_entry_price if last_position is not None else price or ZERO,
        mark=last_position.mark if last_position is not None else None,
    )


def _surplus(portfolio: Portfolio, position: Position, most: Decimal) -> Position:
    """More than anything explains. It counts as exposure, and only what is explained is sold."""
    symbol = position.symbol
    resting = sum(
        [o.remaining for o in portfolio.orders_of(symbol) if o.is_open and o.side.sign * position.qty < 0], ZERO
    )
    return replace(position, qty_available=min(position.qty_available, max(abs(most) - resting, ZERO)))
