"""Every single setting, by group: its name, unit, default and bounds. Frozen, and free of effects.

A setting's name in the environment is its group's prefix and its field name in capitals (`KRONOS_` + `compile`);
fields in `flat` go without the prefix. The nearest thing to a manual is `.env.example`, which is made from this file.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from settings.kinds import (
    COMPILABLE,
    BarFiles,
    BarLength,
    Bars,
    BasisPoints,
    DatabaseUrl,
    Dollars,
    Group,
    HttpUrl,
    Key,
    Leverage,
    Name,
    Place,
    PositiveSeconds,
    Right,
    Seconds,
    Share,
    Speed,
    StrategyName,
    StreamUrl,
    Symbols,
    Unit,
)


def _none_of_empty(value: Any) -> Any:
    return None if value == "" else value


def _utc(moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


Moment = Annotated[
    datetime | None,
    BeforeValidator(_none_of_empty),
    AfterValidator(_utc),
    Right("a time like 2025-06-01T00:00:00Z"),
]
STRATEGIES = ("maxdiff", "edge", "flat")


class Trading(Group):
    """What is traded, on what forecasts, by which strategy, and when."""

    trading_mode: Literal["sim", "paper", "live"] = Field(
        default="sim", description="Where orders go: the simulated exchange, Alpaca's paper account, or real money."
    )
    live_account: Annotated[str, Right("the account number as the venue shows it")] = Field(
        default="",
        max_length=40,
        pattern=r"^[A-Za-z0-9-]*$",
        description="The account number that live trading is meant for. Live does not start without it, nor if the "
        "keys turn out to belong to another account.",
    )
    paper: Annotated[bool | None, BeforeValidator(_none_of_empty)] = Field(
        default=None,
        description="An old name for the mode. Not needed; where given it must agree: true with sim or paper, false "
        "with live.",
    )
    forecaster: Name = Field(
        default="baseline",
        description="Who forecasts: baseline, kronos, toto, or the name of an installed third-party backend. "
        "kronos-compiled and toto-compiled are the same families with their COMPILE setting on.",
    )
    forecaster_fallback: Literal["eager", "none"] = Field(
        default="eager",
        description="What replaces a compiled backend that misbehaves: the same weights uncompiled (eager), or "
        "nothing. Never another model: that would be another trade.",
    )
    strategy: StrategyName = Field(
        default="maxdiff",
        description="Which strategy turns forecasts into wishes: one that `trader strategies` lists, like maxdiff or "
        "flat, or the path of a file of your own, like ./my_strategy.py.",
    )
    symbols: Symbols = Field(
        default=("BTC/USD", "ETH/USD"), description="What is traded: BTC/USD for a crypto pair, AAPL for a stock."
    )
    timeframe: BarLength = Field(
        default="1Hour",
        description="The length of a bar. One cycle runs at each bar's close; for a stock's days (1Day) at the open of "
        "the next session, and for coins beside them at midnight UTC.",
    )
    context: Bars = Field(default=360, description="How many closed bars the forecaster sees.")
    horizon: Annotated[int, Field(ge=1, le=256), Unit("bars")] = Field(
        default=4, description="How many bars are forecast. A level must be reached within them."
    )
    adopt: Literal["ask", "adopt", "ignore"] = Field(
        default="ask",
        description="What was there before the first start, in a symbol of SYMBOLS: holdings, and orders by hand. "
        "ask: it is left alone and told of, until `trader adopt`. adopt: it gets exits as if we had bought it. "
        "ignore: it is left alone without a word.",
    )
    add_latest: bool = Field(
        default=True,
        description="Fetch the real bid and ask before deciding. Off means that nothing is entered; live trading "
        "refuses to start with it off.",
    )
    trade_delay_s: Annotated[float, Field(ge=0, le=3600), Unit("s")] = Field(
        default=5, description="Wait after a bar's close before asking for it."
    )
    bar_deadline_s: PositiveSeconds = Field(
        default=60, description="How long to ask for the expected bar before the cycle goes on without that symbol."
    )
    forecast_deadline_s: PositiveSeconds = Field(
        default=60, description="How long a forecast may take. After it the worker is killed and nothing is entered."
    )
    strategy_deadline_s: PositiveSeconds = Field(
        default=5, description="How long the strategy may think. After it, nothing is entered in that cycle."
    )
    manage_interval_s: Annotated[float, Field(ge=0.5, le=300), Unit("s")] = Field(
        default=5, description="How often positions are protected and orders aged, between bars."
    )

    @property
    def backend(self) -> str:
        """The forecaster's one name: `kronos` is eager, `kronos-compiled` is compiled."""
        return self.forecaster

    @property
    def family(self) -> str:
        name = self.forecaster.removesuffix("-compiled")
        return name if name in COMPILABLE else self.forecaster

    @property
    def compiled(self) -> bool:
        return self.family != self.forecaster


