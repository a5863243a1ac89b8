"""A day begins with the last equity of the day before, also where nobody looked in between."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from tests.trading.bench import bench_on, level_bars, restarted
from trader.core.types import Symbol

BTC = Symbol("BTC/USD")


def test_a_loss_while_the_daemon_was_away_over_midnight_is_one_of_the_new_day(tmp_path: Path) -> None:
    bench = bench_on({"BTC/USD": level_bars()}, tmp_path)
    midnight = bench.venue.now.replace(hour=0, minute=0) + timedelta(days=1)
    bench.go(midnight - timedelta(minutes=30))
    bench.desk.risk_state(bench.desk.sync())
    bench.go(midnight + timedelta(minutes=30))
    books = bench.venue.books
    bench.venue.books = replace(books, cash=books.cash - 5)  # so little that it needs no explanation
    bench = restarted(bench, "BTC/USD", tmp_path)
    assert bench.desk.risk_state(bench.desk.sync()).day_start_equity == 100_000


def test_money_that_came_in_while_the_daemon_was_away_is_no_profit_and_no_loss(tmp_path: Path) -> None:
    """It is in the equity at the start: a day that began with that, and with the money once more, would look lost."""
    bench = bench_on({"BTC/USD": level_bars()}, tmp_path)
    midnight = bench.venue.now.replace(hour=0, minute=0) + timedelta(days=1)
    bench.go(midnight + timedelta(minutes=30))
    bench.venue.books = replace(bench.venue.books, cash=bench.venue.books.cash + 50_000)
    bench = restarted(bench, "BTC/USD", tmp_path)
    assert bench.desk.risk_state(bench.desk.sync()).day_start_equity == 150_000
    bench.want(BTC, "99.50", "103.00", "97.00")
    bench.cycle()
    assert bench.open_orders(BTC), "the entry is not denied as after a lost day"
