"""Scores against cases that can be worked out by hand, and against distributions whose scores are known."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trader.research.evaluate import scores
from trader.research.evaluate.scores import FEWEST, Difference, Share
from trader.research.intervals import Interval, mean_interval

NORMAL = NormalDist()


def crps_of_normal(actual: np.ndarray) -> np.ndarray:
    """[N] -> [N] of a standard normal forecast, in closed form."""
    density = np.exp(-(actual**2) / 2) / np.sqrt(2 * np.pi)
    cumulative = np.array([NORMAL.cdf(float(each)) for each in actual])
    return actual * (2 * cumulative - 1) + 2 * density - 1 / np.sqrt(np.pi)


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)


# ---- by hand ----


def test_pinball_loss_by_hand() -> None:
    loss = scores.pinball(column(10.0), np.array([[8.0, 10.0, 13.0]]), column(0.1, 0.5, 0.9))
    assert loss == pytest.approx(np.array([[0.2, 0.0, 0.3]]))


def test_the_median_alone_scores_its_absolute_error() -> None:
    assert scores.quantile_score(column(10.0, 3.0), np.array([[8.0], [7.0]]), column(0.5)) == pytest.approx([2.0, 4.0])


def test_crps_of_paths_by_hand() -> None:
    # |1-2|, |3-2| have mean 1; the one pair is 2 apart: 1 - 2 / 2
    assert scores.crps_of_paths(column(2.0), np.array([[1.0, 3.0]])) == pytest.approx([0.0])
    assert scores.crps_of_paths(column(5.0), np.array([[1.0, 3.0]])) == pytest.approx([2.0])
    assert scores.crps_of_paths(column(5.0), np.array([[4.0]])) == pytest.approx([1.0])


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=12), st.floats(-100, 100))
def test_crps_of_paths_is_the_sum_over_pairs(values: list[float], actual: float) -> None:
    paths = np.array(values)
    pairs = np.abs(paths[:, None] - paths[None, :]).sum() / (len(paths) * (len(paths) - 1))
    expected = np.abs(paths - actual).mean() - pairs / 2
    assert scores.crps_of_paths(column(actual), paths[None]) == pytest.approx([expected], abs=1e-9)


def test_pit_cells_by_hand() -> None:
    quantiles = np.tile([1.0, 2.0, 3.0], (5, 1))
    assert scores.pit_counts(column(0.5, 1.0, 2.5, 9.0, 3.0), quantiles).tolist() == [2, 0, 2, 1]
    assert scores.below_each(column(0.5, 1.0, 2.5, 9.0, 3.0), quantiles) == pytest.approx([0.4, 0.4, 0.8])


def test_coverage_counts_its_ends() -> None:
    share = scores.covered(column(1.0, 2.0, 3.0, 4.0), column(1.0, 1.0, 1.0, 1.0), column(3.0, 3.0, 3.0, 3.0))
    assert (share.hits, share.count, share.value) == (3, 4, 0.75)


def test_no_direction_is_neither_right_nor_wrong() -> None:
    last, said, came = column(10, 10, 10, 10), column(11, 9, 10, 11), column(12, 12, 12, 10)
    share = scores.direction_hits(last, said, came)
    assert (share.hits, share.count) == (1, 2)
    assert Share(hits=0, count=0).value is None
    assert Share(hits=0, count=0).interval is None


def test_wilson_interval_of_a_textbook_case() -> None:
    interval = scores.wilson(8, 10)
    assert (interval.low, interval.high) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))
    assert scores.wilson(0, 10).low == pytest.approx(0.0)
    assert scores.wilson(10, 10).high == pytest.approx(1.0)


def test_outcomes_that_share_bars_widen_the_interval() -> None:
    alone, together = Share(hits=60, count=100), Share(hits=60, count=100, together=4)
    assert together.interval is not None
    assert alone.interval is not None
    assert together.interval.low < alone.interval.low < 0.6 < alone.interval.high < together.interval.high
    assert together.value == alone.value


def test_the_scale_of_a_series_that_stands_still_is_unknown() -> None:
    assert scores.naive_scale(column(1, 3, 2)) == pytest.approx(1.5)
    assert scores.naive_scale(column(5, 5, 5)) is None


def test_hac_variance_by_hand() -> None:
    values = column(1, -1, 1, -1)
    assert scores.hac_variance(values, 0) == pytest.approx(1.0)
    # autocovariance at one lag: -3 / 4, with Bartlett's weight 1 / 2 and twice
    assert scores.hac_variance(values, 1) == pytest.approx(1.0 - 0.75)


# ---- against known distributions ----


def test_crps_of_a_normal_from_quantiles_and_from_paths() -> None:
    levels = np.arange(1, 1000) / 1000
    marks = np.array([NORMAL.inv_cdf(level) for level in levels])
    actual = column(-2.0, -0.3, 0.0, 0.7, 3.0)
    exact = crps_of_normal(actual)
    assert exact[2] == pytest.approx((np.sqrt(2) - 1) / np.sqrt(np.pi))  # at the mean, known in closed form
    assert scores.quantile_score(actual, np.tile(marks, (5, 1)), levels) == pytest.approx(exact, rel=0.01)
    paths = np.random.default_rng(1).normal(size=(5, 40_000))
    assert scores.crps_of_paths(actual, paths) == pytest.approx(exact, abs=0.01)


def test_the_true_distribution_scores_best() -> None:
    generator = np.random.default_rng(2)
    actual = generator.normal(size=4000)
    levels = np.arange(1, 10) / 10
    marks = np.array([NORMAL.inv_cdf(level) for level in levels])

    def mean_score(shift: float, width: float) -> float:
        return float(scores.quantile_score(actual, np.tile(shift + width * marks, (4000, 1)), levels).mean())

    true = mean_score(0.0, 1.0)
    assert true < min(mean_score(0.3, 1.0), mean_score(0.0, 0.7), mean_score(0.0, 1.4))


def test_a_calibrated_forecast_is_flat_and_covers() -> None:
    actual = np.random.default_rng(3).normal(size=20_000)
    levels = np.arange(1, 10) / 10
    marks = np.tile([NORMAL.inv_cdf(level) for level in levels], (len(actual), 1))
    counts = scores.pit_counts(actual, marks)
    assert counts.sum() == len(actual)
    assert counts / len(actual) == pytest.approx(np.full(10, 0.1), abs=0.01)
    assert scores.below_each(actual, marks) == pytest.approx(levels, abs=0.015)
    share = scores.covered(actual, marks[:, 0], marks[:, -1])
    assert share.interval is not None
    assert 0.8 in share.interval


def autocorrelated(generator: np.random.Generator, count: int, mean: float) -> np.ndarray:
    """A moving average over three: the scores of forecasts three bars ahead, at each bar."""
    noise = generator.normal(size=count + 2)
    return mean + noise[2:] + noise[1:-1] + noise[:-2]


def test_under_the_null_it_cries_wolf_as_often_as_it_says() -> None:
    """Size of the test at 5%, with scores that share bars: ignoring that would be wrong four times as often."""
    generator = np.random.default_rng(4)
    runs = [scores.compare(autocorrelated(generator, 200, 0.0), np.zeros(200), overlap=2, seed=n) for n in range(400)]
    rejected = np.mean([run.p_value is not None and run.p_value < 0.05 for run in runs])
    missed = np.mean([0.0 not in run.interval for run in runs])
    assert 0.02 <= rejected <= 0.10
    assert 0.02 <= missed <= 0.12
    naive = np.mean([abs(scores.diebold_mariano(autocorrelated(generator, 200, 0.0), lags=0) or 0) > 1.96
                     for _ in range(400)])  # fmt: skip
    assert naive > 0.15


def test_a_real_difference_is_found_and_has_its_sign() -> None:
    generator = np.random.default_rng(5)
    found = scores.compare(autocorrelated(generator, 300, -1.0), np.zeros(300), overlap=2)
    assert found.verdict == "better"
    assert found.mean < 0
    swapped = scores.compare(np.zeros(300), autocorrelated(generator, 300, -1.0), overlap=2)
    assert swapped.verdict == "worse"


def test_equal_scores_are_no_difference_and_few_are_no_verdict() -> None:
    equal = scores.compare(np.ones(50), np.ones(50), overlap=0)
    assert equal.statistic is None
    assert equal.verdict == "no difference"
    few = Difference(mean=-1, count=FEWEST - 1, interval=Interval(low=-2, high=-1), statistic=-9.0, p_value=0.0)
    assert few.verdict.startswith("too few")


def test_the_bootstrap_is_the_same_for_the_same_seed() -> None:
    values = np.random.default_rng(6).normal(size=80)
    one, other = (mean_interval(values, 4, seed=1) for _ in range(2))
    assert one == other
    assert one.low < values.mean() < one.high
    assert mean_interval(np.full(9, 2.5), 100) == Interval(low=2.5, high=2.5)
