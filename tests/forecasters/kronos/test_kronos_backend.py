"""The backend: options, what it lacks, and which paths it lets through."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="Kronos needs torch: pip install '.[models]'")

from forecasters import registry
from forecasters.backends.kronos import KronosForecaster
from forecasters.base import ForecastError
from forecasters.kronos.mending import mended_paths
from forecasters.registry import RegistryError
from forecasters.types import CLOSE, HIGH, LOW, OPEN, out_of_order
from settings.models import Kronos as KronosSettings
from tests.forecasters.support import context

if TYPE_CHECKING:
    from torch import Tensor

    from forecasters.kronos.folded import FoldedNetwork, NetworkCache


def built(folder: Path, **options: object) -> KronosForecaster:
    forecaster = registry.build("kronos", {"model_id": str(folder), "device": "cpu", **options})
    assert isinstance(forecaster, KronosForecaster)
    return forecaster


def test_the_settings_group_is_what_it_is_built_with(folders: dict[str, Path]) -> None:
    settings = KronosSettings(model_id=str(folders["small"]), sample_count=12)
    forecaster = registry.build("kronos", settings.model_dump(mode="json"))
    forecaster.warm_up()
    forecast = forecaster.forecast([context(horizon=3)])["BTC/USD"]
    assert forecast.paths is not None
    assert forecast.paths.shape == (12, 3, 4)
    assert (forecast.backend, forecast.dtype, forecast.compile_mode) == ("kronos", "float32", "eager")
    assert forecast.model.startswith("small@")
    forecaster.close()


def test_it_forecasts_without_a_warm_up_too(folders: dict[str, Path]) -> None:
    assert set(built(folders["small"]).forecast([context()])) == {"BTC/USD"}


def test_the_strict_strategy_has_nothing_to_compile(folders: dict[str, Path]) -> None:
    with pytest.raises(RegistryError, match="no step to compile"):
        registry.build("kronos-compiled", {"model_id": str(folders["small"]), "strategy": "strict"})


def test_a_folder_that_is_not_there_is_what_it_lacks(tmp_path: Path) -> None:
    (told,) = registry.lacking("kronos", {"model_id": str(tmp_path / "none")})
    assert told.startswith(f"there is no folder {tmp_path}/none: give a folder with")
    with pytest.raises(RegistryError, match="there is no folder"):
        registry.build("kronos", {"model_id": str(tmp_path / "none")})


@pytest.mark.parametrize(
    ("option", "value"), [("top_p", 0), ("temperature", 0), ("dtype", "float64"), ("levels", [0.5, 0.5]), ("clips", 1)]
)
def test_nonsense_options_are_refused_by_name(option: str, value: object) -> None:
    with pytest.raises(RegistryError, match=option):
        registry.build("kronos", {option: value})


def test_paths_with_bars_out_of_order_are_mended_and_counted(
    folders: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    """The untrained model's bars are mostly impossible ones, which is the point."""
    caplog.set_level(logging.INFO)
    forecaster = built(folders["wild"], sample_count=400)
    forecast = forecaster.forecast([context(horizon=1)])["BTC/USD"]
    told = forecaster.mended["BTC/USD"]
    assert forecast.paths is not None
    assert len(forecast.paths) == 400 - told.dropped
    assert 0 < told.mended <= len(forecast.paths)
    assert not out_of_order(forecast.paths).any()
    assert f"{told.mended} of 400 paths mended" in caplog.text


def test_they_are_left_out_where_that_is_wished_and_the_others_are_the_same(folders: dict[str, Path]) -> None:
    mending, dropping = (
        built(folders["wild"], sample_count=400, min_survive=0.001, misordered=how) for how in ("sort", "drop")
    )
    whole, less = (each.forecast([context(horizon=1)])["BTC/USD"].paths for each in (mending, dropping))
    assert whole is not None
    assert less is not None
    told = dropping.mended["BTC/USD"]
    assert told.mended == 0
    assert 0 < told.dropped == 400 - len(less)
    assert told.dropped == mending.mended["BTC/USD"].mended + mending.mended["BTC/USD"].dropped
    assert {each.tobytes() for each in less} <= {each.tobytes() for each in whole}


