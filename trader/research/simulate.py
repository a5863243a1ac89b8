"""One run in process: the daemon's own cycle, manager and desk, on a simulated venue without HTTP.

Wired as the daemon is; only the ports differ. Time stands still while anything is computed, so a run is a pure
function of its setup and its forecaster.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from threading import Event

from forecasters.base import Forecaster
from settings.schema import Settings
from trader.board import Board
from trader.core.decision import DecisionInputs, Plan
from trader.core.types import Symbol
from trader.cycle import Rules, Trader
from trader.desk import Desk
from trader.errors import ConfigurationError
from trader.exchange.events import MatchingRules
from trader.exchange.ledger_memory import open_in_memory
from trader.exchange.market import Market, MarketError, MarketOptions, open_market
from trader.exchange.venue import Venue
from trader.manage import Manager, Sessions
from trader.market_hours import closed_hours_skipper, simulated_beat
from trader.research.inprocess import VenueBroker, VenueClock, VenueData
from trader.research.memory_journal import MemoryJournal
from trader.rules import decider, rules_of
from trader.schedule import Timetable, run_simulated

OnPlan = Callable[[str, DecisionInputs, Plan], None]
BeforeCycle = Callable[[Trader, datetime], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What one run is made of.

    market   its data, start and context
    end      no cycle begins after it; None: the end of the data
    cycles   stop after so many; None: no limit
    """

    settings: Settings
    market: MarketOptions
    matching: MatchingRules = field(default_factory=MatchingRules)
    end: datetime | None = None
    cycles: int | None = None

    @property
    def cash(self) -> Decimal:
        return self.settings.sim.cash


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
    venue, ledger = open_in_memory(market, cash=setup.cash, rules=setup.matching)
    clock, rules = VenueClock(venue, setup.end), rules_of(setup.settings)
    journal, data = MemoryJournal(on_plan), VenueData(venue, setup.settings.venue.alpaca_feed)
    trader = _trader(setup.settings, rules, forecaster, VenueBroker(venue, ledger), data, clock, journal)
    delay = timedelta(seconds=setup.settings.trading.trade_delay_s)
    timetable = Timetable.of(rules.timeframe, delay, simulated_beat(rules.timeframe))
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
    trader.manager.leave_safe()
    return Recording(
        rules=rules,
        journal=journal,
        venue=venue,
        start=market.start,
        end=end,
        cycles=cycles,
        errors=trader.board.errors,
        halted=journal.flag("halted"),
    )


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
        raise ConfigurationError(f"SYMBOLS: the venue does not know {', '.join(missing)}")
    desk = Desk(broker, journal, clock, board, board.account_id, lambda kind, severity, detail: None)
    sessions = Sessions(broker.sessions)
    manager = Manager(
        desk=desk,
        market=data,
        instruments=instruments,
        policy=rules.exits,
        sessions=sessions,
        timeframe=rules.timeframe,
        hears_of_fills=True,
    )
    return Trader(
        desk=desk,
        manager=manager,
        market=data,
        forecaster=forecaster,
        instruments=instruments,
        sessions=sessions,
        rules=rules,
        decide=decider(rules.strategy, rules.params),
    )


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
