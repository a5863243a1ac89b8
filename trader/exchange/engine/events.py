"""What the simulated exchange's parts say to each other. All values; the engine is a pure function over them.

A bar is played in four phases, a quarter of its length apart: its open, its first extreme, its second extreme, its
close. A bar does not tell which extreme came first: the venue plays the order that is worse for what the account
holds or waits for (long: the low first; waiting to buy: the high first; mirrored for shorts).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import IntEnum

from trader.core.types import (
    ZERO,
    Execution,
    FeeSchedule,
    Instrument,
    OrderClass,
    OrderSide,
    OrderStatus,
    OrderType,
    Quote,
    Symbol,
    TimeInForce,
)
from trader.core.values import maker, quick


class Phase(IntEnum):
    OPEN = 0
    FIRST = 1
    SECOND = 2
    CLOSE = 3


# ---- into the engine ----


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Tape:
    """Trading of one symbol since its last tape: the price went over [low, high] and ended at `last`.

    volume       units that traded in this phase; caps what resting orders may fill
    quote        the book now, or None where there is none
    fresh_until  the last moment at which anybody may trade on that book; None: it does not age
    """

    symbol: Symbol
    at: datetime
    bar_start: datetime
    phase: Phase
    low: Decimal
    high: Decimal
    last: Decimal
    volume: Decimal
    quote: Quote | None
    uncapped: bool = (
        False  # the source has no volumes (FX): nothing known caps a fill. A known volume of 0 fills nothing
    )
    regular: bool = True  # False outside a stock's regular session: only extended-hours orders trade
    fresh_until: datetime | None = None


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Submit:
    """A new order, parsed from the wire but not yet judged. Exactly one of qty and notional is set."""

    at: datetime
    order_id: str
    client_order_id: str
    symbol: Symbol
    side: OrderSide
    type: OrderType
    tif: TimeInForce
    qty: Decimal | None
    notional: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    order_class: OrderClass = OrderClass.SIMPLE
    take_profit: Decimal | None = None  # limit price of the target leg
    stop_loss: Decimal | None = None  # stop price of the stop leg
    stop_loss_limit: Decimal | None = None
    extended_hours: bool = False
    duplicate: bool = False  # the shell knows every client id ever used; the engine answers 422 to a known one
    market_open: bool = True
    accept_s: Decimal | None = None  # seconds until it arrives, where not the rules' own
    rejected: str = ""  # a fault: why it will be rejected when it arrives


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    at: datetime
    order_id: str
    terminal: OrderStatus | None = None  # what the ledger says of an order that has left the books: 422, else 404
    cancel_s: Decimal | None = None  # seconds until it is obeyed, where not the rules' own


@dataclass(frozen=True, slots=True, kw_only=True)
class Replace:
    """PATCH: the old order becomes `replaced`, a new one with `new_order_id` takes its place."""

    at: datetime
    order_id: str
    new_order_id: str
    client_order_id: str
    qty: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    tif: TimeInForce | None = None
    terminal: OrderStatus | None = None  # as in Cancel
    duplicate: bool = False  # as in Submit


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEnd:
    """The stock session is over: day orders in stocks expire."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Halted:
    """Trading in one symbol stops or resumes (a fault, or a scripted halt)."""

    at: datetime
    symbol: Symbol
    halted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Relisted:
    """What the venue allows for one symbol is not what it was: its steps, its smallest order, who may trade it."""

    at: datetime
    instrument: Instrument


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """Time has come to `at`: orders on their way arrive, cancels that were queued are obeyed."""

    at: datetime


Event = Tape | Submit | Cancel | Replace | SessionEnd | Halted | Relisted | Due


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """An activity that is no fill. What it moves is moved at once, and it is listed from `listed_at` on.

    qty, units   as it tells them, and those that move: a dividend tells the units that it was paid on
    """

    id: str
    kind: str
    listed_at: datetime
    day: date
    cash: Decimal = ZERO
    symbol: Symbol | None = None
    qty: Decimal = ZERO
    units: Decimal = ZERO
    price: Decimal | None = None
    description: str = ""


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Advance:
    """`reason`: time (the moment asked for), fill (stopped at a fill or a late rejection), end (the data are over)."""

    now: datetime
    reason: str