class Venue(Group):
    """The brokerage. Give the keys as systemd credentials or in the environment, never on a command line."""

    alpaca_api_key_id: Key = Field(
        default=SecretStr(""),
        description="The key's id. Paper keys begin with PK, live ones with AK: neither works for the other mode.",
    )
    alpaca_api_secret_key: Key = Field(default=SecretStr(""), description="The key's secret.")
    alpaca_trading_url: HttpUrl = Field(
        default="",
        description="Where orders go. Empty: the mode's own (in sim: an exchange that the daemon starts itself).",
    )
    alpaca_data_url: HttpUrl = Field(default="", description="Where bars and quotes come from. Empty: the mode's own.")
    alpaca_trade_stream_url: StreamUrl = Field(
        default="", description="The stream of trade updates. Empty: the mode's own."
    )
    alpaca_feed: Literal["iex", "sip"] = Field(
        default="iex",
        description="Which stock feed: iex is free and one venue, sip is all of them and needs a subscription.",
    )
    requests_per_minute: Annotated[int, Field(ge=10, le=10_000), Unit("requests/min")] = Field(
        default=180, description="Our own limit, below the venue's (200 for a plain account)."
    )
    keys_confirm_s: PositiveSeconds = Field(
        default=600,
        description="How long the venue must refuse the keys, and answer nothing else, before the daemon ends with 77. "
        "A single refusal is asked again; positions are looked after meanwhile.",
    )


class Risk(Group):
    """Limits that no strategy can loosen. They apply to entries; an exit is never denied by them."""

    prefix: ClassVar[str] = "RISK__"

    max_symbol: Share = Field(default=Decimal("0.20"), description="Most exposure in one symbol, open orders counted.")
    max_gross: Leverage = Field(default=Decimal("0.80"), description="Most exposure in all, longs and shorts added up.")
    max_net: Leverage = Field(default=Decimal("0.80"), description="Most exposure in all, longs less shorts.")
    max_open_entries: Annotated[int, Field(ge=1, le=1000), Unit("orders")] = Field(
        default=20, description="Most entry orders open at once."
    )
    max_order_notional: Dollars = Field(default=Decimal(50_000), description="Most in one order.")
    collar_bps: BasisPoints = Field(
        default=Decimal(500), description="How far from the quote's mid an entry's limit may lie."
    )
    max_spread_bps: BasisPoints = Field(
        default=Decimal(100), description="No entry where the spread is wider than this."
    )
    max_quote_age_s: PositiveSeconds = Field(default=30, description="No entry on a quote older than this.")
    min_edge_bps: BasisPoints = Field(
        default=Decimal(5), description="What must be left of the expected round trip after fees and half-spreads."
    )
    max_orders_per_minute: Annotated[int, Field(ge=1, le=1000), Unit("orders/min")] = Field(
        default=60, description="Most entry orders sent in a minute."
    )
    max_day_notional: Annotated[Decimal, Field(ge=0, le=10_000), Unit("times equity")] = Field(
        default=Decimal(20), description="Most entered in a day (UTC), order by order. 0: any."
    )
    max_day_orders: Annotated[int, Field(ge=0, le=1_000_000), Unit("orders")] = Field(
        default=2_000, description="Most entry orders sent in a day (UTC). 0: any."
    )
    max_refusals: Annotated[int, Field(ge=0, le=10_000), Unit("orders")] = Field(
        default=20, description="So many entries refused in a row end all of them until `trader resume`. 0: any."
    )
    max_losing_exits: Annotated[int, Field(ge=0, le=10_000), Unit("exits")] = Field(
        default=0, description="So many exits at a loss in a row end all entries until `trader resume`. 0: any."
    )
    max_daily_loss: Share = Field(
        default=Decimal("0.03"), description="Loss since the day's start that ends its entries."
    )
    max_drawdown: Share = Field(
        default=Decimal("0.15"), description="Loss since the highest equity that ends all entries."
    )
    equity_band: Share = Field(
        default=Decimal("0.02"),
        description="By how much the venue's equity may differ from our own cash and units at its marks. Beyond it the "
        "smaller one counts, and entries wait.",
    )
    cooldown_s: Seconds = Field(default=3600, description="No new entry in a symbol for this long after a stop in it.")
    max_level_distance: Annotated[Decimal, Field(gt=0, le=1), Unit("share of price")] = Field(
        default=Decimal("0.25"), description="No entry where a forecast level is further than this from the last close."
    )


