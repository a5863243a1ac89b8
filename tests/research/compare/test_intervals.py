"""Intervals by resampling: where they must lie, and that pairs are resampled as pairs."""

from __future__ import annotations

import numpy as np
import pytest

from trader.research.intervals import (
    mean_interval,
    median_interval,
    sharpe_change_interval,
    sum_interval,
    usual_block,
)

HOURS = 8766.0


def test_the_median_of_ratios_lies_in_its_interval_which_narrows_with_more_of_them() -> None:
    random = np.random.default_rng(1)
    few, many = (random.lognormal(0.2, 0.3, size=count) for count in (30, 3000))
    wide, narrow = median_interval(few), median_interval(many)
    for values, interval in ((few, wide), (many, narrow)):
        assert interval.low <= np.median(values) <= interval.high
    assert narrow.high - narrow.low < (wide.high - wide.low) / 3


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
