"""An entry that was decided on is looked at again before it goes; a larger exit than the venue takes goes in pieces."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from tests.trading.bench import CONTEXT, Bench, bench_on, level_bars
from trader.core.decision import DecisionInputs, Signal
from trader.core.equity import Counted
from trader.core.types import Execution, Instrument, Order, OrderIntent, OrderSide, Portfolio, Quote, Symbol
from trader.errors import DatabaseUnusable, Transient
from trader.exchange.ledger.memory import MemoryLedger
from trader.exchange.venue import Venue
from trader.research.backtest.inprocess import VenueBroker, VenueData
from trader.research.backtest.memory_journal import MemoryJournal
from trader.trading.last_run import leave_safe
from trader.trading.ports import Submission

BTC, ETH = Symbol("BTC/USD"), Symbol("ETH/USD")


class Busy(VenueBroker):
    """`meanwhile` happens while the first entry is sent; `limit`: USD of one order; `rules`: of the instruments."""

    def __init__(self, venue: Venue, ledger: MemoryLedger) -> None:
        super().__init__(venue, ledger)
        self.meanwhile: Callable[[], object] = lambda: None
        self.limit: Decimal | None = None
        self.rules: dict[str, object] = {}

    def submit(self, intent: OrderIntent) -> Submission:
        if not intent.purpose.reduces:
            happens, self.meanwhile = self.meanwhile, lambda: None
            outcome = super().submit(intent)
            happens()
            return outcome
        price = intent.limit_price or intent.stop_price or Decimal(100)
        assert self.limit is None or intent.qty * price <= self.limit
        return super().submit(intent)

    def instruments(self, symbols: Sequence[Symbol], *, fresh: bool = False) -> Mapping[Symbol, Instrument]:
        found = super().instruments(symbols)
        return {s: replace(each, **self.rules) for s, each in found.items()}  # type: ignore[arg-type]


@dataclass(frozen=True)
class Asked:
    kind: str
    id: int = 1
    args: Mapping[str, str] = field(default_factory=dict)


class Ailing(MemoryJournal):
    """`asked`: what a person waits for; `broken`: nothing can be written any more."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Asked] = []
        self.broken = False

    def pending_commands(self) -> Sequence[Asked]:
        return self.asked

    def add_intents(self, cycle_id: str, intents: Sequence[OrderIntent], at: datetime) -> None:
        self._write()
        super().add_intents(cycle_id, intents, at)

    def save_sync(
        self,
        portfolio: Portfolio,
        orders: Sequence[Order],
        executions: Sequence[Execution],
        counted: Counted | None = None,
    ) -> Sequence[Execution]:
        self._write()
        return super().save_sync(portfolio, orders, executions, counted)

    def alert(self, kind: str, severity: str, detail: str, at: datetime) -> None:
        self._write()
        super().alert(kind, severity, detail, at)

    def _write(self) -> None:
        if self.broken:
            raise DatabaseUnusable("the disk is gone")


def on(folder: Path, *symbols: str, **flags: object) -> tuple[Bench, Busy]:
    bars = {}
    for symbol in symbols:
        bars[symbol] = level_bars(symbol)
        bars[symbol].loc[CONTEXT + 1, "low"] = 99.0
    flags = {"exits__exit_rests": "stop", **flags}
    bench = bench_on(bars, folder, broker_of=Busy, journal=Ailing(), **flags)
    for symbol in symbols:
        bench.want(Symbol(symbol), "99.50", "103.00", "97.00")
    broker = bench.desk.broker
    assert isinstance(broker, Busy)
    return bench, broker


def ailing(bench: Bench) -> Ailing:
    assert isinstance(bench.journal, Ailing)
    return bench.journal


def entered(bench: Bench) -> int:
    return sum(len(bench.open_orders(symbol)) for symbol in (BTC, ETH))


CHANGES: dict[str, Callable[[Bench], object]] = {
    "a minute passes": lambda bench: bench.desk.pause(60.0),
    "a person kills": lambda bench: bench.desk.set_flag("killed", "by a person"),
    "a halt": lambda bench: bench.desk.halt("something"),
    "a pause waits to be carried out": lambda bench: ailing(bench).asked.append(Asked("pause")),
    "SIGTERM": lambda bench: setattr(bench.desk, "ending", True),
    "a doubt": lambda bench: bench.desk.doubts.update(stream="mute"),
}


@pytest.mark.parametrize("what", [*CHANGES, "nothing"])
def test_the_second_entry_does_not_go_where_something_changed_meanwhile(tmp_path: Path, what: str) -> None:
    bench, broker = on(tmp_path, "BTC/USD", "ETH/USD")
    if what != "nothing":
        broker.meanwhile = lambda: CHANGES[what](bench)
    bench.cycle()
    assert entered(bench) == (2 if what == "nothing" else 1)