# ---- state ----


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchingRules:
    """What the simulation assumes of the market and the account. Shares are of a tape's volume, in [0, 1]."""

    volume_share: Decimal = Decimal("0.25")  # of what traded, all our fills in that symbol together take at most this
    touch_share: Decimal = ZERO  # a limit that was touched, not traded through, takes at most this
    stop_slip: Decimal = ZERO  # a stop passed within a bar fills this far from there to the path's end, [0, 1]
    quote_size_limits: bool = False  # a fill at the quote takes at most the size shown there
    margin_multiplier: Decimal = Decimal(1)  # of equity, for stocks; crypto is never marginable
    accept_s: Decimal = ZERO  # market seconds between an order's POST and its arrival; 0: it arrives at once
    cancel_s: Decimal = ZERO  # between a cancel's 204 and the order's end
    coin_order_limit: Decimal | None = Decimal(200_000)  # USD that one order in a coin may be worth; None: any
    optimistic: bool = False  # plays each bar's extremes in the order that is better for the account: a bound, no claim


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class SimOrder:
    """An order in the exchange's books. Legs of a bracket or OCO name their parent and each other's sibling."""

    id: str
    client_order_id: str
    symbol: Symbol
    side: OrderSide
    type: OrderType
    tif: TimeInForce
    qty: Decimal
    status: OrderStatus
    submitted_at: datetime
    updated_at: datetime
    filled_qty: Decimal = ZERO
    filled_notional: Decimal = ZERO
    notional: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    order_class: OrderClass = OrderClass.SIMPLE
    parent_id: str | None = None
    leg_ids: tuple[str, ...] = ()
    sibling_id: str | None = None  # one cancels the other
    taker: bool = False  # was marketable on arrival and has been since: pays the taker fee, fills at the quote
    extended_hours: bool = False
    triggered: bool = False  # a stop that has fired
    entered_bar: datetime | None = None  # the bar in which it was accepted, where that was after the bar's open
    filled_at: datetime | None = None
    canceled_at: datetime | None = None
    expired_at: datetime | None = None
    replaced_by: str | None = None
    replaces: str | None = None
    arrives_at: datetime | None = None  # on its way until then: held and paid for, but nobody can trade with it
    arrives_as: OrderStatus = OrderStatus.NEW
    leaves_at: datetime | None = None  # its cancel is queued until then
    reject_reason: str = ""
    failed_at: datetime | None = None

    @property
    def filled_avg_price(self) -> Decimal | None:
        return self.filled_notional / self.filled_qty if self.filled_qty else None


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """`qty` is signed. `cost` is signed too: what was paid for what is held."""

    qty: Decimal
    cost: Decimal


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """The engine's whole state. Terminal orders leave it: the ledger keeps them."""

    cash: Decimal
    holdings: Mapping[Symbol, Holding] = field(default_factory=dict)
    orders: Mapping[str, SimOrder] = field(default_factory=dict)  # open ones, by id, oldest first
    instruments: Mapping[Symbol, Instrument] = field(default_factory=dict)
    tapes: Mapping[Symbol, Tape] = field(default_factory=dict)  # the last of each symbol
    halted: frozenset[Symbol] = frozenset()
    crypto_fees: FeeSchedule
    executions: int = 0  # how many there have been: numbers the next
    rules: MatchingRules = field(default_factory=MatchingRules)
    used: Mapping[Symbol, Decimal] = field(default_factory=dict)  # of the last tape's volume, by our fills, units
    filled_bar: Mapping[Symbol, datetime] = field(default_factory=dict)  # start of the bar of a symbol's last fill

    def showing(self, tape: Tape) -> Books:
        """With that one as the last of its symbol, and nothing else changed. Written out: it is made at each tape."""
        return _new_books(
            cash=self.cash,
            holdings=self.holdings,
            orders=self.orders,
            instruments=self.instruments,
            tapes={**self.tapes, tape.symbol: tape},
            halted=self.halted,
            crypto_fees=self.crypto_fees,
            executions=self.executions,
            rules=self.rules,
            used={**self.used, tape.symbol: ZERO},
            filled_bar=self.filled_bar,
        )


_new_books = maker(Books)


# ---- out of the engine ----


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class OrderEvent:
    """A trade update: `event` is the venue's word (new, fill, partial_fill, canceled, expired, replaced, held ...)."""

    event: str
    at: datetime
    order: SimOrder
    execution: Execution | None = None
    position_qty: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The venue's no: HTTP status, its code, its message, and figures for the body."""

    status: int
    code: int
    message: str
    extra: Mapping[str, str] = field(default_factory=dict)


Output = OrderEvent | Refusal
