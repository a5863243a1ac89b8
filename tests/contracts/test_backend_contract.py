"""What every backend must hold to, built in or not. Run over all that the registry knows; what can't run here skips."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC
from pathlib import Path

import numpy as np
import pytest

from forecasters import registry
from forecasters.base import Forecaster
from forecasters.types import CHANNELS, Context, Forecast
from tests.contracts.backend_options import options_for
from tests.forecasters.support import bars, context, hours

HORIZON = 3
COUNT = 200


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("checkpoints")


@pytest.fixture(scope="module", params=registry.available(), ids=lambda info: info.name)
def backend(request: pytest.FixtureRequest, folder: Path) -> Iterator[Forecaster]:
    info: registry.BackendInfo = request.param
    if info.missing:
        pytest.skip(f"{info.name} can't run here: {'; '.join(info.missing)}")
    forecaster = registry.build(info.name, options_for(info.name, folder))
    forecaster.warm_up()
    yield forecaster
    forecaster.close()


def batch() -> list[Context]:
    return [
        context("BTC/USD", count=COUNT, horizon=HORIZON, seed=1, last_close=60_000.0),
        context("DOGE/USD", count=COUNT, horizon=HORIZON, seed=2, last_close=1e-8),
        context("AAPL", count=COUNT, horizon=HORIZON, seed=3, last_close=1e9),
    ]


def equal(one: Forecast, other: Forecast) -> bool:
    if (one.paths is None) != (other.paths is None):
        return False
    same_paths = one.paths is None or other.paths is None or np.array_equal(one.paths, other.paths)
    return np.array_equal(one.quantiles, other.quantiles) and same_paths


def test_each_symbol_gets_its_own_forecast_of_the_bars_asked_for(backend: Forecaster) -> None:
    contexts = batch()
    found = backend.forecast(contexts)
    assert set(found) == {each.symbol for each in contexts}
    for each in contexts:
        forecast = found[each.symbol]
        assert forecast.symbol == each.symbol
        assert np.array_equal(forecast.times, each.future_times)
        assert forecast.asof == each.asof
        assert forecast.asof.tzinfo is UTC
        assert forecast.last_close == each.last_close
        assert forecast.quantiles.shape == (len(forecast.levels), HORIZON, len(CHANNELS))
        assert forecast.paths is None or forecast.paths.shape[1:] == (HORIZON, len(CHANNELS))
        assert forecast.backend
        assert "@" in forecast.model
        assert forecast.dtype
        assert forecast.compile_mode


def test_the_distribution_surrounds_the_last_close(backend: Forecaster) -> None:
    for forecast in backend.forecast(batch()).values():
        lowest, highest = forecast.quantiles[0, 0], forecast.quantiles[-1, 0]
        assert (lowest < forecast.last_close * 1.05).all()
        assert (highest > forecast.last_close * 0.95).all()


def test_the_same_question_has_the_same_answer(backend: Forecaster) -> None:
    first, second = backend.forecast(batch()), backend.forecast(batch())
    assert all(equal(first[symbol], second[symbol]) for symbol in first)


def test_a_forecast_does_not_depend_on_what_else_is_in_the_batch(backend: Forecaster) -> None:
    contexts = batch()
    together = backend.forecast(contexts)
    reversed_order = backend.forecast(contexts[::-1])
    for each in contexts:
        alone = backend.forecast([each])[each.symbol]
        assert equal(alone, together[each.symbol])
        assert equal(alone, reversed_order[each.symbol])


def test_a_symbol_without_enough_bars_is_absent_and_harms_no_other(backend: Forecaster) -> None:
    contexts = batch()
    short = context("NEW/USD", count=3, horizon=HORIZON)
    found = backend.forecast([short, *contexts])
    assert set(found) == {each.symbol for each in contexts}
    assert equal(found["AAPL"], backend.forecast(contexts)["AAPL"])


def test_nothing_asked_nothing_answered(backend: Forecaster) -> None:
    assert backend.forecast([]) == {}


def test_what_comes_later_in_the_calendar_does_not_change_what_comes_first(backend: Forecaster) -> None:
    asked = context("BTC/USD", count=COUNT, horizon=HORIZON)
    later = asked.future_times.copy()
    later[1:] += np.timedelta64(3, "D")
    moved = Context(symbol=asked.symbol, times=asked.times, values=asked.values, future_times=later)
    before, after = (backend.forecast([each])["BTC/USD"] for each in (asked, moved))
    assert np.array_equal(before.quantiles[:, 0], after.quantiles[:, 0])


def test_only_the_context_counts_wherever_its_arrays_come_from(backend: Forecaster) -> None:
    """A window into longer arrays, whose rest is then poisoned, gives the same forecast as a copy of it."""
    times, values = hours(COUNT + 50), bars(COUNT + 50)
    window = Context(
        symbol="BTC/USD", times=times[:COUNT], values=values[:COUNT], future_times=times[COUNT : COUNT + HORIZON]
    )
    before = backend.forecast([window])["BTC/USD"]
    values[COUNT:] = np.nan
    times[COUNT + HORIZON :] = np.datetime64("NaT")
    assert equal(before, backend.forecast([window])["BTC/USD"])


def test_inputs_are_left_as_they_were(backend: Forecaster) -> None:
    contexts = batch()
    kept = [(each.times.copy(), each.values.copy(), each.future_times.copy()) for each in contexts]
    backend.forecast(contexts)
    for each, (times, values, future_times) in zip(contexts, kept, strict=True):
        assert np.array_equal(each.times, times)
        assert np.array_equal(each.values, values)
        assert np.array_equal(each.future_times, future_times)


def test_closing_twice_is_harmless(backend: Forecaster, folder: Path) -> None:
    name = backend.name
    other = registry.build(name, options_for(name, folder))
    other.close()
    other.close()
