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
        traded, bought = self.traded + max(abs(low), abs(high)), self.bought + max(high, ZERO)
        return Span(low=self.low + low, high=self.high + high, traded=traded, bought=bought)

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
    orders: Iterable[Filled], booked: Mapping[str, Decimal], fresh: Iterable[Execution] = ()
) -> dict[Symbol, Span]:
    """By symbol, how many units are still to be told of. Symbols with nothing are absent.

    booked  units of the executions that are in the books, by order id; `fresh` are about to be booked
    """
    counted = with_fresh(booked, fresh)
    spans: dict[Symbol, Span] = {}
    for each in orders:
        known = sum([counted.get(name, ZERO) for name in each.ids], ZERO)
        least, most = max(each.least - known, ZERO), max(each.most - known, ZERO)
        if most > 0:
            low, high = sorted((each.sign * least, each.sign * most))
            spans[each.symbol] = spans.get(each.symbol, NOTHING).plus(low, high)
    return spans


def with_fresh(booked: Mapping[str, Decimal], fresh: Iterable[Execution]) -> Mapping[str, Decimal]:
    """Units by order id, those of `fresh` counted."""
    counted = dict(booked)
    for execution in fresh:
        counted[execution.order_id] = counted.get(execution.order_id, ZERO) + execution.qty
    return counted


def awaited_cash(
    orders: Iterable[Filled], booked: Mapping[str, Decimal], fresh: Iterable[Execution] = ()
) -> Decimal | None:
    """What those units have cost or brought, by the orders' own prices; None where that can't be told."""
    total, counted = ZERO, with_fresh(booked, fresh)
    for each in orders:
        known = sum([counted.get(name, ZERO) for name in each.ids], ZERO)
        if each.most <= known:
            continue
        if each.least != each.most or each.price is None:
            return None
        total -= each.sign * (each.least - known) * each.price
    return total


def fee_room(symbol: Symbol, units: Decimal) -> Decimal:
    """Units that fees in the coin can explain: they may be posted after the fill, or differ from our estimate."""
    return ZERO if symbol.asset_class is AssetClass.STOCK else FEE_SHARE * abs(units)


# ---- the positions to protect ----


def to_protect(
    told: Portfolio,
    booked: Mapping[Symbol, Decimal],
    open_fills: Mapping[Symbol, Span],
    before: Portfolio | None,
    just_filled: Mapping[Symbol, Decimal],
    freed: Collection[Symbol] = (),
) -> Portfolio:
    """`told` with every position as large as the books and the orders say at least, and no larger to be sold than they
    say at most. The same object where all agree.

    booked       signed units by the books
    before       where the price of one that is left out was seen last
    just_filled  the price of each symbol's fill that is so recent that the list of positions may not show it yet
    freed        where an order of ours ended so recently that the list may still count its units as held
    """
    changed: dict[Symbol, Position] = {}
    for symbol in sorted({*booked, *told.positions, *open_fills}):
        span, units = open_fills.get(symbol, NOTHING), booked.get(symbol, ZERO)
        position = told.position(symbol)
        shown = ZERO if position is None else position.qty
        low, high = units + span.low, units + span.high
        fees = fee_room(symbol, span.bought)
        room = max(NEGLIGIBLE, fee_room(symbol, abs(units) + span.traded))
        if Span(low=low, high=high).covers(shown, room):
            if position is not None and symbol in freed and position.qty_available < _free(told, position):
                changed[symbol] = replace(position, qty_available=_free(told, position))
            continue
        nearest = min(max(shown, low), high)
        if symbol.asset_class is AssetClass.CRYPTO:  # a fee is taken of what was bought, and a coin is never short
            nearest = max(nearest if nearest == shown else nearest - fees, ZERO)
            nearest = ZERO if nearest <= room else nearest  # it may be nothing but fees
        if abs(nearest) > abs(shown) or (nearest and nearest * shown < 0):
            changed[symbol] = _left_out(told, symbol, nearest, position, before, just_filled.get(symbol))
        elif position is not None:
            changed[symbol] = _surplus(told, position, nearest)
    return replace(told, positions={**told.positions, **changed}) if changed else told


def _free(told: Portfolio, position: Position) -> Decimal:
    """What no open order holds."""
    closing = [o for o in told.orders_of(position.symbol) if o.is_open and o.side.sign * position.qty < 0]
    return max(abs(position.qty) - sum([order.remaining for order in closing], ZERO), ZERO)


def _left_out(
    told: Portfolio,
    symbol: Symbol,
    qty: Decimal,
    position: Position | None,
    before: Portfolio | None,
    price: Decimal | None,
) -> Position:
    """A position that the venue does not show, or less of it. What rests goes on resting.

    A share that is not there after all would be sold short by a new order: those go out only where the list lags a
    fill. A coin can't be: the venue would refuse it.
    """
    last = position or (before.position(symbol) if before is not None else None)
    resting = sum([o.remaining for o in told.orders_of(symbol) if o.is_open and o.side.sign * qty < 0], ZERO)
    may_be_sold = price is not None or symbol.asset_class is AssetClass.CRYPTO
    return Position(
        symbol=symbol,
        qty=qty,
        qty_available=max(abs(qty) - resting, ZERO) if may_be_sold else ZERO,
        avg_entry_price=last.avg_entry_price if last is not None else price or ZERO,
        mark=last.mark if last is not None else None,
    )


def _surplus(told: Portfolio, position: Position, most: Decimal) -> Position:
    """More than anything explains. It counts as exposure, and only what is explained is sold."""
    symbol = position.symbol
    resting = sum([o.remaining for o in told.orders_of(symbol) if o.is_open and o.side.sign * position.qty < 0], ZERO)
    return replace(position, qty_available=min(position.qty_available, max(abs(most) - resting, ZERO)))
