"""Positions in symbols that SYMBOLS does not name: ours are looked after until they are gone, another's are left alone
until a person says otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.trading.bench import CONTEXT, Bench, bench_on, level_bars, restarted
from trader.core.types import OrderSide, Symbol

BTC, ETH = Symbol("BTC/USD"), Symbol("ETH/USD")


def no_longer_traded(folder: Path) -> Bench:
    """BTC/USD was entered; then the daemon died before its exit was placed, and SYMBOLS names ETH/USD alone."""
    bars = {"BTC/USD": level_bars(), "ETH/USD": level_bars("ETH/USD")}
    bars["BTC/USD"].loc[CONTEXT + 1, "low"] = 99.0
    before = bench_on(bars, folder)
    before.want(BTC, "99.50", "103.00", "97.00")
    before.cycle()
    before.venue.advance(before.venue.now.replace(minute=59))
    assert before.held(BTC) > 1
    return restarted(before, "ETH/USD", folder)


def test_what_we_hold_is_protected_by_its_levels_when_its_symbol_is_not_traded_any_more(tmp_path: Path) -> None:
    bench = no_longer_traded(tmp_path)
    bench.manage()
    (exit_,) = bench.open_orders(BTC)
    assert (exit_.side, exit_.qty) == (OrderSide.SELL, bench.held(BTC))


def test_what_somebody_else_bought_is_left_alone(tmp_path: Path) -> None:
    bench = restarted(
        bench_on({"BTC/USD": level_bars(), "ETH/USD": level_bars("ETH/USD")}, tmp_path), "ETH/USD", tmp_path
    )
    bench.by_hand(BTC, OrderSide.BUY, "1")
    bench.manage()
    assert bench.held(BTC) > 0
    assert not bench.open_orders(BTC)


@pytest.mark.parametrize(("flag", "names"), [("killed", "by a person"), ("flatten", "all"), ("flatten", "BTC/USD")])
def test_a_person_who_says_everything_is_out_of_everything(tmp_path: Path, flag: str, names: str) -> None:
    bench = restarted(
        bench_on({"BTC/USD": level_bars(), "ETH/USD": level_bars("ETH/USD")}, tmp_path), "ETH/USD", tmp_path
    )
    bench.by_hand(BTC, OrderSide.BUY, "1")
    bench.desk.set_flag(flag, names)
    bench.manage()
    assert bench.held(BTC) == 0
    bench.manage()
    assert bench.desk.flags()["flatten"] == ""
