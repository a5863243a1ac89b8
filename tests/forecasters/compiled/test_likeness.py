"""What counts as the same forecast, computed twice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from forecasters.compiled.likeness import Tolerance, likeness
from forecasters.types import Forecast, quantiles_of
from tests.forecasters.support import context

LEVELS = np.array([0.1, 0.5, 0.9])
STRICT = Tolerance()
SAMPLES, HORIZON = 30, 24


def forecast(paths: NDArray[np.float64], *, sampled: bool = True) -> Forecast:
    asked = context(horizon=paths.shape[1])
    return Forecast(
        symbol="BTC/USD",
        asof=asked.asof,
        times=asked.future_times,
        last_close=asked.last_close,
        levels=LEVELS,
        quantiles=quantiles_of(paths, LEVELS),
        paths=paths if sampled else None,
        backend="any",
        model="any@1",
        dtype="float32",
        compile_mode="eager",
        latency_s=0.0,
    )


def walks(samples: int = SAMPLES, horizon: int = HORIZON, *, seed: int = 0, move: float = 0.01) -> NDArray[np.float64]:
    """[S, H, C] from a last close of 100."""
    closed = np.cumsum(np.random.default_rng(seed).normal(0, move, (samples, horizon)), axis=1)
    return 100 * np.exp(np.stack([closed, closed + move, closed - move, closed], axis=-1))


def compared(found: NDArray[np.float64], wanted: NDArray[np.float64], *, sampled: bool = True) -> str:
    one, other = forecast(found, sampled=sampled), forecast(wanted, sampled=sampled)
    return likeness({"BTC/USD": one}, {"BTC/USD": other}, STRICT).problem


def test_a_forecast_is_like_itself() -> None:
    result = likeness({"BTC/USD": forecast(walks())}, {"BTC/USD": forecast(walks())}, STRICT)
    assert (result.problem, result.difference, result.agreement) == ("", 0.0, 1.0)
    assert result.steps == SAMPLES * HORIZON


@settings(deadline=None)
@given(st.integers(0, 2**31), st.floats(1e-5, 0.05))
def test_rounding_to_float32_is_no_difference(seed: int, move: float) -> None:
    wanted = walks(seed=seed, move=move)
    for sampled in (True, False):
        assert compared(wanted.astype(np.float32).astype(np.float64), wanted, sampled=sampled) == ""


@settings(deadline=None)
@given(st.integers(0, 2**31), st.floats(1e-3, 0.05), st.sampled_from([0.99, 1.01, 0.9, 1.1]))
def test_prices_or_moves_that_are_off_are_a_difference(seed: int, move: float, by: float) -> None:
    wanted = walks(seed=seed, move=move)
    for sampled in (True, False):
        assert compared(wanted * by, wanted, sampled=sampled)
        assert compared(100 * (wanted / 100) ** by, wanted, sampled=sampled)


def test_one_path_that_turned_off_is_allowed_and_what_comes_behind_the_turn_does_not_count() -> None:
    wanted = walks()
    found = wanted.copy()
    found[7, 3:] *= 1.02
    result = likeness({"BTC/USD": forecast(found)}, {"BTC/USD": forecast(wanted)}, STRICT)
    assert (result.problem, result.steps, result.same) == ("", SAMPLES * HORIZON - 20, SAMPLES * HORIZON - 21)


def test_many_turns_are_a_difference() -> None:
    wanted = walks()
    found = wanted.copy()
    found[:10, 12:] *= 1.02
    assert "at step 13 10 of 30 paths are not the same" in compared(found, wanted)


def test_a_path_left_out_in_one_of_them_moves_the_others_places_and_changes_nothing_else() -> None:
    wanted = walks()
    assert compared(np.delete(wanted, 4, axis=0), wanted) == ""
    assert compared(wanted, np.delete(wanted, [2, 20], axis=0)) == ""


def test_several_symbols_are_compared_and_a_missing_one_is_a_difference() -> None:
    wanted = {name: forecast(walks(seed=seed)) for seed, name in enumerate(("A", "B"))}
    assert likeness(dict(wanted), wanted, STRICT).steps == 2 * SAMPLES * HORIZON
    assert "no forecast of B" in likeness({"A": wanted["A"]}, wanted, STRICT).problem
    assert "eager model gave no forecast of B" in likeness(wanted, {"A": wanted["A"]}, STRICT).problem


def test_another_shape_is_a_difference() -> None:
    wanted = forecast(walks())
    unsampled = replace(wanted, paths=None)
    assert "differ in shape" in likeness({"A": unsampled}, {"A": wanted}, STRICT).problem


def test_nothing_on_either_side_is_no_agreement() -> None:
    assert "nothing was compared" in likeness({}, {}, STRICT).problem


@pytest.mark.parametrize("count", [2, 10, 60])
def test_one_symbol_that_is_wrong_among_many_is_wrong(count: int) -> None:
    wanted = {f"S{n}": forecast(walks(seed=n)) for n in range(count)}
    for tolerance in (STRICT, Tolerance(agreement=0.95)):
        assert "S1: " in likeness({**wanted, "S1": forecast(walks(seed=1) * 1.1)}, wanted, tolerance).problem
    together = likeness({**wanted, "S1": forecast(walks(seed=1) * 1.1)}, wanted, STRICT, group=lambda key: "all")
    assert "S1: at step 1 30 of 30 paths" in together.problem


@pytest.mark.parametrize("step", [0, 3, HORIZON - 1])
@pytest.mark.parametrize("channel", range(4))
@pytest.mark.parametrize("agreement", [0.995, 0.95])
def test_one_step_or_channel_that_is_wrong_is_wrong(step: int, channel: int, agreement: float) -> None:
    wanted = walks()
    found = wanted.copy()
    found[:, step, channel] *= 1.01
    told = likeness({"A": forecast(found)}, {"A": forecast(wanted)}, Tolerance(agreement=agreement))
    assert told.problem.startswith(f"A: at step {step + 1} ")
    assert "30 of 30 paths turned" in told.worst


def test_a_path_that_turned_counts_as_another_at_every_later_step() -> None:
    """All of them by the middle, two or three at each step: 87% of the steps with the same past are the same."""
    wanted = walks()
    found = wanted.copy()
    for path in range(SAMPLES):
        found[path, path % 12 :] *= 1.02
    loose = Tolerance(agreement=0.93)
    problem = likeness({"A": forecast(found)}, {"A": forecast(wanted)}, loose).problem
    assert "by step 12 30 of 30 paths are not the same" in problem


def test_a_few_turns_here_and_there_are_more_than_rounding_makes() -> None:
    """No step by itself has too many."""
    wanted = walks()
    found = wanted.copy()
    for path in range(4):
        found[path, 20 + path :] *= 1.005
    assert "710 of 714 sampled steps are the same" in compared(found, wanted)


def test_quantiles_of_samples_are_bounded_in_their_own_sampling_error() -> None:
    """Few paths turned, and far: what is read of them is another forecast."""
    wanted = walks(samples=200)
    found = wanted.copy()
    found[:24, -1] *= 1.5
    loose = Tolerance(agreement=0.95)
    assert "sampling error" in likeness({"A": forecast(found)}, {"A": forecast(wanted)}, loose).problem
    found[:24, -1] = wanted[:24, -1] * 1.01
    assert likeness({"A": forecast(found)}, {"A": forecast(wanted)}, loose).problem == ""


@pytest.mark.parametrize(("found", "wanted"), [(1, 30), (30, 1)])
def test_very_unequal_numbers_of_paths_can_be_compared(found: int, wanted: int) -> None:
    assert isinstance(compared(walks(found), walks(wanted)), str)
