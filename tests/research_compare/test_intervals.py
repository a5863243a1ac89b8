"""Intervals by resampling: where they must lie, and that pairs are resampled as pairs."""

from __future__ import annotations

import numpy as np

from trader.research.intervals import blocks_of, median_interval, sharpe_change_interval, sum_interval

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
    total = sum_interval(returns - returns, blocks_of(returns))
    assert (total.low, total.high) == (0.0, 0.0)


def test_a_curve_that_is_better_at_every_step_is_surely_better() -> None:
    returns = np.random.default_rng(3).normal(0, 0.01, size=500)
    change = sharpe_change_interval(returns, returns + 0.0005, HOURS)
    assert change is not None
    assert change.low > 0


def test_returns_that_never_move_have_no_ratio() -> None:
    assert sharpe_change_interval(np.zeros(100), np.zeros(100), HOURS) is None
