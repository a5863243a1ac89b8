"""The end of a replay: time stands still for good, and what takes time never comes."""

from __future__ import annotations

from pathlib import Path

from tests.trading.bench import CONTEXT, Bench, bench_on, level_bars
from trader.core.types import Order, Symbol
from trader.research.backtest.inprocess import VenueBroker
from trader.trading.last_resort import leave_stops
from trader.trading.last_run import leave_safe

BTC = Symbol("BTC/USD")
FEW = 60  # looks at one order


class Slow(VenueBroker):
    """A cancel is taken, and not carried out while time stands still."""

    looks = 0

    def cancel(self, order_id: str) -> bool:
        return True

    def order(self, order_id: str) -> Order | None:
        self.looks += 1
        assert self.looks < 5 * FEW, "it looks for ever"
        return super().order(order_id)


def at_the_end(folder: Path) -> tuple[Bench, Slow]:
    bench = bench_on({"BTC/USD": level_bars(count=CONTEXT + 4)}, folder, broker_of=Slow)
    bench.want(BTC, "99.50", "103.00", "97.00")
    bench.cycle()
    assert bench.open_orders(BTC)
    while bench.venue.advance(bench.venue.now.replace(year=2030)).reason != "end":
        pass
    broker = bench.desk.broker
    assert isinstance(broker, Slow)
    broker.looks = 0
    return bench, broker


def test_a_cancel_is_not_waited_for_without_end_and_what_still_works_is_said(tmp_path: Path) -> None:
    bench, broker = at_the_end(tmp_path)
    (order,) = bench.open_orders(BTC)
    assert not bench.desk.cancel([order.id])
    assert 2 < broker.looks < FEW
    (alert,) = bench.alerts("cancel")
    assert order.id in alert.detail
    assert "BTC/USD" in alert.detail


def test_the_daemon_ends_all_the_same(tmp_path: Path) -> None:
    bench, _ = at_the_end(tmp_path)
    leave_safe(bench.manager)
    assert bench.alerts("cancel")


def test_without_a_journal_too(tmp_path: Path) -> None:
    bench, broker = at_the_end(tmp_path)
    desk, manager = bench.desk, bench.manager
    told = leave_stops(broker, desk.clock, desk.account_id, {}, manager.instruments, manager.policy, desk.pause)
    assert told == ["entries: their cancel is unconfirmed"]
