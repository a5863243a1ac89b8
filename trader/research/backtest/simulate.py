"""One run in process: the daemon's own cycle, manager and desk, on a simulated venue without HTTP.

Wired as the daemon is; only the ports differ. Time stands still while anything is computed, so a run is a pure
function of its setup and its forecaster.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from threading import Event

from forecasters.base import Forecaster
from forecasters.types import Context, Forecast
from settings.schema import Settings
from trader.core.days import calendar_ahead
from trader.core.decision import DecisionInputs, Plan
from trader.core.types import AssetClass, Symbol
from trader.daemon.parameters import rules_of
from trader.daemon.schedule import run_simulated
from trader.daemon.timetable import closed_hours_skipper, simulated_beat, timetable_of
from trader.errors import ConfigurationError
from trader.exchange.engine.events import MatchingRules
from trader.exchange.market.grid import off_grid
from trader.exchange.market.market import Market, MarketError, MarketOptions, open_market
from trader.exchange.venue import Venue
from trader.research.backtest.ahead import AheadForecaster, later_contexts
from trader.research.backtest.deciding import strict_decider
from trader.research.backtest.inprocess import VenueBroker, VenueClock, VenueData, open_in_memory
from trader.research.backtest.memory_journal import MemoryJournal
from trader.trading.cycle import Rules, Trader
from trader.trading.desk import Desk
from trader.trading.last_run import leave_safe
from trader.trading.positions import Manager, Sessions
from trader.trading.standing_rules import StandingRules
from trader.trading.status import Board

OnPlan = Callable[[str, DecisionInputs, Plan], None]
BeforeCycle = Callable[[Trader, datetime], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What one run is made of.

    market   its data, start and context
    matching what the venue assumes; None: what the exchange of a daemon with these settings does
    end      no cycle begins after it; None: the end of the data
    cycles   stop after so many; None: no limit
    ahead    bars for which forecasts are made in one batch; 1: as a daemon asks, cycle by cycle
    """

    settings: Settings
    market: MarketOptions
    matching: MatchingRules | None = None
    end: datetime | None = None
    cycles: int | None = None
    ahead: int = 1

    @property
    def cash(self) -> Decimal:
        return self.settings.sim.cash

    @property
    def rules(self) -> MatchingRules:
        return self.matching if self.matching is not None else matching_rules(self.settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A run that has ended. `journal` has all that happened, `venue` stands where it stopped."""

    rules: Rules
    journal: MemoryJournal
    venue: Venue
    start: datetime
    end: datetime
    cycles: int
    errors: int
    halted: str
    forecast_s: float  # wall seconds spent in the forecaster


def matching_rules(settings: Settings) -> MatchingRules:
    """Those of the exchange that a daemon with these settings starts."""
    sim = settings.sim
    return MatchingRules(accept_s=sim.accept_s, cancel_s=sim.cancel_s, coin_order_limit=sim.coin_order_limit or None)


def market_options(settings: Settings) -> MarketOptions:
    """The market of the exchange that a daemon with these settings starts."""
    sim, trading = settings.sim, settings.trading
    symbols = tuple(Symbol(text) for text in trading.symbols)
    return MarketOptions(
        data=_files(sim.bars),
        quotes=_files(sim.quotes),
        symbols=symbols,
        start=sim.start,
        context=trading.context,
        seed=sim.seed,
        spread_bps=sim.spread_bps,
        timeframe=None if sim.bars else rules_of(settings).timeframe,
    )


def opened(options: MarketOptions) -> Market:
    """Raises ConfigurationError."""
    try:
        return open_market(options)
    except MarketError as error:
        raise ConfigurationError(str(error)) from error


def simulate(
    setup: Setup,
    forecaster: Forecaster,
    *,
    on_plan: OnPlan = lambda name, inputs, plan: None,
    before_cycle: BeforeCycle = lambda trader, bar_close: None,
) -> Recording:
    """Run it to its end. Raises ConfigurationError, and whatever is a bug.

    before_cycle  told (trader, the close of the newest bar) before each cycle: a walk-forward changes the rules there
    """
    market = opened(setup.market)
    rules = rules_of(setup.settings)
    for why in off_grid(market, rules.symbols, rules.timeframe).values():
        raise ConfigurationError(why)
    venue, ledger = open_in_memory(market, cash=setup.cash, rules=setup.rules)
    clock = VenueClock(venue, setup.end)
    journal, data = MemoryJournal(on_plan), VenueData(venue, setup.settings.venue.alpaca_feed)
    timed = _Timed(_looking_ahead(setup, rules, market, forecaster))
    trader = _trader(setup.settings, rules, timed, VenueBroker(venue, ledger), data, clock, journal)
    delay = timedelta(seconds=setup.settings.trading.trade_delay_s)
    timetable = timetable_of(
        rules.symbols,
        rules.timeframe,
        trader.sessions,
        delay=delay,
        manage_every=simulated_beat(rules.timeframe),
        simulated=rules.exits,
    )
    with trader.desk.lock:
        trader.desk.sync()
    trader.manage()
    cycles = run_simulated(
        _Hooked(trader, before_cycle),
        clock,
        timetable,
        Event(),
        cycles=setup.cycles,
        skip_to=closed_hours_skipper(rules.symbols, trader.sessions, timetable, clock.now),
    )
    end = venue.now
    leave_safe(trader.manager)
    return Recording(
        rules=rules,
        journal=journal,
        venue=venue,
        start=market.start,
        end=end,
        cycles=cycles,
        errors=trader.board.errors,
        halted=journal.flag("halted"),
        forecast_s=timed.spent_s,
    )


def _looking_ahead(setup: Setup, rules: Rules, market: Market, forecaster: Forecaster) -> Forecaster:
    if setup.ahead <= 1:
        return forecaster
    later = later_contexts(
        market,
        rules.timeframe,
        context=rules.context,
        horizon=rules.horizon,
        count=setup.ahead - 1,
        end=setup.end,
    )
    return AheadForecaster(forecaster, later)


def _trader(
    settings: Settings,
    rules: Rules,
    forecaster: Forecaster,
    broker: VenueBroker,
    data: VenueData,
    clock: VenueClock,
    journal: MemoryJournal,
) -> Trader:
    trading = settings.trading
    board = Board(
        mode=trading.trading_mode,
        backend=trading.backend,
        strategy=rules.strategy,
        timeframe=str(rules.timeframe),
        symbols=rules.symbols,
        market_time=clock.now(),
    )
    board.account_id = broker.account().id
    instruments = broker.instruments(rules.symbols)
    missing = [str(symbol) for symbol in rules.symbols if symbol not in instruments]
    if missing:
        raise ConfigurationError(f"SYMBOLS: the venue does not know {', '.join(missing)}: leave it out")
    desk = Desk(broker, journal, clock, board, board.account_id, lambda kind, severity, detail: None)
    sessions = Sessions(broker.sessions, ahead=calendar_ahead(rules.timeframe, rules.horizon))
    if any(symbol.asset_class is AssetClass.STOCK for symbol in rules.symbols):
        sessions.around(clock.now())
    manager = Manager(
        desk=desk,
        market=data,
        instruments=instruments,
        policy=rules.exits,
        sessions=sessions,
        timeframe=rules.timeframe,
        standing=StandingRules(limits=rules.limits),
        hears_of_fills=True,
    )
    return Trader(
        desk=desk,
        manager=manager,
        market=data,
        forecaster=forecaster,
        sessions=sessions,
        rules=rules,
        decide=strict_decider(rules.strategy, rules.params),
    )


class _Timed:
    """A Forecaster that knows how long it took."""

    def __init__(self, inner: Forecaster) -> None:
        self.name = inner.name
        self.warm_up = inner.warm_up
        self.close = inner.close
        self.spent_s = 0.0
        self._inner = inner

    def forecast(self, contexts: Sequence[Context]) -> Mapping[str, Forecast]:
        started = time.perf_counter()
        try:
            return self._inner.forecast(contexts)
        finally:
            self.spent_s += time.perf_counter() - started


class _Hooked:
    """The daemon's two jobs, with a word before each cycle."""

    def __init__(self, trader: Trader, before_cycle: BeforeCycle) -> None:
        self._trader = trader
        self._before_cycle = before_cycle
        self.manage = trader.manage
        self.nudge = trader.nudge
        self.idle = trader.idle

    def trade(self, bar_close: datetime) -> bool:
        self._before_cycle(self._trader, bar_close)
        return self._trader.trade(bar_close)


def _files(pairs: tuple[str, ...]) -> dict[Symbol, Path]:
    split = (pair.partition("=") for pair in pairs)
    return {Symbol(name): Path(path) for name, _, path in split}
