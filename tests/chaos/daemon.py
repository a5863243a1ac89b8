"""The daemon of a scenario, wired as the real one is, and the plug-ins that it is given."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache, partial
from pathlib import Path

from forecasters.base import ForecastError
from forecasters.types import Context, Forecast
from tests.chaos.active import Active
from tests.chaos.checks import MAX_GROSS, MAX_SYMBOL
from tests.chaos.clock import ChaosClock
from tests.chaos.market import CONTEXT
from tests.chaos.scenario import Scenario
from tests.research.backtest.material import settings_for
from tests.trading.bench import Still
from trader.core.days import calendar_ahead
from trader.core.decision import DecisionInputs, Signal, hold
from trader.core.types import AssetClass, EntrySide, Symbol
from trader.daemon.parameters import rules_of
from trader.daemon.schedule import Timetable
from trader.daemon.timetable import simulated_beat, timetable_of
from trader.errors import ConfigurationError, StrategyFailed
from trader.trading.cycle import Rules, Trader
from trader.trading.desk import Desk
from trader.trading.in_reserve import take_in
from trader.trading.ports import Broker, Journal, MarketData, Reserve
from trader.trading.positions import Manager, Sessions
from trader.trading.status import Board

Alert = Callable[[str, str, str], None]
_EDGE = Decimal("0.05")  # said to be expected: what risk makes of fees is tested elsewhere
MANAGES_EVERY_S = 15.0  # while a forecast is waited for
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def rules_for(scenario: Scenario) -> Rules:
    return _rules(scenario.symbols, scenario.timeframe, scenario.exit_rests, scenario.hold, scenario.gates)


@cache  # a scenario has many starts, and each would look for installed strategies on the disk
def _rules(
    symbols: tuple[str, ...], timeframe: str, exit_rests: str, hold: str, gates: tuple[tuple[str, str], ...]
) -> Rules:
    limits = {"max_refusals": "0", "max_day_notional": "0", "max_day_orders": "0", **dict(gates)}
    settings = settings_for(
        {},
        Path("/nowhere"),
        symbols=",".join(symbols),
        timeframe=timeframe,
        context=CONTEXT,
        exit_rests=exit_rests,
        hold=hold,
        risk__max_symbol=str(MAX_SYMBOL),
        risk__max_gross=str(MAX_GROSS),
        risk__cooldown_s="0",
        risk__max_daily_loss="0.9",
        risk__max_drawdown="0.9",
        **{f"risk__{name}": limit for name, limit in limits.items()},
    )
    return rules_of(settings)


def wired(
    scenario: Scenario,
    broker: Broker,
    data: MarketData,
    journal: Journal,
    reserve: Reserve,
    clock: ChaosClock,
    active: Active,
    on_alert: Alert,
) -> Trader:
    """A daemon that has just started. Raises Transient where the venue or the journal can't be read."""
    rules = rules_for(scenario)
    board = Board(
        mode="sim", backend="still", strategy=rules.strategy, timeframe=str(rules.timeframe), symbols=rules.symbols
    )
    instruments = broker.instruments(rules.symbols)
    missing = [str(symbol) for symbol in rules.symbols if symbol not in instruments]
    if missing:
        raise ConfigurationError(f"SYMBOLS: the venue does not know {', '.join(missing)}: leave it out")
    take_in(journal, reserve, clock.now())
    desk = Desk(broker, journal, clock, board, broker.account().id, on_alert)
    sessions = Sessions(broker.sessions, ahead=calendar_ahead(rules.timeframe, rules.horizon))
    if any(symbol.asset_class is AssetClass.STOCK for symbol in rules.symbols):
        sessions.around(clock.now())
    manager = Manager(
        desk=desk, market=data, instruments=instruments, policy=rules.exits, sessions=sessions,
        timeframe=rules.timeframe,
    )  # fmt: skip
    manager.without.store = reserve
    seer = Seer(active, partial(_meanwhile, clock, manager))
    return Trader(
        desk=desk, manager=manager, market=data, forecaster=seer, sessions=sessions, rules=rules,
        decide=Wisher(scenario, active),
    )  # fmt: skip