class Exits(Group):
    """How positions are left. EXIT_RESTS, HOLD and STOCKS_OVERNIGHT may have EXITS__ before them, too."""

    prefix: ClassVar[str] = "EXITS__"
    flat: ClassVar[frozenset[str]] = frozenset({"exit_rests", "hold", "stocks_overnight"})

    exit_rests: Literal["target", "stop", "nearest"] = Field(
        default="nearest",
        description="Which exit waits at the venue where it takes only one (crypto): the profit target, the stop, or "
        "the one nearer to the market. The daemon watches the other.",
    )
    hold: Literal["bar", "carry"] = Field(
        default="carry",
        description="Leave at the forecast bar's close (bar), or price the exits anew each cycle (carry).",
    )
    stocks_overnight: bool = Field(
        default=False,
        description="Keep stocks past the close. Stops do not act outside the session, so this is a risk.",
    )
    hysteresis_bps: BasisPoints = Field(
        default=Decimal(10),
        description="With nearest: how much nearer the other level must be before they change places.",
    )
    max_age_s: PositiveSeconds = Field(
        default=2 * 86400, description="A position older than this is left at the market."
    )
    target_age_s: PositiveSeconds = Field(
        default=7 * 86400,
        le=30 * 86400,
        description="A target position that the strategy has not wanted anew for this long is left at the market.",
    )
    chase_collar_bps: BasisPoints = Field(
        default=Decimal(100),
        description="How far beyond a stop the exit may still reach when the market has jumped past it.",
    )
    flat_before_close_s: Seconds = Field(default=600, description="How long before the close stocks are sold.")
    max_order_age_s: PositiveSeconds = Field(
        default=86400, description="An order of ours older than this is cancelled."
    )
    fallback_stop_bps: Annotated[Decimal, Field(gt=0, le=5000), Unit("bps")] = Field(
        default=Decimal(500),
        description="For a position whose levels are not known: how far from its entry the stop is set.",
    )
    max_quote_age_s: PositiveSeconds = Field(
        default=60, description="Nothing is sold on a quote older than this; the position's own mark is used then."
    )
    watch_quote_age_s: PositiveSeconds = Field(
        default=30,
        description="With a quote older than this, or none, the stop is what rests at the venue: nobody watches it.",
    )
    max_spread_bps: BasisPoints = Field(
        default=Decimal(500), description="A quote wider than this is no price to leave by."
    )
    max_disagreement_bps: BasisPoints = Field(
        default=Decimal(1_000),
        description="How far quote, mark and the price before may lie apart. Beyond it nothing is sold at the market: "
        "the stop rests at the venue.",
    )
    max_attempts_per_minute: Annotated[int, Field(ge=1, le=60), Unit("orders/min")] = Field(
        default=6, description="Most exits that are tried for one symbol in a minute."
    )


