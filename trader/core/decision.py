"""The values of one decision: everything that went in, everything that came out.

`DecisionInputs` is complete: `plan(inputs)` is a pure function of it, and the journal keeps it, so that
`trader replay` can run the decision again and must get the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from forecasters.types import Forecast
from trader.core.market import Bars
from trader.core.portfolio import Exposure, exposure_of
from trader.core.types import EntrySide, Instrument, OrderIntent, Portfolio, Position, Quote, Symbol, Timeframe
from trader.core.values import SPARSE, quick


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class MarketView:
    """What a strategy may look at. A symbol without a usable quote or forecast is absent from those maps.

    bars    the newest closed bars of each symbol, as many as the strategy's `bars(params)` asks for; none by default
    since   when each position was begun, as far as that is known
    """

    now: datetime
    timeframe: Timeframe
    portfolio: Portfolio
    quotes: Mapping[Symbol, Quote]
    forecasts: Mapping[Symbol, Forecast]
    instruments: Mapping[Symbol, Instrument]
    bars: Mapping[Symbol, Bars] = field(default_factory=dict)
    since: Mapping[Symbol, datetime] = field(default_factory=dict)

    @property
    def exposure(self) -> Exposure:
        """What is committed, account currency: positions at their marks, and open orders that could add to them."""
        return exposure_of(self.portfolio, self.instruments, self.quotes, ())

    def age(self, symbol: Symbol) -> timedelta | None:
        """How long it has been held; None where it is not, or nobody knows."""
        since = self.since.get(symbol)
        return None if since is None or symbol not in self.portfolio.positions else self.now - since

    def profit(self, symbol: Symbol) -> Decimal | None:
        """What is held is worth so much more than it cost, as a ratio of the cost, before the fees of the way out: at
        the side of the quote that it could be sold at, or at the venue's mark. None where that can't be told."""
        position = self.portfolio.position(symbol)
        price = None if position is None else self._price(position)
        if position is None or price is None or position.avg_entry_price <= 0:
            return None
        return (price / position.avg_entry_price - 1) * position.entry_side.sign

    def _price(self, position: Position) -> Decimal | None:
        quote = self.quotes.get(position.symbol)
        if quote is None:
            return position.mark
        return quote.bid if position.entry_side is EntrySide.LONG else quote.ask


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """A strategy's wish for one symbol, of one of two kinds.

    Levels: an entry at a price, with the prices to leave at. `entry_side` None: no new entry, though the exit levels
    may be fresh.

    A target position, where `weight` or `units` is given (`hold` and `leave` make one): so much is to be held from now
    on, below zero short. What is missing is bought and what is too much is sold, both at once. `entry_side` is None.

    Prices are on the instrument's tick. `edge` is the expected round-trip return (exit/entry - 1, signed for the
    side) before fees and spreads: subtracting the costs is for the risk layer, from its own figures.

    weight    share of equity; 0 leaves the position
    units     instead of `weight`
    band      nothing is done while what is held differs by no more than this from what is wanted: a share of equity
              with `weight`, units with `units`. Leaving has none.
    max_age   levels: how long it may be held, at most EXITS__MAX_AGE_S; a target: how long it stays without being
              wanted anew, at most EXITS__TARGET_AGE_S
    """

    symbol: Symbol
    entry_side: EntrySide | None
    entry: Decimal | None = None
    target: Decimal | None = None
    stop: Decimal | None = None
    edge: Decimal | None = None
    reason: str = ""
    weight: Decimal | None = field(default=None, metadata=SPARSE)
    units: Decimal | None = field(default=None, metadata=SPARSE)
    band: Decimal = field(default=Decimal(0), metadata=SPARSE)
    max_age: timedelta | None = field(default=None, metadata=SPARSE)

    @property
    def is_target(self) -> bool:
        return self.weight is not None or self.units is not None

    @property
    def is_leaving(self) -> bool:
        return self.is_target and not (self.weight or self.units)


def hold(
    symbol: Symbol,
    *,
    weight: Decimal | None = None,
    units: Decimal | None = None,
    band: Decimal = Decimal(0),
    stop: Decimal | None = None,
    target: Decimal | None = None,
    edge: Decimal | None = None,
    max_age: timedelta | None = None,
    reason: str,
) -> Signal:
    """A target position. What opens or adds needs a `stop`; without one, a position keeps the one that it has."""
    return Signal(
        symbol=symbol,
        entry_side=None,
        target=target,
        stop=stop,
        edge=edge,
        reason=reason,
        weight=weight,
        units=units,
        band=band,
        max_age=max_age,
    )


def leave(symbol: Symbol, *, reason: str) -> Signal:
    """All of it is to be sold, or bought back, now: at a loss too, whatever the limits of entries say."""
    return Signal(symbol=symbol, entry_side=None, weight=Decimal(0), reason=reason)


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """Where a position is to be left. Kept in the journal; `manage` acts on it between bars.

    keep    units, unsigned: what is held beyond them is sold now, at the market; None: nothing
    since   when the position was begun, or was to be
    why     the strategy's reason for `keep`
    """

    symbol: Symbol
    entry_side: EntrySide
    target: Decimal | None
    stop: Decimal | None
    set_at: datetime
    expires_at: datetime | None  # out by then, at the market if need be
    keep: Decimal | None = field(default=None, metadata=SPARSE)
    since: datetime | None = field(default=None, metadata=SPARSE)
    why: str = field(default="", metadata=SPARSE)


class ExitRests(StrEnum):
    """Which exit owns the quantity where the venue takes only one."""

    TARGET = "target"
    STOP = "stop"
    NEAREST = "nearest"


class Hold(StrEnum):
    BAR = "bar"  # out at the close of the forecast bar
    CARRY = "carry"  # re-priced each cycle, up to a maximum age


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitPolicy:
    exit_rests: ExitRests = ExitRests.NEAREST
    hysteresis_bps: Decimal = Decimal(10)  # the other level must be nearer by this much before they change places
    hold: Hold = Hold.CARRY
    max_age: timedelta = timedelta(days=2)
    target_age: timedelta = field(default=timedelta(days=7), metadata=SPARSE)  # of one that is not wanted anew
    chase_collar_bps: Decimal = Decimal(100)  # how far past a gapped stop an ioc limit may reach
    stocks_overnight: bool = False
    flat_before_close: timedelta = timedelta(minutes=10)
    max_order_age: timedelta = timedelta(hours=24)
    fallback_stop_bps: Decimal = Decimal(500)  # from the entry, for a position whose levels are not known
    max_quote_age: timedelta = timedelta(seconds=60)  # nothing is left by an older quote
    watch_quote_age: timedelta = timedelta(seconds=30)  # with an older one the stop rests at the venue
    max_spread_bps: Decimal = Decimal(500)  # a wider quote is no price
    max_disagreement_bps: Decimal = Decimal(1_000)  # between quote, mark and the price before
    max_attempts_per_minute: int = 6  # at one symbol's exit


class SizingRule(StrEnum):
    FIXED = "fixed"  # a fixed fraction of equity for each entry
    KELLY = "kelly"  # a fraction of what makes equity grow fastest, if the forecast is right


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """Shares of equity, for each entry."""

    rule: SizingRule = SizingRule.FIXED
    fraction: Decimal = Decimal("0.10")
    kelly_fraction: Decimal = Decimal("0.25")  # of the full Kelly share: the forecast's errors are not in it
    kelly_cap: Decimal = Decimal("0.20")


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskLimits:
    """Ratios are of equity. Each applies to entries only; reductions are never denied by them."""

    max_symbol: Decimal = Decimal("0.20")
    max_gross: Decimal = Decimal("0.80")
    max_net: Decimal = Decimal("0.80")
    max_open_entries: int = 20
    max_order_notional: Decimal = Decimal(50_000)  # account currency
    collar_bps: Decimal = Decimal(500)  # an entry's limit may lie no further than this from the quote's mid
    max_spread_bps: Decimal = Decimal(100)
    max_quote_age: timedelta = timedelta(seconds=30)
    min_edge_bps: Decimal = Decimal(5)  # left after fees and half-spreads of the round trip
    max_orders_per_minute: int = 60
    max_daily_loss: Decimal = Decimal("0.03")
    max_drawdown: Decimal = Decimal("0.15")
    cooldown: timedelta = timedelta(hours=1)  # no new entry in a symbol for this long after a stop
    max_day_notional: Decimal = Decimal(20)  # of equity, entered in a day; 0: any
    max_day_orders: int = 2_000  # entries sent in a day; 0: any
    max_refusals: int = 20  # entries refused in a row; 0: any
    max_losing_exits: int = 0  # in a row; 0: any
    equity_band: Decimal = Decimal("0.02")  # by which the venue's equity may differ from our own count
    max_level_distance: Decimal = Decimal("0.25")  # a level further than this from the last close is absurd
    allow_synthetic_quotes: bool = False  # the simulation only


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class RiskState:
    """What risk must remember from one cycle to the next. None is unknown: then no entry."""

    day_start_equity: Decimal | None = None
    peak_equity: Decimal | None = None
    orders_last_minute: int = 0
    last_stop_at: Mapping[Symbol, datetime] | None = None
    day_notional: Decimal = Decimal(0)  # entered since the day began, account currency
    day_orders: int = 0  # entries sent since then
    refusals: int = 0  # entries refused in a row
    losing_exits: int = 0  # in a row
    paused: str = ""  # the reason; "" is not paused
    halted: str = ""
    killed: str = ""
    doubted: str = field(default="", metadata=SPARSE)  # what of the books or of equity nobody can vouch for now


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionInputs:
    cycle_id: str
    now: datetime
    timeframe: Timeframe
    strategy: str
    params: Mapping[str, str]  # the strategy's Params as text, in its own field names
    sizing: Sizing
    limits: RiskLimits
    exits: ExitPolicy
    portfolio: Portfolio
    quotes: Mapping[Symbol, Quote]
    forecasts: Mapping[Symbol, Forecast]
    instruments: Mapping[Symbol, Instrument]
    levels: Mapping[Symbol, Levels]
    open_symbols: frozenset[Symbol]  # those whose market is open and may be entered now
    risk: RiskState
    add_latest: bool = True  # off: quotes are not real, so nothing is entered
    bars: Mapping[Symbol, Bars] = field(default_factory=dict, metadata=SPARSE)  # those that the strategy asked for
    ages: bool = field(default=False, metadata=SPARSE)  # levels say since when; off in records from before they did


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """Ours, not the venue's. `rule` is the limit's name, `detail` its figures."""

    symbol: Symbol
    rule: str
    detail: str


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What risk said of one proposed entry: allowed as it was, shrunk (`allowed` below `wanted`), or denied."""

    symbol: Symbol
    wanted: Decimal  # units
    allowed: Decimal
    denials: tuple[Denial, ...] = ()
    net_edge_bps: Decimal | None = None


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What this cycle means to do: cancel first, then reductions, then entries."""

    signals: tuple[Signal, ...]
    verdicts: tuple[Verdict, ...]
    cancels: tuple[str, ...]  # venue order ids
    intents: tuple[OrderIntent, ...]
    levels: tuple[Levels, ...]  # fresh ones, to be kept for `manage`
