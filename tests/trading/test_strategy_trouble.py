"""The strategy is a plug-in: raising, hanging or talking nonsense it costs a cycle's entries, and exits go on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from tests.trading.bench import CONTEXT, Bench, bench_on, level_bars
from trader.core.decision import DecisionInputs, Signal
from trader.core.types import EntrySide, Symbol
from trader.trading.strategy_guard import GuardedStrategy

BTC = Symbol("BTC/USD")


def on(folder: Path, decide: Callable[[DecisionInputs], Sequence[Signal]], deadline_s: float = 5.0) -> Bench:
    bars = level_bars()
    bars.loc[CONTEXT + 1, "low"] = 99.0
    bench = bench_on({"BTC/USD": bars}, folder, exits__exit_rests="stop")
    bench.enter(BTC)
    bench.trader.decide = GuardedStrategy(decide, deadline_s)
    return bench


def fail(inputs: DecisionInputs) -> Sequence[Signal]:
    raise ZeroDivisionError("division by zero")


def leave(inputs: DecisionInputs) -> Sequence[Signal]:
    raise SystemExit(3)


@pytest.mark.parametrize("decide", [fail, leave])
def test_one_that_raises_is_told_of_at_once_and_then_rarely(
    tmp_path: Path, decide: Callable[[DecisionInputs], Sequence[Signal]]
) -> None:
    bench = on(tmp_path, decide)
    for _ in range(6):
        bench.cycle()
    told = bench.alerts("strategy")
    assert len(told) == 2, "in the first cycle and in the third"
    assert "nothing is entered, exits go on" in told[0].detail
    assert [order.stop_price for order in bench.open_orders(BTC)] == [Decimal(97)]


def test_one_that_hangs_is_given_up_and_not_begun_again_meanwhile(tmp_path: Path) -> None:
    released, calls = threading.Event(), list[int]()

    def hang(inputs: DecisionInputs) -> Sequence[Signal]:
        calls.append(1)
        released.wait(60)
        return ()

    bench = on(tmp_path, hang, deadline_s=0.05)
    bench.cycle()
    bench.cycle()
    assert len(calls) == 1
    assert "not answered within" in bench.alerts("strategy")[0].detail
    assert [order.stop_price for order in bench.open_orders(BTC)] == [Decimal(97)]
    released.set()


@pytest.mark.parametrize("deed", [fail, lambda inputs: ["buy"]], ids=["raises", "is not meant"])
def test_when_it_is_over_that_is_said(tmp_path: Path, deed: Callable[[DecisionInputs], Sequence[Signal]]) -> None:
    bench = on(tmp_path, deed)
    bench.cycle()
    bench.trader.decide = GuardedStrategy(lambda inputs: (), 5.0)
    bench.cycle()
    bench.cycle()
    assert [alert.severity for alert in bench.alerts("strategy")][1:] == ["info"]


def test_a_signal_that_can_not_be_meant_costs_no_other(tmp_path: Path) -> None:
    good = Signal(
        symbol=BTC, entry_side=EntrySide.LONG, entry=Decimal("99.50"), target=Decimal(103), stop=Decimal(97)
    )  # fmt: skip
    nonsense = Signal(symbol=Symbol("ETH/USD"), entry_side=EntrySide.LONG, entry=Decimal("NaN"), stop=Decimal("NaN"))
    bench = bench_on({"BTC/USD": level_bars()}, tmp_path)
    bench.trader.decide = GuardedStrategy(lambda inputs: (nonsense, good), 5.0)
    bench.cycle()
    assert [order.limit_price for order in bench.open_orders(BTC)] == [Decimal("99.50")]
    assert bench.alerts("strategy")
