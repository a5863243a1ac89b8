"""Money that comes in or goes out, and fills that the account does not show yet: neither is to be taken for the other,
and neither is a profit or a loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from tests.trading.bench import CONTEXT, Bench, bench_on, level_bars
from trader.core.types import Account, Symbol
from trader.exchange.ledger.memory import MemoryLedger
from trader.exchange.venue import Venue
from trader.research.backtest.inprocess import VenueBroker
from trader.trading.open_differences import LAG

BTC = Symbol("BTC/USD")


class Meanwhile(VenueBroker):
    """The market does not stand still between two requests."""

    def __init__(self, venue: Venue, ledger: MemoryLedger) -> None:
        super().__init__(venue, ledger)
        self.happens: Callable[[], object] | None = None

    def account(self) -> Account:
        found = super().account()
        if self.happens is not None:
            happens, self.happens = self.happens, None
            happens()
        return found


def test_a_fill_just_after_the_account_was_read_is_no_deposit_and_no_halt(tmp_path: Path) -> None:
    """The second fill of an entry: so small beside the first that its units could be a fee, and dearer than any."""
    bars = level_bars()
    bars.loc[CONTEXT + 1, ["low", "volume"]] = [99.0, 100.3 / 0.075]
    bench = bench_on({"BTC/USD": bars}, tmp_path, broker_of=Meanwhile)
    broker = bench.desk.broker
    assert isinstance(broker, Meanwhile)
    bench.want(BTC, "99.50", "103.00", "97.00")
    bench.cycle()
    bench.venue.advance(bench.venue.now.replace(minute=59))
    (rest,) = bench.open_orders(BTC)
    assert Decimal("0.1") < rest.qty - rest.filled_qty < Decimal("0.3")
    broker.happens = lambda: bench.venue.advance(bench.venue.now.replace(minute=59))
    bench.desk.sync()
    assert broker.happens is None
    assert not bench.open_orders(BTC)
    bench.desk.sync()
    assert bench.desk.flags()["halted"] == ""
    assert [each.kind for each in bench.journal.corrections] == ["opening"]


def moved(bench: Bench, cash: int) -> None:
    bench.venue.books = replace(bench.venue.books, cash=bench.venue.books.cash + cash)
    bench.desk.sync()
    if cash < 0:
        assert "no execution explains it" in bench.desk.doubt(), "nothing is entered from the first moment"
        bench.desk.pause(2 * LAG.total_seconds())  # an activity may explain it that long
        bench.desk.sync()
    bench.desk.set_flag("halted", "")  # a person has looked


def test_money_that_comes_in_hides_no_loss(tmp_path: Path) -> None:
    bench = bench_on({"BTC/USD": level_bars()}, tmp_path)
    before = bench.desk.risk_state(bench.desk.sync())
    moved(bench, 50_000)
    after = bench.desk.risk_state(bench.desk.sync())
    assert (before.day_start_equity, before.peak_equity) == (100_000, 100_000)
    assert (after.day_start_equity, after.peak_equity) == (150_000, 150_000)


def test_money_that_goes_out_is_no_loss_once_a_person_has_said_so(tmp_path: Path) -> None:
    bench = bench_on({"BTC/USD": level_bars()}, tmp_path)
    bench.desk.risk_state(bench.desk.sync())
    moved(bench, -40_000)
    after = bench.desk.risk_state(bench.desk.sync())
    assert (after.day_start_equity, after.peak_equity) == (60_000, 60_000)
    assert bench.alerts("halt")


def test_money_that_came_in_over_midnight_is_no_profit_of_the_new_day(tmp_path: Path) -> None:
    bench = bench_on({"BTC/USD": level_bars()}, tmp_path)
    midnight = bench.venue.now.replace(hour=0) + timedelta(days=1)
    bench.go(midnight - timedelta(minutes=1))
    bench.desk.sync()
    bench.go(midnight + timedelta(minutes=1))
    moved(bench, 50_000)
    assert bench.desk.risk_state(bench.desk.sync()).day_start_equity == 150_000
