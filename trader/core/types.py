"""The words of the trading side: immutable values, no behaviour beyond their own arithmetic.

Money and quantities are Decimal, times are aware UTC. `None` means unknown, never zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import StrEnum

from trader.core.names import AssetClass as AssetClass
from trader.core.names import Symbol as Symbol
from trader.core.names import Timeframe as Timeframe
from trader.core.values import quick

ZERO = Decimal(0)


class EntrySide(StrEnum):
    """The direction of a position. Never interchangeable with OrderSide: closing a long is a sell."""

    LONG = "long"
    SHORT = "short"

    sign: int  # an attribute, not a property: looked up some twenty times a bar

    def __init__(self, text: str) -> None:
        self.sign = 1 if text == "long" else -1

    @property
    def opening(self) -> OrderSide:
        return OrderSide.BUY if self is EntrySide.LONG else OrderSide.SELL

    @property
    def closing(self) -> OrderSide:
        return OrderSide.SELL if self is EntrySide.LONG else OrderSide.BUY


class OrderSide(StrEnum):
    """The direction of an order at the venue."""

    BUY = "buy"
    SELL = "sell"

    sign: int

    def __init__(self, text: str) -> None:
        self.sign = 1 if text == "buy" else -1

    @property
    def opposite(self) -> OrderSide:
        return OrderSide.SELL if self is OrderSide.BUY else OrderSide.BUY


class OrderType(StrEnum):
    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"


class TimeInForce(StrEnum):
    DAY = "day"
    GTC = "gtc"
    IOC = "ioc"


class OrderClass(StrEnum):
    SIMPLE = "simple"
    BRACKET = "bracket"
    OCO = "oco"


class OrderStatus(StrEnum):
    ACCEPTED = "accepted"
    PENDING_NEW = "pending_new"
    NEW = "new"
    HELD = "held"
    PARTIALLY_FILLED = "partially_filled"
    PENDING_CANCEL = "pending_cancel"
    PENDING_REPLACE = "pending_replace"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    REPLACED = "replaced"
    UNKNOWN = "unknown"  # a status the venue sent that we do not know; treated as open

    is_terminal: bool

    def __init__(self, text: str) -> None:
        self.is_terminal = text in ("filled", "canceled", "expired", "rejected", "replaced")


class Purpose(StrEnum):
    """Why an order exists. Only ENTRY adds exposure; the rest reduce it."""

    ENTRY = "entry"
    TARGET = "target"
    STOP = "stop"
    PROTECT = "protect"  # an OCO that carries target and stop together
    TIME_EXIT = "time"
    SIGNAL = "signal"  # the strategy wants less of it, or none
    FLATTEN = "flatten"
    KILL = "kill"

    reduces: bool

    def __init__(self, text: str) -> None:
        self.reduces = text != "entry"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeSchedule:
    """What the venue takes of a fill, in basis points. Crypto is charged on the credited asset."""

    maker_bps: Decimal
    taker_bps: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """What the venue allows for one symbol."""

    symbol: Symbol
    tick: Decimal  # price increment, quote currency; stocks below 1 USD use `sub_dollar_tick`
    lot: Decimal  # quantity increment, units
    min_qty: Decimal  # smallest order, units
    min_notional: Decimal  # smallest buy, quote currency
    fees: FeeSchedule
    sub_dollar_tick: Decimal | None = None
    max_notional: Decimal | None = None  # most in one order, quote currency; None: any
    tradable: bool = True
    shortable: bool = False
    fractionable: bool = True

    def tick_at(self, price: Decimal) -> Decimal:
        return self.sub_dollar_tick if self.sub_dollar_tick is not None and price < 1 else self.tick

    # as `quantize` does, written out: most of what a bar's arithmetic calls

    def price_down(self, price: Decimal) -> Decimal:
        tick = self.tick if self.sub_dollar_tick is None else self.tick_at(price)
        return (price / tick).to_integral_value(rounding=ROUND_FLOOR) * tick

    def price_up(self, price: Decimal) -> Decimal:
        tick = self.tick if self.sub_dollar_tick is None else self.tick_at(price)
        return (price / tick).to_integral_value(rounding=ROUND_CEILING) * tick

    def qty_down(self, qty: Decimal) -> Decimal:
        return (qty / self.lot).to_integral_value(rounding=ROUND_FLOOR) * self.lot

    def most_units(self, price: Decimal) -> Decimal | None:
        """Of one order at `price`, on the lot; None where any will do."""
        return None if self.max_notional is None or price <= 0 else self.qty_down(self.max_notional / price)


def quantize(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    """`value` to a multiple of `step`."""
    return (value / step).to_integral_value(rounding=rounding) * step


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """Best bid and ask. `synthetic` marks one that was modelled, not seen: only the simulation may trade on it."""

    symbol: Symbol
    bid: Decimal
    ask: Decimal
    bid_size: Decimal
    ask_size: Decimal
    at: datetime
    source: str
    synthetic: bool = False

    @property
    def mid(self) -> Decimal:
        return (self.bid + self.ask) / 2

    @property
    def spread_bps(self) -> Decimal:
        return (self.ask - self.bid) / self.mid * 10_000


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    id: str
    status: str
    currency: str
    equity: Decimal
    cash: Decimal
    buying_power: Decimal
    trading_blocked: bool
    shorting_enabled: bool
    at: datetime


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """`qty` is signed: below zero is short. `qty_available` (unsigned) is what no resting order holds."""

    symbol: Symbol
    qty: Decimal
    qty_available: Decimal
    avg_entry_price: Decimal
    mark: Decimal | None

    @property
    def entry_side(self) -> EntrySide:
        return EntrySide.LONG if self.qty > 0 else EntrySide.SHORT

    @property
    def notional(self) -> Decimal:
        """Signed, at the venue's mark, or at cost where the venue gave no mark."""
        return self.qty * (self.mark if self.mark is not None else self.avg_entry_price)


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class OrderIntent:
    """An order that we mean to place: journaled before it is sent, so that a crash can neither double nor lose it.

    An OCO (`order_class`) has `limit_price` as its target and `stop_price` as its stop; both are required there.
    """

    client_order_id: str
    symbol: Symbol
    purpose: Purpose
    entry_side: EntrySide  # of the position that it opens or reduces
    order_side: OrderSide  # what the venue is told
    qty: Decimal
    type: OrderType
    tif: TimeInForce
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    order_class: OrderClass = OrderClass.SIMPLE
    reason: str = ""

    def __post_init__(self) -> None:
        expected = self.entry_side.closing if self.purpose.reduces else self.entry_side.opening
        if self.order_side is not expected:
            raise ValueError(f"{self.purpose} of a {self.entry_side} must be a {expected}, not a {self.order_side}")
        if self.qty <= 0:
            raise ValueError(f"quantity must be positive, not {self.qty}")

    @property
    def price(self) -> Decimal | None:
        """The worst price that it can trade at, where it has one."""
        return self.limit_price if self.limit_price is not None else self.stop_price


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order as the venue reports it."""

    id: str
    client_order_id: str
    symbol: Symbol
    side: OrderSide
    type: OrderType
    tif: TimeInForce
    qty: Decimal
    filled_qty: Decimal
    status: OrderStatus
    submitted_at: datetime
    updated_at: datetime
    filled_avg_price: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    order_class: OrderClass = OrderClass.SIMPLE
    legs: tuple[Order, ...] = ()

    @property
    def is_open(self) -> bool:
        return not self.status.is_terminal

    @property
    def remaining(self) -> Decimal:
        return self.qty - self.filled_qty


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One fill. `fee` is in `fee_currency`: the base asset for a crypto buy, else the quote currency.

    `fee_estimated`: the venue has not posted the fee yet, so it is our own schedule's.
    """

    id: str
    order_id: str
    symbol: Symbol
    side: OrderSide
    qty: Decimal
    price: Decimal
    at: datetime
    fee: Decimal = ZERO
    fee_currency: str = "USD"
    fee_estimated: bool = False


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Portfolio:
    """What the venue says we have, at one moment."""

    account: Account
    positions: Mapping[Symbol, Position] = field(default_factory=dict)
    orders: tuple[Order, ...] = ()  # open ones only
    at: datetime

    def position(self, symbol: Symbol) -> Position | None:
        return self.positions.get(symbol)

    def orders_of(self, symbol: Symbol) -> tuple[Order, ...]:
        return tuple([o for o in self.orders if o.symbol is symbol])  # one name, one object