class Falling(VenueData):
    """Quotes of the market, until it falls below where the stops are."""

    def __init__(self, venue: Venue) -> None:
        super().__init__(venue)
        self.fallen: Decimal | None = None
        self.away = False

    def quotes(self, symbols: Sequence[Symbol]) -> Mapping[Symbol, Quote]:
        if self.away:
            raise Transient("quotes: 502")
        found = super().quotes(symbols)
        if self.fallen is None:
            return found
        change = {"bid": self.fallen, "ask": self.fallen + Decimal("0.02")}
        return {symbol: replace(quote, **change) for symbol, quote in found.items()}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fallen", "away", "sent"),
    [("97.00", False, 1), ("96.00", False, 1), ("97.50", False, 2), ("97.50", True, 1)],
)
def test_an_entry_whose_stop_the_market_has_passed_meanwhile_is_not_sent(
    tmp_path: Path, fallen: str, away: bool, sent: int
) -> None:
    bench, broker = on(tmp_path, "BTC/USD", "ETH/USD")
    bench.trader.market = data = Falling(bench.venue)

    def meanwhile() -> None:
        data.fallen, data.away = Decimal(fallen), away
        bench.desk.pause(3.0)

    broker.meanwhile = meanwhile
    bench.cycle()
    assert entered(bench) == sent


def test_the_first_entry_is_not_sent_either_where_the_decision_took_its_time(tmp_path: Path) -> None:
    bench, _ = on(tmp_path, "BTC/USD")
    bench.trader.market = data = Falling(bench.venue)
    decide = bench.trader.decide

    def slowly(inputs: DecisionInputs) -> Sequence[Signal]:
        data.fallen = Decimal("96.00")
        bench.desk.pause(3.0)
        return decide(inputs)

    bench.trader.decide = slowly
    bench.cycle()
    assert entered(bench) == 0


def test_the_time_that_the_strategy_takes_makes_a_quote_older(tmp_path: Path) -> None:
    bench, _ = on(tmp_path, "BTC/USD")
    decide = bench.trader.decide

    def slowly(inputs: DecisionInputs) -> Sequence[Signal]:
        bench.desk.pause(45.0)
        return decide(inputs)

    bench.trader.decide = slowly
    bench.cycle()
    assert entered(bench) == 0


def test_an_exit_above_the_venues_limit_goes_in_pieces(tmp_path: Path) -> None:
    bench, broker = on(tmp_path, "BTC/USD")
    bench.cycle()
    bench.go(bench.venue.now.replace(minute=59))
    most = Decimal(4_000)
    broker.limit = most
    bench.manager.instruments = {BTC: replace(bench.manager.instruments[BTC], max_notional=most)}
    for _ in range(3):
        bench.manage()
    resting = [order.qty for order in bench.open_orders(BTC) if order.side is OrderSide.SELL]
    assert len(resting) == 3
    assert sum(resting) == bench.held(BTC)
    before = {order.id for order in bench.open_orders(BTC)}
    bench.desk.pause(1.0)
    bench.manage()
    assert {order.id for order in bench.open_orders(BTC)} == before, "they go on resting"
    bench.desk.set_flag("killed", "by a person")
    for _ in range(3):
        bench.manage()
        bench.desk.pause(5.0)
    assert bench.held(BTC) == 0


def test_the_venues_rules_are_read_again_each_day(tmp_path: Path) -> None:
    bench, broker = on(tmp_path, "BTC/USD")
    broker.rules = {"tradable": False, "tick": Decimal("0.5")}
    bench.manage()
    assert bench.trader.instruments[BTC].tradable
    bench.desk.pause(86_400.0)
    bench.manage()
    assert not bench.trader.instruments[BTC].tradable
    assert bench.alerts("rules")
    bench.cycle()
    assert not bench.open_orders(BTC)


def test_what_may_not_be_traded_for_a_while_is_entered_again_soon_after(tmp_path: Path) -> None:
    """A halt of minutes may fall on the moment of the daily look."""
    bench, broker = on(tmp_path, "BTC/USD")
    broker.rules = {"tradable": False}
    bench.desk.pause(86_400.0)
    bench.manage()
    broker.rules = {}
    bench.manage()
    assert not bench.trader.instruments[BTC].tradable, "they are not read with each look"
    bench.desk.pause(660.0)
    bench.manage()
    assert bench.trader.instruments[BTC].tradable


@pytest.mark.parametrize("rests", ["target", "stop", "nearest"])
def test_without_a_journal_the_end_still_leaves_the_stop_and_no_entry(tmp_path: Path, rests: str) -> None:
    bench, _ = on(tmp_path, "BTC/USD", "ETH/USD", exits__exit_rests=rests)
    bench.want(ETH, "98.50", "103.00", "97.00")
    bench.cycle()
    bench.go(bench.venue.now.replace(minute=59))
    bench.manage()
    assert len(bench.open_orders(ETH)) == 1

    ailing(bench).broken = True
    bench.desk.pause(1.0)
    leave_safe(bench.manager)
    assert [order.stop_price for order in bench.open_orders(BTC)] == [Decimal(97)]
    assert not bench.open_orders(ETH)