def test_too_few_paths_that_are_left_are_no_forecast_and_it_says_why(
    folders: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    forecaster = built(folders["wild"], sample_count=40, min_survive=1.0, misordered="drop")
    assert forecaster.forecast([context(horizon=4), context("NEW/USD", count=7)]) == {}
    assert "paths hold bars that can't be" in caplog.text
    assert "of 40 paths hold bars that can't be, 100% must be left" in forecaster.refusals["BTC/USD"]
    assert forecaster.refusals["NEW/USD"] == "7 closed bars, 30 are needed"


@pytest.fixture
def odd_paths() -> np.ndarray:
    """Proper; a high below the close; a low above the open; no number; negative; a close that is the high; infinite."""
    paths = np.tile(np.array([10.0, 11.0, 9.0, 10.5]), (7, 2, 1))
    paths[1, 1, HIGH] = 10.4
    paths[2, 0, LOW] = 10.1
    paths[3, 1, OPEN] = np.nan
    paths[4, 0] = -paths[4, 0]
    paths[5, :, CLOSE] = paths[5, :, HIGH]
    paths[6, 1, HIGH] = np.inf
    return paths


def test_a_bar_out_of_order_is_put_in_order_and_a_price_that_is_none_is_refused(odd_paths: np.ndarray) -> None:
    paths, told = mended_paths(odd_paths, "sort")
    assert (told.mended, told.dropped, told.of) == (2, 3, 7)
    assert np.array_equal(paths[[0, 3]], odd_paths[[0, 5]])
    assert paths[1, 1].tolist() == [10.0, 10.5, 9.0, 10.5]
    assert paths[2, 0].tolist() == [10.0, 11.0, 10.0, 10.5]


def test_or_its_path_is_left_out(odd_paths: np.ndarray) -> None:
    paths, told = mended_paths(odd_paths, "drop")
    assert (told.mended, told.dropped, told.of) == (0, 5, 7)
    assert np.array_equal(paths, odd_paths[[0, 5]])


def test_unequal_contexts_come_back_each_with_its_own_forecast(folders: dict[str, Path]) -> None:
    forecaster = built(folders["small"])
    contexts = [context("A", count=200, horizon=3), context("B", count=61, horizon=5), context("C", count=7)]
    found = forecaster.forecast(contexts)
    assert {symbol: len(forecast.times) for symbol, forecast in found.items()} == {"A": 3, "B": 5}
    for each in contexts[:2]:
        alone = forecaster.forecast([each])[each.symbol]
        assert np.array_equal(alone.quantiles, found[each.symbol].quantiles)


def test_two_symbols_with_the_same_bars_do_not_draw_the_same_paths(folders: dict[str, Path]) -> None:
    found = built(folders["small"]).forecast([context("A", horizon=3), context("B", horizon=3)])
    assert not np.array_equal(found["A"].quantiles, found["B"].quantiles)


def test_another_seed_draws_other_paths(folders: dict[str, Path]) -> None:
    one, other = (built(folders["small"], seed=seed).forecast([context(horizon=3)])["BTC/USD"] for seed in (0, 1))
    assert not np.array_equal(one.quantiles, other.quantiles)


@pytest.mark.parametrize("strategy", ["cached", "strict"])
def test_a_network_that_comes_to_no_numbers_gives_no_forecast(
    folders: dict[str, Path], tmp_path: Path, strategy: str
) -> None:
    from safetensors.numpy import load_file, save_file

    folder = shutil.copytree(folders["small"], tmp_path / "beyond")
    tensors = load_file(folder / "network/model.safetensors")
    tensors["transformer.0.ffn.w2.weight"][:] = 3e38  # a number, and no sum of these is one
    save_file(tensors, folder / "network/model.safetensors")
    with pytest.raises(ForecastError, match="not finite"):
        built(folder, strategy=strategy).forecast([context(horizon=2)])


def test_a_step_that_comes_to_no_numbers_costs_that_forecast_and_no_other(folders: dict[str, Path]) -> None:
    from forecasters.kronos import load_kronos
    from forecasters.kronos.generate import Series, advance
    from forecasters.kronos.sampling import Sampling

    whole, asked = load_kronos(folders["small"]), context(horizon=4)
    series = Series(bars=asked.values, times=asked.times, future_times=asked.future_times)
    fails = [True]

    def step(network: FoldedNetwork, cache: NetworkCache, *rest: Any) -> tuple[Tensor, Tensor]:
        if fails:
            fails.pop()
            cache.layers[0].suffix_values.fill_(float("nan"))
        return advance(network, cache, *rest)

    broken = whole.twin(step)
    with pytest.raises(ForecastError, match="not finite"):
        broken.generate_batch([series], Sampling(), samples=3)
    found, wanted = (each.generate_batch([series], Sampling(), samples=3) for each in (broken, whole))
    assert np.array_equal(found, wanted)
