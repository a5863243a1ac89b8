"""Figures of a run, against the same sums done by hand."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.research.backtest.material import HOUR, START
from trader.core.market import Bars, to_datetime64
from trader.core.performance import sharpe
from trader.core.types import Execution, OrderSide, Symbol, Timeframe
from trader.research.backtest.figures import (
    RunHistory,
    curve_of,
    figures_of,
    sharpe_interval,
    sharpe_of,
)
from trader.research.backtest.worth import Worth

BTC = Symbol("BTC/USD")


def bars(closes: list[float]) -> Bars:
    times = np.array([to_datetime64(START + n * HOUR) for n in range(-1, len(closes) - 1)])
    values = np.array([[close] * 4 + [1.0, close] for close in closes])
    return Bars(symbol=BTC, timeframe=Timeframe(1, "Hour"), times=times, values=values)


def fill(hours: float, side: OrderSide, qty: str, price: str, fee: str, currency: str) -> Execution:
    return Execution(
        id=f"{hours}", order_id="o", symbol=BTC, side=side, qty=Decimal(qty), price=Decimal(price),
        at=START + hours * HOUR, fee=Decimal(fee), fee_currency=currency,
    )  # fmt: skip


def happened(equities: list[int], fills: list[Execution], closes: list[float]) -> RunHistory:
    equity = np.array(equities, dtype=float)
    worth = Worth.of(equity, equity / 2)
    return RunHistory(
        symbols=(BTC,), start=START, end=START + (len(equities) - 1) * HOUR, interval=HOUR, worth=worth, fills=fills,
        orders=2, bars={BTC: bars(closes)},
    )  # fmt: skip


def test_a_round_trip_by_hand() -> None:
    fills = [
        fill(0.5, OrderSide.BUY, "1", "100", "0.001", "BTC"),
        fill(1.5, OrderSide.SELL, "0.999", "110", "0.10", "USD"),
    ]
    found = figures_of(happened([1000, 990, 1009, 1009], fills, [100.0, 105.0, 110.0, 120.0]))
    own = found.symbols[0]
    assert own.fees == Decimal("0.2")  # 0.001 of a coin at 100, and ten cents
    assert own.profit == Decimal("0.999") * 110 - Decimal("0.10") - 100
    assert (own.trades, own.won, found.fills, found.orders) == (1, 1, 2, 2)
    assert found.account.total_return == pytest.approx(0.009)
    assert found.account.max_drawdown == pytest.approx(0.01)
    assert found.turnover == pytest.approx((100 + 0.999 * 110) / 1000)
    assert found.exposure == pytest.approx(0.5)
    assert found.buy_and_hold is not None
    assert found.buy_and_hold.total_return == pytest.approx(0.2)
    assert own.buy_and_hold == pytest.approx(0.2)
    assert own.in_market == pytest.approx(0.25)


def test_nothing_is_judged_without_an_equity() -> None:
    empty = RunHistory(
        symbols=(BTC,),
        start=START,
        end=START + HOUR,
        interval=HOUR,
        worth=Worth.of(np.zeros(2), np.zeros(2)),
        fills=[],
        orders=0,
        bars={},
    )
    with pytest.raises(ValueError, match="no equity"):
        figures_of(empty)


@given(st.lists(st.floats(-0.05, 0.05), min_size=40, max_size=200), st.integers(0, 9))
def test_the_sharpe_ratio_is_the_one_of_the_live_figures(returns: list[float], seed: int) -> None:
    wealth = 1000 * np.cumprod([1.0, *(1 + r for r in returns)])
    points = [(START + n * HOUR, Decimal(repr(float(w)))) for n, w in enumerate(wealth)]
    ours, theirs = curve_of(wealth, HOUR).sharpe, sharpe(points, HOUR)
    if ours is None or theirs is None or np.std(returns) < 1e-9:
        return
    # the live one counts the first point as an interval without a change
    assert ours == pytest.approx(theirs, rel=0.2, abs=0.5)


def test_too_few_returns_have_no_sharpe_ratio_and_flat_wealth_none_either() -> None:
    assert sharpe_of(np.full(10, 0.01), HOUR) is None
    assert sharpe_of(np.zeros(1000), HOUR) is None
    assert sharpe_interval(np.zeros(1000), HOUR) is None


def test_the_interval_holds_the_true_ratio_about_as_often_as_it_says() -> None:
    """Independent returns of a known ratio: 95% intervals, 120 worlds."""
    truth, year = 1.0, timedelta(days=365.25)
    mean = truth * 0.01 / np.sqrt(year / HOUR)
    held = 0
    for seed in range(120):
        returns = np.random.default_rng(seed).normal(mean, 0.01, size=3000)
        interval = sharpe_interval(returns, HOUR, resamples=300)
        assert interval is not None
        held += interval.low <= truth <= interval.high
    assert 0.86 <= held / 120 <= 1.0


def test_the_interval_is_the_same_every_time() -> None:
    returns = np.random.default_rng(1).normal(0, 0.01, size=500)
    assert sharpe_interval(returns, HOUR) == sharpe_interval(returns, HOUR)
