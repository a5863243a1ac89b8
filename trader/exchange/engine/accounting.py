"""What an account is worth, what its orders hold, and how one execution changes it. Pure arithmetic over the books.

Units: cash and values in USD, quantities in units of the instrument, signed where a position can be short.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from trader.core.fees import schedule_for
from trader.core.types import (
    ZERO,
    AssetClass,
    Execution,
    Instrument,
    OrderSide,
    OrderStatus,
    OrderType,
    Quote,
    Symbol,
)
from trader.core.values import altered, maker, quick
from trader.exchange.engine.events import Books, Holding, MatchingRules, Posted, SimOrder

SHORT_MARKUP = Decimal("1.03")  # a short is valued this far above the ask when it is measured against buying power
NOTHING = Holding(qty=ZERO, cost=ZERO)
_STOPS = (OrderType.STOP, OrderType.STOP_LIMIT)


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class PositionFigures:
    """One position. `mark` is the last trade, None where nothing has traded: then it is valued at cost."""

    symbol: Symbol
    qty: Decimal  # signed
    qty_available: Decimal  # unsigned: what no resting order holds
    avg_entry_price: Decimal
    cost: Decimal  # signed
    market_value: Decimal  # signed
    mark: Decimal | None
    unrealized_pl: Decimal


_new_position_figures = maker(PositionFigures)


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFigures:
    cash: Decimal
    equity: Decimal
    long_market_value: Decimal
    short_market_value: Decimal  # zero or below
    buying_power: Decimal  # for stocks; open orders deducted
    non_marginable_buying_power: Decimal  # for crypto; open orders deducted
    reserved: Decimal  # by open buys and shorts
    positions: tuple[PositionFigures, ...]


_new_account_figures = maker(AccountFigures)


def open_books(
    cash: Decimal,
    instruments: Mapping[Symbol, Instrument],
    volume_30d: Decimal = ZERO,
    rules: MatchingRules | None = None,
) -> Books:
    """Books of a new account. `volume_30d` USD of crypto in the last 30 days sets its fee tier."""
    return Books(
        cash=cash,
        instruments=dict(instruments),
        crypto_fees=schedule_for(AssetClass.CRYPTO, volume_30d),
        rules=rules if rules is not None else MatchingRules(),
    )


def account_figures(books: Books) -> AccountFigures:
    """The account at the last marks."""
    positions = tuple([_position(books, symbol, holding) for symbol, holding in books.holdings.items()])
    long_value = short_value = crypto_value = ZERO
    for position in positions:
        if position.qty > 0:
            long_value += position.market_value
        elif position.qty < 0:
            short_value += position.market_value
        if position.symbol.asset_class is AssetClass.CRYPTO:
            crypto_value += position.market_value
    equity = books.cash + long_value + short_value
    reserved = sum([reserved_by(books, order) for order in books.orders.values()], ZERO)
    stock_gross = long_value - short_value - crypto_value
    stock_room = (equity - crypto_value) * books.rules.margin_multiplier - stock_gross
    crypto_room = equity - long_value + short_value  # the cash, less what covering the shorts would take twice over
    return _new_account_figures(
        cash=books.cash,
        equity=equity,
        long_market_value=long_value,
        short_market_value=short_value,
        buying_power=max(ZERO, stock_room - reserved),
        non_marginable_buying_power=max(ZERO, min(crypto_room, stock_room) - reserved),
        reserved=reserved,
        positions=positions,
    )


def worth_the_same(first: Books, second: Books) -> bool:
    """Whether two moments of one account surely have equal figures: nothing that a tape can move is held or ordered.

    Cheaper than the figures: of a flat account whose entries wait at prices of their own there are many moments.
    """
    same_money = first.holdings is second.holdings and first.orders is second.orders and first.cash == second.cash
    return same_money and not first.holdings and all(map(_has_own_price, first.orders.values()))


def _has_own_price(order: SimOrder) -> bool:
    """Valued against buying power without a look at the market."""
    return order.side is OrderSide.BUY and bool(order.limit_price or order.stop_price)


def _position(books: Books, symbol: Symbol, holding: Holding) -> PositionFigures:
    tape = books.tapes.get(symbol)
    value = holding.qty * tape.last if tape is not None else holding.cost
    return _new_position_figures(
        symbol=symbol,
        qty=holding.qty,
        qty_available=available(books, symbol),
        avg_entry_price=holding.cost / holding.qty,
        cost=holding.cost,
        market_value=value,
        mark=tape.last if tape is not None else None,
        unrealized_pl=value - holding.cost,
    )


def held_for_orders(books: Books, symbol: Symbol) -> Decimal:
    """Units of the position that open reducing orders hold. An OCO pair holds them once."""
    qty, held = books.holdings.get(symbol, NOTHING).qty, ZERO
    for order in books.orders.values():
        if order.symbol == symbol and order.side.sign * qty < 0 and _holds(books, order):
            held += order.qty - order.filled_qty
    return held


def _holds(books: Books, order: SimOrder) -> bool:
    shared = order.sibling_id in books.orders and order.type in _STOPS  # its sibling holds the quantity for both
    return order.status is not OrderStatus.HELD and not shared


def available(books: Books, symbol: Symbol) -> Decimal:
    """Units, unsigned, that a new reducing order may take."""
    return abs(books.holdings.get(symbol, NOTHING).qty) - held_for_orders(books, symbol)


def opens(books: Books, symbol: Symbol, side: OrderSide) -> bool:
    """Whether an order on that side would add to the position, not reduce it."""
    return books.holdings.get(symbol, NOTHING).qty * side.sign >= 0


def reserved_by(books: Books, order: SimOrder) -> Decimal:
    """USD of buying power that an open order takes: buys and shorts that open, nothing for those that reduce."""
    if order.status is OrderStatus.HELD or not opens(books, order.symbol, order.side):
        return ZERO
    price = valuation_price(books, order.symbol, order.side, order.limit_price, order.stop_price)
    return ZERO if price is None else (order.qty - order.filled_qty) * price


def valuation_price(
    books: Books, symbol: Symbol, side: OrderSide, limit_price: Decimal | None, stop_price: Decimal | None
) -> Decimal | None:
    """What one unit is valued at against buying power. None where nothing says."""
    own = limit_price or stop_price
    if side is OrderSide.BUY and own:
        return own
    quote = sound_quote(books, symbol)
    if side is OrderSide.BUY:
        return quote.ask if quote is not None else None
    floor = quote.ask * SHORT_MARKUP if quote is not None else None
    return max((price for price in (own, floor) if price is not None), default=None)


def sound_quote(books: Books, symbol: Symbol) -> Quote | None:
    """The quote of the last tape, or None where it is missing, one-sided or crossed."""
    tape = books.tapes.get(symbol)
    return None if tape is None else sound(tape.quote)


def sound(quote: Quote | None) -> Quote | None:
    """`quote`, or None where nobody could trade on it."""
    if quote is None or not (quote.bid.is_finite() and quote.ask.is_finite()):
        return None
    if not (quote.bid_size.is_finite() and quote.ask_size.is_finite()):
        return None
    return quote if ZERO < quote.bid <= quote.ask else None


def book(cash: Decimal, holding: Holding, execution: Execution) -> tuple[Decimal, Holding]:
    """Cash and holding after one execution: the only way in which either ever changes.

    A fee in coin lessens what is received; `cost` stays what was paid for the units that are held.
    """
    signed_qty = execution.qty * execution.side.sign
    in_coin = execution.fee_currency == execution.symbol.base and execution.symbol.asset_class is AssetClass.CRYPTO
    received_qty = signed_qty - execution.fee if in_coin else signed_qty
    cash = cash - signed_qty * execution.price - (ZERO if in_coin else execution.fee)
    qty = holding.qty + received_qty
    if qty == 0:
        return cash, NOTHING
    if holding.qty * signed_qty >= 0:
        return cash, Holding(qty=qty, cost=holding.cost + received_qty * execution.price)
    if qty * holding.qty > 0:
        return cash, Holding(qty=qty, cost=holding.cost * qty / holding.qty)
    return cash, Holding(qty=qty, cost=qty * execution.price)  # through zero; the engine's rules never let it come here


def posted(books: Books, entry: Posted) -> Books:
    """After an activity that is no fill. Units that come in cost nothing, those that go out take their share along."""
    holdings = dict(books.holdings)
    if entry.symbol is not None and entry.units:
        held = holdings.pop(entry.symbol, NOTHING)
        qty = held.qty + entry.units
        cost = held.cost if abs(qty) >= abs(held.qty) or not held.qty else held.cost * qty / held.qty
        if qty:
            holdings[entry.symbol] = Holding(qty=qty, cost=cost)
    return altered(books, cash=books.cash + entry.cash, holdings=holdings)
