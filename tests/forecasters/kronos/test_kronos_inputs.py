"""Odd bars have a defined answer: a forecast in their own units, or a refusal that says why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasters.base import InvalidContext
from forecasters.kronos.features import calendar, complete_bars, standardise
from tests.forecasters.support import bars, hours

if TYPE_CHECKING:
    from forecasters.kronos.generate import Kronos


def drawn(kronos: Kronos, values: np.ndarray, *, horizon: int = 4, samples: int = 3) -> np.ndarray:
    times = hours(len(values) + horizon)
    return kronos.generate(values, times[: len(values)], times[len(values) :], samples=samples)


def test_without_volume_there_is_no_amount_either() -> None:
    prices = bars(5)[:, :4]
    absent = np.column_stack([prices, np.full(5, np.nan), np.full(5, 3.0)])
    for given_bars in (prices, absent, np.column_stack([prices, np.full((5, 2), np.nan)])):
        complete = complete_bars(given_bars)
        assert complete.shape == (5, 6)
        assert (complete[:, 4:] == 0).all()


def test_without_an_amount_it_is_the_volume_at_the_mean_price() -> None:
    whole = bars(5)
    expected = (whole[:, 4] * whole[:, :4].mean(axis=1)).astype(np.float32)
    for given_bars in (whole[:, :5], np.column_stack([whole[:, :5], np.full(5, np.nan)])):
        np.testing.assert_allclose(complete_bars(given_bars)[:, 5], expected, rtol=1e-6)


@pytest.mark.parametrize("column", range(6))
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_a_bar_that_is_not_a_number_is_refused(column: int, value: float) -> None:
    broken = bars(5)
    broken[2, column] = value
    with pytest.raises(InvalidContext, match="NaN or infinity"):
        complete_bars(broken)


@pytest.mark.parametrize("shape", [(0, 6), (5, 3), (5, 7), (5,), (1, 5, 6)])
def test_what_is_no_table_of_bars_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidContext, match="must be"):
        complete_bars(np.ones(shape))


@given(st.lists(st.integers(-(2**33), 2**33), min_size=1, max_size=20))
def test_the_calendar_is_that_of_pandas(seconds: list[int]) -> None:
    moments = np.array(seconds, dtype="datetime64[s]")
    index = pd.DatetimeIndex(moments)
    expected = np.stack([index.minute, index.hour, index.day_of_week, index.day, index.month], axis=1)
    assert np.array_equal(calendar(moments), expected)
    assert np.array_equal(calendar(moments.astype("datetime64[ns]").astype(np.int64)), expected)


def test_aware_times_are_read_in_utc() -> None:
    new_york = pd.date_range("2024-03-09 22:30", periods=5, freq="h", tz="America/New_York")
    assert np.array_equal(calendar(new_york), calendar(new_york.tz_convert("UTC").tz_localize(None).to_numpy()))


def test_a_missing_time_is_refused() -> None:
    with pytest.raises(InvalidContext, match="time is missing"):
        calendar(np.array(["2024-01-01", "NaT"], dtype="datetime64[s]"))


@settings(max_examples=50)
@given(exponent=st.integers(-11, 12), seed=st.integers(0, 1000))
def test_standardising_and_back_loses_nothing_at_any_price(exponent: int, seed: int) -> None:
    given_bars = complete_bars(bars(60, seed=seed, last_close=10.0**exponent))
    standardised = standardise(given_bars, clip=100.0)
    back = standardised.restore(standardised.values)
    assert (np.abs(standardised.values[:, :4]).max(axis=0) > 0.5).all()  # the shape of the series is still there
    np.testing.assert_allclose(back[:, :4], given_bars[:, :4], rtol=1e-5)


def test_numbers_further_out_than_the_clip_are_cut_off() -> None:
    spike = bars(200)
    spike[100, 4] = 1e9
    assert standardise(complete_bars(spike)).values.max() == 5.0


@pytest.mark.parametrize("price", [1e9, 1e-8, 1e-12, 3e4])
def test_paths_stay_near_the_price_whatever_its_scale(models: dict[str, Kronos], price: float) -> None:
    paths = drawn(models["small"], bars(80, last_close=price))[..., :4]
    assert np.isfinite(paths).all()
    assert (paths > price / 2).all()
    assert (paths < price * 2).all()


def test_a_small_price_is_forecast_like_a_large_one(models: dict[str, Kronos]) -> None:
    """A power of two apart, so that every digit is the same."""
    values = bars(80, last_close=100.0)
    small = values.copy()
    small[:, [0, 1, 2, 3, 5]] *= 2.0**-40
    one, other = (drawn(models["small"], each)[..., :4] for each in (values, small))
    np.testing.assert_allclose(other * 2.0**40, one, rtol=1e-5)


def test_a_market_that_stands_still_is_forecast_near_its_price(models: dict[str, Kronos]) -> None:
    still = np.tile([100.0, 100.0, 100.0, 100.0, 5.0, 500.0], (40, 1))
    paths = drawn(models["small"], still)
    np.testing.assert_allclose(paths[..., :4], 100.0, rtol=1e-3)


def test_one_bar_is_a_context(models: dict[str, Kronos]) -> None:
    paths = drawn(models["small"], bars(1))
    assert paths.shape == (3, 4, 6)
    assert np.isfinite(paths).all()


def test_a_volume_too_large_to_square_in_single_precision_is_still_standardised(models: dict[str, Kronos]) -> None:
    huge = bars(60, last_close=1e9)
    huge[:, 4:] *= 1e15
    assert np.isfinite(standardise(complete_bars(huge)).values).all()
    assert np.isfinite(drawn(models["small"], huge)).all()


def test_a_gap_in_the_times_is_seen_by_the_calendar_alone(models: dict[str, Kronos]) -> None:
    times = hours(46)
    times[20:] += np.timedelta64(3, "D")
    values = bars(40)
    assert np.isfinite(models["small"].generate(values, times[:40], times[40:], samples=2)).all()


def test_requests_that_do_not_fit_together_are_refused(models: dict[str, Kronos]) -> None:
    kronos, times = models["small"], hours(50)
    with pytest.raises(InvalidContext, match="40 bars but 39 times"):
        kronos.generate(bars(40), times[:39], times[40:42])
    with pytest.raises(InvalidContext, match="no future times"):
        kronos.generate(bars(40), times[:40], times[40:40])
    with pytest.raises(InvalidContext, match="leaves no room"):
        kronos.generate(bars(40), times[:40], hours(kronos.max_context))
    with pytest.raises(ValueError, match="at least 1"):
        kronos.generate(bars(40), times[:40], times[40:], samples=0)
