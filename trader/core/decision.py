"""The values of one decision: everything that went in, everything that came out.

`DecisionInputs` is complete: `plan(inputs)` is a pure function of it, and the journal keeps it, so that
`trader replay` can run the decision again and must get the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from forecasters.types import Forecast
from trader.core.types import EntrySide, Instrument, OrderIntent, Portfolio, Quote, Symbol, Timeframe
from trader.core.values import quick


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class MarketView:
    """What a strategy may look at. A symbol without a usable quote or forecast is absent from those maps."""

    now: datetime
    timeframe: Timeframe
    portfolio: Portfolio
    quotes: Mapping[Symbol, Quote]
    forecasts: Mapping[Symbol, Forecast]
    instruments: Mapping[Symbol, Instrument]


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """A strategy's wish for one symbol. `entry_side` None: no new entry, though the exit levels may be fresh.

    Prices are on the instrument's tick. `edge` is the expected round-trip return (exit/entry - 1, signed for the
    side) before fees and spreads: subtracting the costs is for the risk layer, from its own figures.
    """

    symbol: Symbol
    entry_side: EntrySide | None
    entry: Decimal | None = None
    target: Decimal | None = None
    stop: Decimal | None = None
    edge: Decimal | None = None
    reason: str = ""


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """Where a position is to be left. Kept in the journal; `manage` acts on it between bars."""

    symbol: Symbol
    entry_side: EntrySide
    target: Decimal | None
    stop: Decimal | None
    set_at: datetime
    expires_at: datetime | None  # out by then, at the market if need be


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
