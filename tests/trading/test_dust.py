"""What is too small to be sold must not keep its symbol from being traded."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from tests.trading.bench import CONTEXT, Bench, bench_on, level_bars
from trader.core.types import OrderSide, Symbol

BTC = Symbol("BTC/USD")
TRIFLE = 1e-4  # units that trade in a bar: our share of it is far below the venue's smallest order


def after_a_trifle_of_a_fill(folder: Path) -> Bench:
    """An entry of which the market takes next to nothing, and what the manager and the next cycle make of it."""
    bars = level_bars()
    bars.loc[CONTEXT + 1, ["low", "volume"]] = [99.0, TRIFLE]
    bars.loc[CONTEXT + 3, "low"] = 99.0
    bench = bench_on({"BTC/USD": bars}, folder)
    bench.want(BTC, "99.50", "103.00", "97.00")
    bench.cycle()
    (entry,) = bench.open_orders(BTC)
    bench.venue.advance(bench.venue.now.replace(minute=59))
    assert Decimal(0) < bench.held(BTC) < bench.venue.market.instruments[BTC].min_qty
    assert entry.side is OrderSide.BUY
    return bench


def test_the_rest_of_an_entry_waits_on_where_nothing_is_held_that_could_be_protected(tmp_path: Path) -> None:
    bench = after_a_trifle_of_a_fill(tmp_path)
    bench.manage()
    assert [order.side for order in bench.open_orders(BTC)] == [OrderSide.BUY]


def test_a_symbol_with_dust_is_entered_again(tmp_path: Path) -> None:
    bench = after_a_trifle_of_a_fill(tmp_path)
    bench.manage()
    bench.cycle()
    assert [order.side for order in bench.open_orders(BTC)] == [OrderSide.BUY], bench.journal.all_intents
    bench.manage()  # which leaves the fresh entry alone
    bench.cycle()
    bench.manage()
    bench.venue.advance(bench.venue.now.replace(minute=59))
    assert bench.held(BTC) > 1
    bench.manage()
    assert [order.side for order in bench.open_orders(BTC)] == [OrderSide.SELL]


def test_what_has_become_too_small_by_other_rules_is_told_and_when_that_is_over(tmp_path: Path) -> None:
    bars = level_bars()
    bars.loc[CONTEXT + 1, "low"] = 99.0
    bench = bench_on({"BTC/USD": bars}, tmp_path)
    bench.enter(BTC)
    usual = bench.manager.instruments[BTC]
    bench.manager.instruments = {BTC: replace(usual, min_qty=bench.held(BTC) + 1)}
    bench.manage()
    bench.manage()
    (told,) = bench.alerts("rules")
    assert (told.severity, "too small to be sold and has no exit" in told.detail) == ("error", True)
    bench.manager.instruments = {BTC: usual}
    bench.manage()
    assert [alert.severity for alert in bench.alerts("rules")] == ["error", "info"]


def test_a_trifle_that_a_fill_has_left_is_not_told(tmp_path: Path) -> None:
    bench = after_a_trifle_of_a_fill(tmp_path)
    bench.manage()
    assert not bench.alerts("rules")
