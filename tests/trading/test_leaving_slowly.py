"""The end of a daemon while the venue lets cancels wait: what rests stays, and a person is told what is left."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.trading.bench import CONTEXT, Bench, bench_on, level_bars
from trader.core.types import Symbol
from trader.errors import Transient
from trader.exchange.ledger.memory import MemoryLedger
from trader.exchange.venue import Venue
from trader.research.backtest.inprocess import VenueBroker
from trader.trading.last_resort import leave_stops
from trader.trading.last_run import leave_safe

BTC, ETH = Symbol("BTC/USD"), Symbol("ETH/USD")
STOP = Decimal("97.00")


class Queueing(VenueBroker):
    """Cancels are obeyed `queue_s` seconds after they were taken."""

    def __init__(self, venue: Venue, ledger: MemoryLedger) -> None:
        super().__init__(venue, ledger)
        self._at = venue
        self.queue_s = Decimal(0)
        self.taken: list[str] = []
        self.deaf = False  # no cancel arrives

    def cancel(self, order_id: str) -> bool:
        if self.deaf:
            raise Transient("no answer")
        if order_id not in self.taken:
            self.taken.append(order_id)
            self._at.cancel(order_id, cancel_s=self.queue_s)
        return True


def held(folder: Path, *symbols: Symbol) -> tuple[Bench, Queueing]:
    """With the target of each at rest."""
    bars = {symbol.text: level_bars(symbol.text, count=140) for symbol in symbols}
    for each in bars.values():
        each.loc[CONTEXT + 1, "low"] = 99.0  # which fills the entry
    bench = bench_on(bars, folder, broker_of=Queueing, exits__exit_rests="target")
    for symbol in symbols:
        bench.want(symbol, "99.50", "103.00", "97.00")
    bench.cycle()
    bench.go(bench.venue.now.replace(minute=59))
    bench.manage()
    bench.wish.clear()
    assert all(bench.held(symbol) for symbol in symbols)
    assert all(stops(bench, symbol) == [None] for symbol in symbols)
    broker = bench.desk.broker
    assert isinstance(broker, Queueing)
    broker.taken.clear()
    return bench, broker


def stops(bench: Bench, symbol: Symbol) -> list[Decimal | None]:
    return [order.stop_price for order in bench.open_orders(symbol)]


def left(bench: Bench) -> list[str]:
    return [alert.detail for alert in bench.alerts("shutdown")]


def test_where_a_cancel_has_waited_the_target_is_left_and_told_of(tmp_path: Path) -> None:
    bench, broker = held(tmp_path, BTC, ETH)
    broker.queue_s = Decimal(900)
    assert not bench.desk.cancel([order.id for order in bench.open_orders(ETH)])
    bench.go(bench.venue.now + timedelta(minutes=20))
    bench.manage()
    bench.desk.pause(10.0)  # it takes what it did not cancel itself for a refusal
    bench.manage()
    assert stops(bench, ETH) == [None], "placed anew"
    broker.taken.clear()
    leave_safe(bench.manager)
    bench.go(bench.venue.now + timedelta(hours=1))
    assert not broker.taken
    assert (stops(bench, BTC), stops(bench, ETH)) == ([None], [None])
    assert [text.split(":")[0] for text in left(bench)] == ["BTC/USD", "ETH/USD"]
    assert all("left with its target alone, sell " in text for text in left(bench))


def test_the_first_cancel_that_waits_is_the_only_one(tmp_path: Path) -> None:
    bench, broker = held(tmp_path, BTC, ETH)
    broker.queue_s = Decimal(900)
    leave_safe(bench.manager)
    bench.go(bench.venue.now + timedelta(hours=1))
    assert (stops(bench, BTC), stops(bench, ETH)) == ([], [None])
    first, second = left(bench)
    assert first.startswith("BTC/USD: ")
    assert "left with nothing: sell " in first
    assert "left with its target alone" in second


@pytest.mark.parametrize("queue_s", [0, 3, 25])
def test_a_stop_takes_the_place_of_a_target_whose_cancel_is_obeyed_soon(tmp_path: Path, queue_s: int) -> None:
    bench, broker = held(tmp_path, BTC)
    broker.queue_s = Decimal(queue_s)
    leave_safe(bench.manager)
    assert stops(bench, BTC) == [STOP]
    assert not left(bench)


def test_a_cancel_that_never_arrived_does_not_wait(tmp_path: Path) -> None:
    bench, broker = held(tmp_path, BTC)
    broker.deaf = True
    assert not bench.desk.cancel([order.id for order in bench.open_orders(BTC)])
    broker.deaf = False
    leave_safe(bench.manager)
    assert stops(bench, BTC) == [STOP]


def test_what_a_cancel_took_a_day_ago_says_nothing(tmp_path: Path) -> None:
    bench, broker = held(tmp_path, BTC)
    broker.queue_s = Decimal(900)
    assert not bench.desk.cancel([order.id for order in bench.open_orders(BTC)])
    bench.go(bench.venue.now + timedelta(minutes=20))
    bench.manage()
    bench.go(bench.venue.now + timedelta(hours=10))
    broker.queue_s = Decimal(0)
    leave_safe(bench.manager)
    assert stops(bench, BTC) == [STOP]


def test_without_a_journal_the_first_cancel_that_waits_is_the_only_one_too(tmp_path: Path) -> None:
    bench, broker = held(tmp_path, BTC, ETH)
    broker.queue_s = Decimal(900)
    desk, manager = bench.desk, bench.manager
    levels = desk.known.levels()
    told = leave_stops(broker, desk.clock, desk.account_id, levels, manager.instruments, manager.policy, desk.pause)
    assert [text.split(",")[0] for text in told] == [
        "BTC/USD: the cancel of what rested is unconfirmed",
        "ETH/USD: cancels wait at the venue",
    ]
    bench.go(bench.venue.now + timedelta(hours=1))
    assert (stops(bench, BTC), stops(bench, ETH)) == ([], [None])
