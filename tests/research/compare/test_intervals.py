"""Intervals by resampling: where they must lie, and that pairs are resampled as pairs."""

from __future__ import annotations

import numpy as np
import pytest

from tests.research.compare.simulated import KINDS, coverage, remembering
from trader.research import intervals
from trader.research.intervals import (
    automatic_block,
    mean_interval,
    ratio_of_quantiles,
    ratio_of_sums,
    sharpe_change_interval,
    sum_interval,
    usual_block,
)

HOURS = 8766.0


def test_a_ratio_lies_in_its_interval_which_narrows_with_more_of_them() -> None:
    random = np.random.default_rng(1)
    for ratio_of in (ratio_of_sums, lambda top, bottom: ratio_of_quantiles(top, bottom, 0.5)):
        few, many = (ratio_of(*random.lognormal(0.2, 0.3, size=(2, count))) for count in (30, 3000))
        for ratio in (few, many):
            assert ratio.low < ratio.middle < ratio.high
        assert many.high - many.low < (few.high - few.low) / 3


def test_of_three_values_nothing_is_known() -> None:
    assert np.isnan(ratio_of_sums(np.ones(3), np.ones(3)).low)


def test_values_that_never_change_have_a_ratio_for_sure() -> None:
    ratio = ratio_of_quantiles(np.full(50, 3.0), np.full(50, 2.0), 0.5)
    assert (ratio.low, ratio.middle, ratio.high) == pytest.approx((1.5, 1.5, 1.5))


# ---- how long a block is ----


def test_a_block_is_as_long_as_the_values_remember() -> None:
    """By the formula, of a first-order autoregression: the cube root of 1.5 N (2 * 0.7 / 0.51)^2, here 28."""
    random = np.random.default_rng(6)
    lengths = [automatic_block(remembering(random, 2000, 0.7, 1.0)) / 3 for _ in range(20)]
    assert np.median(lengths) == pytest.approx(28.3, rel=0.25)
    assert np.median([automatic_block(random.normal(size=2000)) for _ in range(20)]) < 12
    assert automatic_block(np.linspace(0, 1, 400)) == 100
    assert automatic_block(np.ones(400)) == automatic_block(random.normal(size=7)) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_nominal_interval_of_95_percent_covers_90_and_more(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "RESAMPLES", 300)
    assert min(coverage(KINDS[kind], 200, 100)) >= 0.9


def test_equal_curves_differ_by_nothing_for_sure() -> None:
    returns = np.random.default_rng(2).normal(0, 0.01, size=500)
    change = sharpe_change_interval(returns, returns.copy(), HOURS)
    assert change is not None
    assert (change.low, change.high) == (0.0, 0.0)
    total = sum_interval(returns - returns, usual_block(len(returns)))
    assert (total.low, total.high) == (0.0, 0.0)


def test_a_curve_that_is_better_at_every_step_is_surely_better() -> None:
    returns = np.random.default_rng(3).normal(0, 0.01, size=500)
    change = sharpe_change_interval(returns, returns + 0.0005, HOURS)
    assert change is not None
    assert change.low > 0


def test_returns_that_never_move_have_no_ratio() -> None:
    assert sharpe_change_interval(np.zeros(100), np.zeros(100), HOURS) is None


def test_the_sum_is_as_many_means_as_there_are_values() -> None:
    values = np.random.default_rng(4).normal(0.1, 1, size=500)
    mean, total = mean_interval(values, 5), sum_interval(values, 5)
    assert (total.low, total.high) == pytest.approx((500 * mean.low, 500 * mean.high))
    assert 0.1 in mean


def test_neighbours_that_are_alike_widen_the_interval() -> None:
    alike = np.repeat(np.random.default_rng(5).normal(0, 1, size=100), 10)
    narrow, wide = mean_interval(alike, 1), mean_interval(alike, 10)
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)
