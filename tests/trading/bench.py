"""The desk, manager and cycle on a simulated venue in process, driven step by step over bars of a test's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd

from forecasters.types import Context, Forecast
from settings.schema import Settings
from tests.core.make import LEVELS
from tests.research.backtest.material import bars_of, settings_for, written
from trader.adapters.journal.records import Alert
from trader.core.decision import DecisionInputs, Signal
from trader.core.types import EntrySide, OrderSide, OrderType, Symbol, TimeInForce
from trader.daemon.parameters import rules_of
from trader.exchange.engine.events import SimOrder
from trader.exchange.engine.requests import NewOrder
from trader.exchange.ledger.memory import MemoryLedger
from trader.exchange.market.market import open_market
from trader.exchange.venue import Venue
from trader.research.backtest.inprocess import VenueBroker, VenueClock, VenueData, open_in_memory
from trader.research.backtest.memory_journal import MemoryJournal
from trader.research.backtest.simulate import market_options
from trader.trading.cycle import Trader
from trader.trading.desk import Desk
from trader.trading.positions import Manager, Sessions
from trader.trading.status import Board

D = Decimal
CONTEXT = 60
BrokerOf = Callable[[Venue, MemoryLedger], VenueBroker]
ClockOf = Callable[[Venue], VenueClock]


def level_bars(symbol: str = "BTC/USD", count: int = 90, timeframe: str = "1Hour") -> pd.DataFrame:
    """Bars of one price. Row CONTEXT is the first that is played."""
    bars = bars_of(symbol, count, timeframe=timeframe)
    bars.loc[:, ["open", "high", "low", "close"]] = 100.0
    bars.loc[:, "volume"] = 1e6
    return bars


class Still:
    """A Forecaster: every bar ahead like the last close, give or take two per cent."""

    name = "still"

    def warm_up(self) -> None: ...

    def close(self) -> None: ...

    def forecast(self, contexts: Sequence[Context]) -> Mapping[str, Forecast]:
        return {context.symbol: self._one(context) for context in contexts}

    def _one(self, context: Context) -> Forecast:
        last, steps = context.last_close, len(context.future_times)
        prices = last * (1 + (LEVELS - 0.5) * 0.04)
        return Forecast(
            symbol=context.symbol, asof=context.asof, times=context.future_times, last_close=last, levels=LEVELS,
            quantiles=np.broadcast_to(prices[:, None, None], (len(LEVELS), steps, 4)).copy(), paths=None,
            backend=self.name, model="still@1", dtype="float64", compile_mode="eager", latency_s=0.0,
        )  # fmt: skip


@dataclass
class Bench:
    """`wish` is what the strategy says in the next cycle, by symbol."""

    venue: Venue
    ledger: MemoryLedger
    journal: MemoryJournal
    desk: Desk
    manager: Manager
    trader: Trader
    wish: dict[Symbol, Signal] = field(default_factory=dict)

    def want(self, symbol: Symbol, entry: str, target: str, stop: str) -> None:
        """A long entry, in every cycle from now on."""
        self.wish[symbol] = Signal(
            symbol=symbol, entry_side=EntrySide.LONG, entry=D(entry), target=D(target), stop=D(stop), reason="wished"
        )

    def cycle(self, delay_s: float = 5) -> None:
        """That of the next bar to close, so long after it."""
        timeframe = self.trader.rules.timeframe
        close = timeframe.floor(self.venue.now) + timeframe.duration
        self.go(close + timedelta(seconds=delay_s))
        self.trader.trade(close)

    def go(self, until: datetime) -> None:
        """Let the market play, through all fills, without a look at it."""
        while self.venue.now < until:
            self.venue.advance(until)

    def manage(self) -> None:
        self.manager.nudge()
        self.manager.manage()

    def enter(self, symbol: Symbol) -> None:
        """Long at 99.50, where the next bar goes down to, out at 103 or 97; nothing more is wished then."""
        self.want(symbol, "99.50", "103.00", "97.00")
        self.cycle()
        self.go(self.venue.now.replace(minute=59))
        self.manage()
        self.wish.clear()
        assert self.held(symbol) > 0

    def by_hand(self, symbol: Symbol, side: OrderSide, qty: str, limit: str | None = None) -> SimOrder:
        """An order of somebody else's, a moment ago: where no time passes the desk looks for nothing new."""
        order = self.venue.submit(
            NewOrder(
                symbol=symbol.text, side=side, qty=D(qty), limit_price=None if limit is None else D(limit),
                type=OrderType.MARKET if limit is None else OrderType.LIMIT,
                tif=TimeInForce.GTC if "/" in symbol.text else TimeInForce.DAY,
            )
        )  # fmt: skip
        self.desk.pause(1.0)
        return order

    def held(self, symbol: Symbol) -> Decimal:
        holding = self.venue.books.holdings.get(symbol)
        return Decimal(0) if holding is None else holding.qty

    def open_orders(self, symbol: Symbol) -> list[SimOrder]:
        return [order for order in self.venue.books.orders.values() if order.symbol == symbol]

    def alerts(self, kind: str) -> list[Alert]:
        return [alert for alert in self.journal.alerts if alert.kind == kind]


def bench_on(
    bars: Mapping[str, pd.DataFrame],
    folder: Path,
    *,
    broker_of: BrokerOf = VenueBroker,
    journal: MemoryJournal | None = None,
    clock_of: ClockOf = VenueClock,
    **flags: object,
) -> Bench:
    """On a new venue, wired as the daemon is, its books opened."""
    files = {name: written(table, folder / f"{name.replace('/', '')}.parquet") for name, table in bars.items()}
    settings = settings_for(files, folder, context=CONTEXT, **flags)
    venue, ledger = open_in_memory(open_market(market_options(settings)), cash=settings.sim.cash)
    return _wired(settings, venue, ledger, journal or MemoryJournal(), broker_of, clock_of)


def restarted(bench: Bench, symbols: str, folder: Path, *, broker: VenueBroker | None = None) -> Bench:
    """Another daemon on the same venue and journal, with other SYMBOLS."""
    settings = settings_for({}, folder, context=CONTEXT, symbols=symbols)
    return _wired(settings, bench.venue, bench.ledger, bench.journal, lambda *_: broker or VenueBroker(*_))


def _wired(
    settings: Settings,
    venue: Venue,
    ledger: MemoryLedger,
    journal: MemoryJournal,
    broker_of: BrokerOf,
    clock_of: ClockOf = VenueClock,
) -> Bench:
    rules, clock, broker = rules_of(settings), clock_of(venue), broker_of(venue, ledger)
    board = Board(
        mode="sim", backend="still", strategy=rules.strategy, timeframe=str(rules.timeframe), symbols=rules.symbols
    )
    desk = Desk(broker, journal, clock, board, broker.account().id, lambda kind, severity, detail: None)
    desk.consent.policy = settings.trading.adopt
    data, sessions = VenueData(venue), Sessions(broker.sessions)
    manager = Manager(
        desk=desk, market=data, instruments=broker.instruments(rules.symbols), policy=rules.exits, sessions=sessions,
        timeframe=rules.timeframe,
    )  # fmt: skip
    wish: dict[Symbol, Signal] = {}

    def decide(inputs: DecisionInputs) -> Sequence[Signal]:
        return tuple(wish.values())

    trader = Trader(
        desk=desk, manager=manager, market=data, forecaster=Still(),
        sessions=sessions, rules=rules, decide=decide,
    )  # fmt: skip
    made = Bench(venue, ledger, journal, desk, manager, trader, wish)
    with desk.lock:
        desk.sync()
    made.manage()
    return made
