"""An order whose fate is not known yet may still arrive: nothing is to be sent in its place that would double it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from tests.trading.bench import CONTEXT, Bench, bench_on, level_bars
from trader.core.types import OrderIntent, OrderSide, Symbol
from trader.exchange.ledger.memory import MemoryLedger
from trader.exchange.venue import Venue
from trader.research.backtest.inprocess import VenueBroker
from trader.trading.ports import Submission, Undetermined

BTC, SPY = Symbol("BTC/USD"), Symbol("SPY")


class Slow(VenueBroker):
    """A venue that takes its time: what it was asked for is done when `deliver` is called."""

    def __init__(self, venue: Venue, ledger: MemoryLedger) -> None:
        super().__init__(venue, ledger)
        self.cancels: list[str] | None = None
        self.submits: dict[str, OrderIntent] | None = None

    def cancel(self, order_id: str) -> bool:
        if self.cancels is None:
            return super().cancel(order_id)
        self.cancels.append(order_id)
        return True

    def submit(self, intent: OrderIntent) -> Submission:
        if self.submits is None:
            return super().submit(intent)
        self.submits[intent.client_order_id] = intent
        return Undetermined(reason="no answer")

    def deliver(self) -> None:
        waiting, self.submits, self.cancels = self.submits or {}, None, None
        for intent in waiting.values():
            super().submit(intent)


def started(folder: Path, symbol: Symbol = BTC) -> tuple[Bench, Slow]:
    bars = level_bars(symbol.text)
    bars.loc[CONTEXT + 1, "low"] = 99.0
    bench = bench_on({symbol.text: bars}, folder, broker_of=Slow, exits__exit_rests="stop")
    bench.want(symbol, "99.50", "103.00", "97.00")
    broker = bench.desk.broker
    assert isinstance(broker, Slow)
    return bench, broker


def until_it_fills(bench: Bench, symbol: Symbol = BTC) -> None:
    bench.venue.advance(bench.venue.now.replace(minute=59))
    assert bench.held(symbol) > 1


def test_an_entry_that_arrives_late_has_the_levels_that_were_decided_for_it(tmp_path: Path) -> None:
    bench, broker = started(tmp_path)
    broker.submits = {}
    bench.cycle()
    bench.manage()
    broker.deliver()
    until_it_fills(bench)
    bench.manage()
    assert [(order.side, order.stop_price) for order in bench.open_orders(BTC)] == [(OrderSide.SELL, Decimal(97))]


def test_flatten_goes_on_while_an_entry_can_still_fill(tmp_path: Path) -> None:
    bench, broker = started(tmp_path)
    bench.cycle()
    broker.cancels = []
    bench.desk.set_flag("flatten", "BTC/USD")
    bench.manage()
    assert bench.alerts("cancel")
    broker.deliver()
    until_it_fills(bench)
    bench.manage()
    assert bench.held(BTC) == 0
    bench.manage()
    assert bench.desk.flags()["flatten"] == ""


def test_flatten_ends_where_an_entry_never_arrived(tmp_path: Path) -> None:
    bench, broker = started(tmp_path)
    broker.submits = {}
    bench.cycle()
    bench.desk.set_flag("flatten", "BTC/USD")
    bench.manage()
    assert bench.desk.flags()["flatten"] == "BTC/USD"
    bench.desk.pause(60)
    bench.manage()
    assert bench.desk.flags()["flatten"] == ""


def test_an_exit_that_arrives_late_sells_no_share_twice(tmp_path: Path) -> None:
    bench, broker = started(tmp_path, SPY)
    bench.cycle()
    until_it_fills(bench, SPY)
    bench.desk.set_flag("flatten", "SPY")
    broker.submits = {}
    for _ in range(12):
        bench.manage()
        bench.desk.pause(10)
    broker.deliver()
    assert bench.held(SPY) == 0
    bench.manage()
    assert bench.desk.flags()["flatten"] == ""


def test_a_second_entry_waits_for_what_became_of_the_first(tmp_path: Path) -> None:
    """With bars of a minute the next cycle comes before anybody gives up on an order."""
    bench = bench_on({"BTC/USD": level_bars(timeframe="1Min")}, tmp_path, broker_of=Slow, timeframe="1Min")
    bench.want(BTC, "99.50", "103.00", "97.00")
    broker = bench.desk.broker
    assert isinstance(broker, Slow)
    broker.submits = {}
    bench.cycle()
    bench.cycle(delay_s=1)
    assert len(broker.submits) == 1
    broker.deliver()
    assert len(bench.open_orders(BTC)) == 1
