"""One scenario, played: a daemon after another on one venue, one clock, one thread."""

from __future__ import annotations

import threading
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from tests.chaos import checks
from tests.chaos.active import Active
from tests.chaos.checks import Violation, demand
from tests.chaos.clock import ChaosClock, Crash
from tests.chaos.daemon import timetable_for, wired
from tests.chaos.faulty import FaultyBroker, FaultyData, Line, listings
from tests.chaos.journal import ChaosJournal, as_reached
from tests.chaos.market import market_of
from tests.chaos.people import RESUMES_H, People
from tests.chaos.reserve import ChaosReserve
from tests.chaos.scenario import Scenario, Trouble
from tests.chaos.watcher import Watcher
from trader.core.orders import IntentState
from trader.core.types import AssetClass, Purpose, Symbol
from trader.daemon.schedule import run_simulated
from trader.errors import Fatal, TraderError, Transient
from trader.exchange.api.lag import Past
from trader.exchange.engine.events import MatchingRules
from trader.research.backtest.inprocess import open_in_memory
from trader.trading.cycle import Trader
from trader.trading.last_run import leave_safe

CASH = Decimal(100_000)
STARTS_AGAIN = timedelta(seconds=30)  # after it ended by itself
BACK_WITHIN_BARS = 6  # entries, when all is well again
_CLOSE, _NEAR, _FAR = timedelta(seconds=15), timedelta(seconds=45), timedelta(days=1)
_TRIES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`problem` is empty where all held. `counts`: of the lines of the digest, by kind."""

    seed: int
    days: float
    digest: str
    problem: str = ""
    faults: int = 0
    restarts: int = 0
    counts: Counter[str] = field(default_factory=Counter)


class World:
    def __init__(self, scenario: Scenario, trace: Callable[[str], None] | None = None) -> None:
        self.scenario = scenario
        rules = MatchingRules(accept_s=_seconds(scenario.accept_s), cancel_s=_seconds(scenario.cancel_s))
        self.venue, self.ledger = open_in_memory(market_of(scenario), cash=CASH, rules=rules)
        self.start = self.venue.now
        self.end = self.start + timedelta(days=scenario.days)
        self.calm = self.start + timedelta(hours=scenario.calm_at)
        lasting = [each for each in scenario.troubles if each.hours]
        self.active = Active(lasting, self.start, lambda: self.venue.now)
        self._crashes = sorted(
            ((self.start + timedelta(hours=each.at), each) for each in scenario.troubles if _kind(each) == "crash"),
            key=lambda crash: crash[0],
        )
        self._left: int | None = None  # calls until the crash that is due
        self.journal = ChaosJournal()
        self.people = People(scenario, self.start, self.venue, self.journal)
        self.reserve = ChaosReserve(self.active, self._boundary)
        self.watcher = Watcher(self.venue, self.ledger, self.journal, self.reserve, self.people)
        self.watcher.hides = self._hides
        self.watcher.trace = trace
        wrong = any(_kind(each) == "clock" for each in lasting)
        self.clock = ChaosClock(
            self.venue, self.end, self._due, self._happen, self._beat, self._hears, self._off if wrong else None
        )
        self.trader: Trader | None = None
        self.restarts = 0
        self._watched = False  # `manage` has run since its beat became short
        self._set_assets()
        line = Line(self.active, self._boundary, self.clock.lapse)
        self._broker = FaultyBroker(self.venue, self.ledger, line, Past(self.venue), scenario.late_fees)
        self._data = FaultyData(self.venue, line)
        self._reached = as_reached(self.journal, self.active, self._boundary)

    # ---- the script ----

    def _set_assets(self) -> None:
        kinds = {each.what for each in self.scenario.troubles}
        if "asset halt" in kinds:
            self.venue.halts = lambda at: frozenset(
                Symbol(each.symbol) for each in self.active.at(at) if each.what == "asset halt"
            )
        if kinds & {"asset tick", "asset lot", "asset untradable"}:
            self.venue.listed = lambda at: listings(self.active.at(at), self.venue)

    def _due(self) -> datetime | None:
        """When something of the script is next to be done, or begins or ends."""
        moments = [self.people.script[0][0]] if self.people.script else []
        moments += [self._crashes[0][0]] if self._crashes and self._left is None else []
        change = self.active.next_change()
        return min(moments + ([change] if change is not None else []), default=None)

    def _happen(self) -> None:
        while self.people.script and self.people.script[0][0] <= self.venue.now:
            self.people.script.pop(0)[1]()
            self._nudge()
        if self._crashes and self._left is None and self._crashes[0][0] <= self.venue.now:
            self._left = int(self._crashes[0][1].what.split()[1])
        self.watcher.look()
        if self.trader is not None and self._watched and self._beat() < _FAR:
            self.trader.manager.unwatched.look()  # the real daemon does so each second

    def _nudge(self) -> None:
        if self.trader is not None:
            self.trader.nudge()

    def _boundary(self) -> None:
        """Between two effects of the daemon on the world."""
        if self._left is None or not self.watcher.alive:
            return
        self._left -= 1
        if self._left < 0:
            raise Crash

    def _hears(self) -> bool:
        return not self.active.lasts("stream")

    def _off(self) -> timedelta:
        """By how much the machine's clock is wrong."""
        steps = [float(each.value) for each in self.active.at(self.venue.now) if each.what == "clock step"]
        return timedelta(seconds=sum(steps))

    def _beat(self) -> timedelta:
        """How closely things are to be looked at now."""
        if not self._hears():
            return _CLOSE  # the real daemon asks every few seconds, whatever the stream says
        if self.watcher.unprotected() or self.active.began_or_ended_lately() or self._left is not None:
            return _CLOSE
        if self.active.lasts() and self.venue.books.holdings:
            return _NEAR
        self._watched = False
        return _FAR

    # ---- daemons, one after another ----

    def play(self) -> Outcome:
        problem = ""
        try:
            while self.venue.now < self.end:
                away = self._live()
                if self.venue.now < self.end:
                    self.restarts += 1
                    self.watcher.note("restart", f"in {away}")
                    self.clock.wait_until(self.venue.now + away)
            self._final()
        except Violation as violation:
            problem = str(violation)
        except Exception:  # noqa: BLE001 - whatever it is, the daemon must not end by it
            problem = "".join(traceback.format_exc(limit=-6))
        self._sum_up()
        faults = len(self.scenario.troubles) - self.restarts
        return Outcome(
            seed=self.scenario.seed, days=(self.venue.now - self.start) / timedelta(days=1), problem=problem,
            digest=self.watcher.digest(), faults=max(faults, 0), restarts=self.restarts, counts=self.watcher.counts,
        )  # fmt: skip

    def _live(self) -> timedelta:
        """One life of a daemon. Returns for how long it is away after that."""
        self.watcher.born()
        try:
            self._run()
            return timedelta(0)
        except Crash:
            _, crash = self._crashes.pop(0)
            return timedelta(seconds=float(crash.value))
        except (Fatal, Transient) as error:
            self.watcher.note("ended", f"{type(error).__name__}: {error}")
            demand(self._has_a_reason(), f"the daemon ended, and nothing was wrong: {error}")
            return STARTS_AGAIN
        finally:
            self.watcher.died()
            self.trader, self._left, self._watched = None, None, False

    def _has_a_reason(self) -> bool:
        return self.active.lasts() or self.active.began_or_ended_lately()

    def _run(self) -> None:
        trader = self._started()
        try:
            timetable = timetable_for(trader, self._beat)
            run_simulated(_Jobs(self, trader), self.clock, timetable, threading.Event())
        except Fatal:
            self._leave(trader)
            raise
        self._leave(trader)

    def _started(self) -> Trader:
        trader = wired(
            self.scenario,
            self._broker,
            self._data,
            self._reached,
            self.reserve,
            self.clock,
            self.active,
            self.watcher.alert,
        )
        self.trader = trader
        for attempt in range(_TRIES):
            try:
                with trader.desk.lock:
                    trader.desk.sync()
                trader.manage()
                self._watched = True
                return trader
            except Transient:
                if attempt == _TRIES - 1:
                    raise
                trader.desk.pause(1.0)
        return trader

    def _leave(self, trader: Trader) -> None:
        trader.desk.ending = True
        try:
            leave_safe(trader.manager)
        except TraderError as error:
            self.watcher.note("left", str(error))

    def done(self, job: str) -> None:
        """After each job."""
        self._watched = True
        self.watcher.after_a_job()
        self.watcher.look()

    # ---- the end ----

    def _final(self) -> None:
        """All has been well for hours, and the daemon has left in good order."""
        checks.books_agree(self.venue, self.journal)
        checks.each_fill_once(self.ledger, self.journal)
        checks.one_order_an_intent(self.ledger, self.journal)
        checks.nothing_unmanaged(self.venue, {s: self.watcher.may_rest(s) for s in self.venue.books.holdings})
        checks.never_sold_more(self.ledger)
        if self.clock.is_right_always:
            equity = CASH * 2 ** sum(each.what == "money deposits" for each in self.scenario.troubles)
            checks.day_gates_hold(self.ledger, dict(self.scenario.gates), equity, self.restarts)
        for name in ("halted", "killed", "paused", "flatten"):
            demand(not self.journal.flag(name), f"{name} hours after all was well: {self.journal.flag(name)}")
        demand(not self.watcher.on, f"alarms that never ended: {self._alarms()}")
        unknown = [n for n, r in self.journal.all_intents.items() if r.state == IntentState.UNKNOWN]
        demand(not unknown, f"never asked for again: {unknown}")
        self._entries_are_back()

    def _alarms(self) -> str:
        return ", ".join(f"{kind} {symbol} since {checks.moment(at)}" for (kind, symbol), at in self.watcher.on.items())

    def _hides(self, symbol: Symbol) -> bool:
        """Whether the list of positions is late, or leaves this one out."""
        return any(
            each.what == "lag positions" or (each.what == "lack positions" and each.symbol == symbol.text)
            for each in self.active.at(self.venue.now)
        )

    def _entries_are_back(self) -> None:
        """In the coins, which trade at all hours. Where a gate is shut, a person must have been told."""
        if self.watcher.shut:
            return
        since = self.calm + timedelta(hours=RESUMES_H[-1])
        coins = [s for text in self.scenario.symbols if (s := Symbol(text)).asset_class is AssetClass.CRYPTO]
        entered = {
            record.intent.symbol
            for record in self.journal.all_intents.values()
            if record.intent.purpose is Purpose.ENTRY and record.created_at >= since
        }
        entered |= {fill.symbol for fill in self.ledger.fills if fill.at >= since}  # held until then
        bars = timedelta(hours=self.scenario.bar_h) * BACK_WITHIN_BARS
        if self.end - since < bars or self.scenario.appetite < 1 or self.scenario.targets:
            return  # it may have wanted none
        for symbol in coins:
            holding = self.venue.books.holdings.get(symbol)
            demand(symbol in entered or (holding is not None and holding.qty), f"{symbol}: no entry since {since}")

    def _sum_up(self) -> None:
        """What is left at the end is part of what must be the same for the same seed."""
        books = self.venue.books
        self.watcher.note("end", f"cash {books.cash}")
        for symbol in sorted(books.holdings):
            self.watcher.note("end", f"{symbol} {books.holdings[symbol].qty}")
        for name, record in self.journal.all_intents.items():
            self.watcher.note("intent", f"{name} {record.state} {record.intent.qty} {record.reason}")


class _Jobs:
    """The daemon's two jobs, looked at after each."""

    def __init__(self, world: World, trader: Trader) -> None:
        self._world, self._trader = world, trader
        self.nudge = trader.nudge
        self.idle = trader.idle

    def trade(self, bar_close: datetime) -> bool:
        done = self._trader.trade(bar_close)
        self._world.done("trade")
        return done

    def manage(self) -> None:
        self._trader.manage()
        self._world.done("manage")


def _kind(trouble: Trouble) -> str:
    return trouble.what.split()[0]


def _seconds(value: float) -> Decimal:
    return Decimal(str(value))


def play(scenario: Scenario, trace: Callable[[str], None] | None = None) -> Outcome:
    return World(scenario, trace).play()