def _meanwhile(clock: ChaosClock, manager: Manager, seconds: float) -> None:
    """What else goes on while the forecaster is waited for: the other job has a thread of its own."""
    until = clock.monotonic() + seconds
    while (left := until - clock.monotonic()) > 0 and not clock.ended:
        before = clock.monotonic()
        clock.lapse(min(left, MANAGES_EVERY_S))
        manager.manage()
        if clock.monotonic() <= before:
            break  # the market is over


def timetable_for(trader: Trader, every: Callable[[], timedelta]) -> Timetable:
    """`every`: how often `manage` runs, as of now."""
    rules = trader.rules
    usual = timetable_of(
        rules.symbols, rules.timeframe, trader.sessions, delay=timedelta(seconds=5),
        manage_every=simulated_beat(rules.timeframe), simulated=rules.exits,
    )  # fmt: skip
    return replace(usual, manage=_Either(usual.manage, every))


class _Either:
    """A trigger: the usual one, or a beat that is shorter."""

    def __init__(self, usual: object, every: Callable[[], timedelta]) -> None:
        self._usual, self._every = usual, every

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
        usual: datetime = self._usual.get_next_fire_time(previous, now)  # type: ignore[attr-defined]
        beat = self._every()
        after = now if previous is None else max(now, previous + timedelta(milliseconds=1))
        return min(usual, _EPOCH - (_EPOCH - after) // beat * beat)


class Seer(Still):
    """The forecaster: all stays as it is."""

    def __init__(self, active: Active, wait: Callable[[float], None]) -> None:
        self._active, self._wait = active, wait

    def forecast(self, contexts: Sequence[Context]) -> Mapping[str, Forecast]:
        hangs = self._active.hit("hang forecast")
        if hangs is not None:
            self._wait(float(hangs.value))
            raise ForecastError(f"no answer within {hangs.value} s")
        if self._active.hit("fail forecast"):
            raise ForecastError("the model is out of memory")
        return super().forecast(contexts)


class Wisher:
    """The strategy: wants this and that, by the cycle's name alone."""

    def __init__(self, scenario: Scenario, active: Active) -> None:
        self._scenario = scenario
        self._active = active

    def __call__(self, inputs: DecisionInputs) -> Sequence[Signal]:
        if self._active.hit("fail strategy"):
            raise StrategyFailed("the strategy failed: ZeroDivisionError")
        wishes = (self._wish(inputs, symbol) for symbol in sorted(inputs.open_symbols))
        return [wish for wish in wishes if wish is not None]

    def _wish(self, inputs: DecisionInputs, symbol: Symbol) -> Signal | None:
        quote, forecast = inputs.quotes.get(symbol), inputs.forecasts.get(symbol)
        if quote is None or forecast is None:
            return None
        dice = _dice(f"{self._scenario.seed} {inputs.cycle_id} {symbol}")
        if self._scenario.targets:
            return self._target(inputs, symbol, dice)
        if dice.random() > self._scenario.appetite:
            return None
        last = Decimal(str(forecast.last_close))
        entry = last * _share(1 + dice.choice((0.004, 0.001, -0.001, -0.003)))
        target = entry * _share(1 + self._scenario.reach * dice.uniform(0.5, 1.5))
        stop = entry * _share(1 - self._scenario.reach * dice.uniform(0.5, 1.5))
        on_tick = inputs.instruments[symbol].price_down
        return Signal(
            symbol=symbol, entry_side=EntrySide.LONG, entry=on_tick(entry), target=on_tick(target),
            stop=on_tick(stop), edge=_EDGE, reason="drawn",
        )  # fmt: skip

    def _target(self, inputs: DecisionInputs, symbol: Symbol, dice: random.Random) -> Signal:
        weight = dice.choice((Decimal(0), Decimal("0.03"), Decimal("0.06"), Decimal("0.1")))
        stop = inputs.quotes[symbol].bid * _share(1 - self._scenario.reach * dice.uniform(0.5, 1.5))
        on_tick = inputs.instruments[symbol].price_down(stop)
        return hold(symbol, weight=weight, band=Decimal("0.01"), stop=on_tick, reason="drawn")


def _dice(text: str) -> random.Random:
    return random.Random(hashlib.sha256(text.encode()).digest())


def _share(value: float) -> Decimal:
    return Decimal(f"{value:.6f}")
