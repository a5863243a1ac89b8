"""A stock split overnight: the same money in other units, and nothing to be sold for."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from tests.trading.bench import CONTEXT, Bench, bench_on, level_bars, restarted
from tests.trading.test_without_journal import Ailing, away, with_reserve
from trader.core.types import OrderSide, Symbol
from trader.errors import DatabaseAway

SPY = Symbol("SPY")
PRICES = ["open", "high", "low", "close"]


def _bars(ratio: Decimal) -> tuple[pd.DataFrame, pd.Timestamp]:
    """Flat ones, but for the dip that fills the entry; other units from the next day on. And when that day begins."""
    bars = level_bars("SPY")
    bars.loc[CONTEXT + 1, "low"] = 99.0
    after = bars["timestamp"].dt.date > bars["timestamp"][CONTEXT + 1].date()
    bars.loc[after, PRICES] = float(100 / ratio)
    bars.loc[after, "volume"] = float(1_000_000 * ratio)
    return bars, bars["timestamp"][after].iloc[0]


def _held_overnight(folder: Path, ratio: Decimal) -> tuple[Bench, pd.Timestamp]:
    bars, morning = _bars(ratio)
    bench = bench_on({"SPY": bars}, folder, exits__stocks_overnight=True, exits__exit_rests="stop")
    bench.enter(SPY)
    bench.go(morning.to_pydatetime().replace(hour=9))
    return bench, morning


def _split(bench: Bench, ratio: Decimal) -> Decimal:
    """The venue books it: as many times the units, at the same cost. Returns what is held then."""
    books = bench.venue.books
    holding = books.holdings[SPY]
    split = replace(holding, qty=(holding.qty * ratio).to_integral_value(rounding="ROUND_DOWN"))
    bench.venue.books = replace(books, holdings={**books.holdings, SPY: split})
    bench.desk.pause(1.0)
    return split.qty


def _stops(bench: Bench) -> set[tuple[Decimal, Decimal]]:
    return {(each.qty, each.stop_price) for each in bench.open_orders(SPY) if each.stop_price is not None}


def _through_the_day(bench: Bench, morning: pd.Timestamp) -> None:
    for minutes in (45, 60, 120, 240):
        bench.go(morning.to_pydatetime() + timedelta(minutes=minutes))
        bench.manage()


@pytest.mark.parametrize("ratio", ["2", "3", "10", "1.5", "0.1"])
def test_a_split_scales_the_levels_and_sells_nothing(tmp_path: Path, ratio: str) -> None:
    factor = Decimal(ratio)
    bench, morning = _held_overnight(tmp_path, factor)
    qty = _split(bench, factor)
    bench.manage()
    (exit_, *_) = bench.open_orders(SPY)
    levels = bench.desk.known.levels()[SPY]
    assert levels.stop is not None
    assert levels.target is not None
    assert abs(levels.stop * factor - 97) < factor * Decimal("0.011")
    assert abs(levels.target * factor - 103) < factor * Decimal("0.011")
    assert (exit_.qty, exit_.side) == (qty, OrderSide.SELL)
    _through_the_day(bench, morning)
    assert bench.held(SPY) == qty
    assert bench.alerts("split")
    assert bench.desk.flags()["halted"]  # a person is to look all the same


def test_a_split_while_the_daemon_was_away_drops_to_the_fallback(tmp_path: Path) -> None:
    """Nobody knows what the entry price was before: the levels may be of either kind."""
    bench, morning = _held_overnight(tmp_path, Decimal(2))
    qty = _split(bench, Decimal(2))
    bench = restarted(bench, "SPY", tmp_path)
    assert not bench.open_orders(SPY), "what rests is in the old units"
    _through_the_day(bench, morning)
    assert bench.held(SPY) == qty
    (exit_,) = bench.open_orders(SPY)
    stop = bench.desk.known.levels()[SPY].stop
    assert stop is not None
    assert Decimal(45) < stop < 50
    assert (exit_.qty, exit_.stop_price) == (qty, stop)
    assert bench.alerts("split")


def test_units_that_came_in_at_the_same_price_leave_the_stop_where_it_is(tmp_path: Path) -> None:
    """A transfer, of a number that no split gives."""
    bench, _ = _held_overnight(tmp_path, Decimal(1))
    books = bench.venue.books
    holding = books.holdings[SPY]
    more = replace(holding, qty=holding.qty + 37, cost=holding.cost + 37 * 100)
    bench.venue.books = replace(books, holdings={**books.holdings, SPY: more})
    bench.desk.pause(1.0)
    bench.manage()
    assert bench.desk.known.levels()[SPY].stop == 97
    assert not bench.alerts("split")


def test_a_split_while_the_journal_takes_nothing_scales_the_levels_once_and_is_booked_when_it_is_back(
    tmp_path: Path,
) -> None:
    ratio, journal = Decimal(2), Ailing()
    bars, morning = _bars(ratio)
    bench = bench_on({"SPY": bars}, tmp_path, journal=journal, exits__stocks_overnight=True, exits__exit_rests="stop")
    with_reserve(bench, tmp_path)
    bench.enter(SPY)
    bench.go(morning.to_pydatetime().replace(hour=9))
    bench.manage()
    with away(journal, DatabaseAway("connection refused"), True):
        bench.manage()
        qty = _split(bench, ratio)
        for _ in range(3):
            bench.manage()
            bench.desk.pause(1.0)
        assert _stops(bench) == {(qty, Decimal("48.50"))}
        bench.go(morning.to_pydatetime() + timedelta(minutes=45))
        bench.manage()
        assert bench.held(SPY) == qty, "the stop in the old units would have sold it"
    bench.manage()
    bench.manage()
    assert bench.desk.known.levels()[SPY].stop == Decimal("48.50")
    assert journal.believed().positions == {SPY: qty}
    assert _stops(bench) == {(qty, Decimal("48.50"))}
    assert bench.alerts("split")
    assert bench.desk.flags()["halted"]
    _through_the_day(bench, morning)
    assert bench.held(SPY) == qty
