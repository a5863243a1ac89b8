"""What is held and what may yet be held: dust, our own orders, and exposure with open orders counted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from operator import attrgetter

from trader.core.ids import account_tag, parse_client_order_id
from trader.core.types import (
    ZERO,
    Account,
    EntrySide,
    Instrument,
    Order,
    OrderSide,
    Portfolio,
    Position,
    Purpose,
    Quote,
    Symbol,
)
from trader.core.values import altered, maker, quick

SMALLEST_SALE = Decimal(1)  # quote currency: what is worth less is not worth an order


def is_dust(position: Position, instrument: Instrument, price: Decimal | None = None) -> bool:
    """Too small to be sold: left where it is, and no obstacle to an entry. The venue's minimum in value is one of buys.

    Judged by value, at the highest of entry, mark and `price`: half an ether is no dust, and a position does not
    become dust by falling.
    """
    qty = abs(position.qty)
    tradable = instrument.qty_down(qty)
    highest = max(position.avg_entry_price, ZERO)
    for known in (position.mark, price):
        if known is not None and known > highest:
            highest = known
    value = qty * highest
    return tradable < instrument.min_qty or tradable == 0 or value < min(instrument.min_notional, SMALLEST_SALE)


def is_held(position: Position | None, instrument: Instrument | None) -> bool:
    """Whether there is a position to protect. One whose instrument is unknown is held: never hide a position."""
    if position is None or position.qty == 0:
        return False
    return instrument is None or not is_dust(position, instrument)


def is_ours(order: Order, account_id: str) -> bool:
    """Whether this daemon made it for this account, by the name that it gave it."""
    parsed = parse_client_order_id(order.client_order_id)
    return parsed is not None and parsed.account == account_tag(account_id)


def own_entries(portfolio: Portfolio) -> tuple[Order, ...]:
    """Open orders of ours that add exposure."""
    entries = []
    for order in portfolio.orders:
        parsed = parse_client_order_id(order.client_order_id)
        if parsed is not None and parsed.purpose is Purpose.ENTRY and is_ours(order, portfolio.account.id):
            entries.append(order)
    return tuple(entries)


def orphans(portfolio: Portfolio) -> tuple[Order, ...]:
    """Our open exits in symbols without a position: to be cancelled, they could only open something."""
    strays = []
    for order in portfolio.orders:
        identity, position = parse_client_order_id(order.client_order_id), portfolio.position(order.symbol)
        flat = position is None or position.qty == 0
        if flat and identity is not None and identity.purpose.reduces and is_ours(order, portfolio.account.id):
            strays.append(order)
    return tuple(strays)


def moved(before: Portfolio | None, after: Portfolio) -> bool:
    """Whether there can be a new execution: each changes cash or what is held."""
    if before is None or before.account.cash != after.account.cash:
        return True
    if not (before.positions or after.positions):
        return False
    return {s: p.qty for s, p in before.positions.items()} != {s: p.qty for s, p in after.positions.items()}


def changed(before: Portfolio | None, after: Portfolio) -> bool:
    """Whether anything is another than its time."""
    if before is None:
        return True
    if (before.positions, before.orders) != (after.positions, after.orders):
        return True
    return _lasting(before.account) != _lasting(after.account)


_lasting = attrgetter(*(each.name for each in fields(Account) if each.name != "at"))


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """What is committed, account currency. Every entry that is allowed takes its share before the next is judged.

    by_symbol   gross, unsigned: the position and the open orders that could add to it
    positions   of by_symbol, what is held, by direction
    pending     of by_symbol, what open and planned orders could add, by direction
    spent       buying power that the entries of this plan have taken
    entries     symbols with a position or an entry
    orders      entries planned so far
    """

    by_symbol: Mapping[Symbol, Decimal] = field(default_factory=dict)
    positions: Mapping[EntrySide, Decimal] = field(default_factory=dict)
    pending: Mapping[EntrySide, Decimal] = field(default_factory=dict)
    spent: Decimal = ZERO
    entries: frozenset[Symbol] = frozenset()
    orders: int = 0

    @property
    def gross(self) -> Decimal:
        return sum(self.by_symbol.values(), ZERO)

    def of(self, symbol: Symbol) -> Decimal:
        return self.by_symbol.get(symbol, ZERO)

    def held(self, side: EntrySide) -> Decimal:
        return self.positions.get(side, ZERO)

    def committed(self, side: EntrySide) -> Decimal:
        """Held, and what could yet be added."""
        return self.held(side) + self.pending.get(side, ZERO)

    def plus(self, symbol: Symbol, side: EntrySide, notional: Decimal) -> Exposure:
        """With orders for `notional` more (unsigned)."""
        return altered(
            self,
            by_symbol={**self.by_symbol, symbol: self.of(symbol) + notional},
            pending={**self.pending, side: self.pending.get(side, ZERO) + notional},
            entries=self.entries | {symbol},
        )

    def taking(self, symbol: Symbol, side: EntrySide, notional: Decimal, cost: Decimal) -> Exposure:
        """After an entry of this plan, which takes `cost` of the buying power."""
        return altered(self.plus(symbol, side, notional), spent=self.spent + cost, orders=self.orders + 1)


_new_exposure = maker(Exposure)


def exposure_of(
    portfolio: Portfolio,
    instruments: Mapping[Symbol, Instrument],
    quotes: Mapping[Symbol, Quote],
    gone: Collection[str],
) -> Exposure:
    """Positions at their marks plus every open order that could add to one, but those in `gone` (venue ids)."""
    positions = {symbol: position for symbol, position in sorted(portfolio.positions.items()) if position.qty}
    by_side = {EntrySide.LONG: ZERO, EntrySide.SHORT: ZERO}
    for position in positions.values():
        by_side[position.entry_side] += abs(position.notional)
    exposure = _new_exposure(
        by_symbol={symbol: abs(position.notional) for symbol, position in positions.items()},
        positions=by_side,
        entries=frozenset(s for s, position in positions.items() if is_held(position, instruments.get(s))),
    )
    for order in _adding(portfolio, gone):
        price = order_price(order, quotes)
        if price is not None:
            side = EntrySide.LONG if order.side is OrderSide.BUY else EntrySide.SHORT
            exposure = exposure.plus(order.symbol, side, order.remaining * price)
    return exposure


def unpriced_orders(portfolio: Portfolio, quotes: Mapping[Symbol, Quote], gone: Collection[str]) -> tuple[Order, ...]:
    """Open orders that could add exposure of a size that can't be told (a market order without a quote)."""
    return tuple(order for order in _adding(portfolio, gone) if order_price(order, quotes) is None)


def order_price(order: Order, quotes: Mapping[Symbol, Quote]) -> Decimal | None:
    """The price at which an open order counts."""
    if order.limit_price is not None:
        return order.limit_price
    if order.stop_price is not None:
        return order.stop_price
    quote = quotes.get(order.symbol)
    return quote.ask if quote is not None and quote.ask.is_finite() and quote.ask > 0 else None


def _adding(portfolio: Portfolio, gone: Collection[str]) -> Iterable[Order]:
    for order in portfolio.orders:
        position = portfolio.position(order.symbol)
        reducing = position is not None and position.qty != 0 and (position.qty > 0) == (order.side is OrderSide.SELL)
        if order.id not in gone and order.is_open and order.remaining > 0 and not reducing:
            yield order