class Sizing(Group):
    """How large an entry is, before risk has its say."""

    prefix: ClassVar[str] = "SIZING__"

    rule: Literal["fixed", "kelly"] = Field(
        default="fixed",
        description="fixed: the same share of equity for each entry. kelly: a fraction of the share that would make "
        "equity grow fastest if the forecast were right.",
    )
    fraction: Share = Field(default=Decimal("0.10"), description="fixed: the share for each entry.")
    kelly_fraction: Annotated[Decimal, Field(gt=0, le=1), Unit("share of full Kelly")] = Field(
        default=Decimal("0.25"),
        description="kelly: the fraction of the full Kelly share. The full share (1) leaves no room for errors of the "
        "forecast.",
    )
    kelly_cap: Share = Field(default=Decimal("0.20"), description="kelly: the most for one entry.")


class Store(Group):
    """What must outlive the process."""

    state_dir: Place = Field(
        default_factory=lambda: Path.home() / ".local/state/trader",
        description="Folder of the journal. Empty: systemd's STATE_DIRECTORY, or the user's state folder.",
    )
    database_url: DatabaseUrl = Field(
        default=SecretStr(""),
        description="The journal's database. Empty: an SQLite file in STATE_DIR, one for each mode.",
    )
    reserve_mb: Annotated[int, Field(ge=0, le=65_536), Unit("MiB")] = Field(
        default=16,
        description="Kept back in STATE_DIR, for the records of exits on a full disk; entries wait for it. 0: none.",
    )


class Sim(Group):
    """The simulated exchange that the daemon starts in sim mode. Paper and live ignore all of it."""

    prefix: ClassVar[str] = "SIM__"

    speed: Speed = Field(default="720", description="Market time over real time: 720 is a 1Hour bar in five seconds.")
    seed: Annotated[int, Field(ge=0, le=2**31 - 1), Unit("none")] = Field(
        default=21, description="The seed of the generated market. The same seed gives the same market."
    )
    cash: Dollars = Field(default=Decimal(100_000), description="The account's cash at the start.")
    spread_bps: Annotated[Decimal, Field(ge=0, le=1000), Unit("bps")] = Field(
        default=Decimal(20), description="The spread modelled where a replay has no quotes of its own."
    )
    bars: BarFiles = Field(default=(), description="Bar files to replay (Parquet or CSV). Empty: a generated market.")
    quotes: BarFiles = Field(default=(), description="Quote files that go with the bars.")
    start: Moment = Field(
        default=None, description="Where the replay starts; earlier bars are history. Empty: far enough in for CONTEXT."
    )
    faults: Annotated[str, Right("a file")] = Field(
        default="", max_length=1000, description="A file of scripted faults. Empty: none."
    )
    accept_s: Annotated[Decimal, Field(ge=0, le=3600), Unit("s")] = Field(
        default=Decimal(1), description="Market seconds from an order's submission to its arrival; 0: it fills at once."
    )
    cancel_s: Annotated[Decimal, Field(ge=0, le=86_400), Unit("s")] = Field(
        default=Decimal(0), description="Market seconds from a cancel to its effect; the order can fill meanwhile."
    )
    coin_order_limit: Annotated[Decimal, Field(ge=0, le=10**12), Unit("USD")] = Field(
        default=Decimal(200_000), description="USD that one order in a coin may be worth. 0: any."
    )
    late_fees: bool = Field(
        default=False, description="Crypto fees are posted at the end of the day, as the real venue does it."
    )

    @property
    def factor(self) -> float:
        """Market seconds a second; infinite for `max`."""
        return float("inf") if self.speed == "max" else float(self.speed)


class Alerts(Group):
    """Where alerts go besides the log and the journal."""

    prefix: ClassVar[str] = "ALERT_"

    webhook_url: Key = Field(
        default=SecretStr(""),
        description="Alerts are posted here as JSON, with a `text` that chat services show. Empty: none.",
    )
    unwatched_s: PositiveSeconds = Field(
        default=60,
        description="With something held: how long there may be no report of the venue, no price or no exit at rest "
        "before that is an alarm.",
    )
    repeat_s: PositiveSeconds = Field(default=600, description="How often an alarm that goes on is said again.")
