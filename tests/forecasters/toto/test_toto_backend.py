"""The backend: bars in, forecasts out."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from forecasters import registry
from forecasters.backends.toto import Options, TotoForecaster, lacks
from forecasters.base import ForecastError
from forecasters.compiled.guard import FALLBACK, Guarded
from forecasters.registry import RegistryError
from forecasters.toto.bars import group_of, prices_of
from forecasters.types import CLOSE, HIGH, LOW, OPEN, Context, in_order, out_of_order
from settings.models import Toto as TotoSettings
from tests.forecasters.support import bars, context

DAY = np.timedelta64(86_400, "s")


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch", reason="torch is not installed: pip install the extra `models`")
    from forecasters.toto.checkpoint import make_checkpoint

    folder = tmp_path_factory.mktemp("toto")
    for size in ("tiny", "tiny-1.0"):
        make_checkpoint(size, folder / size)
    return folder


def built(folder: Path, **options: object) -> TotoForecaster:
    forecaster = registry.build("toto", {"model_id": str(folder), "device": "cpu", "num_samples": 32} | options)
    assert isinstance(forecaster, TotoForecaster)
    return forecaster


def test_bars_become_percent_of_the_last_close_with_their_real_interval() -> None:
    daily = np.datetime64("2024-01-02T00:00:00", "us") + np.arange(101) * DAY
    asked = Context(symbol="AAPL", times=daily[:100], values=bars(100), future_times=daily[100:])
    group = group_of(asked, 64)
    assert group.series.shape == group.mask.shape == (4, 64)
    assert group.mask.all()
    assert group.series[CLOSE, -1] == 0
    assert group.series[HIGH, 0] == pytest.approx(100 * np.log(asked.values[36, HIGH] / asked.last_close), rel=1e-5)
    assert group.time_interval_seconds == 86_400


def test_percent_becomes_the_prices_that_it_came_from() -> None:
    asked = context(count=80)
    group = group_of(asked, 80)
    assert np.allclose(prices_of(group.series[None], asked.last_close)[0], asked.values[:, :4], rtol=1e-6)


def test_a_bar_is_put_in_order_by_its_extremes_alone() -> None:
    proper, wrong = [10.0, 12.0, 9.0, 11.0], [10.0, 10.5, 10.2, 11.0]
    prices = np.array([[proper, wrong]])
    assert out_of_order(prices).tolist() == [[False, True]]
    assert in_order(prices)[0].tolist() == [proper, [10.0, 11.0, 10.0, 11.0]]


@pytest.mark.parametrize("size", ["tiny", "tiny-1.0"])
def test_a_forecast_has_what_the_model_gives(size: str, checkpoints: Path) -> None:
    forecaster = built(checkpoints / size)
    forecaster.warm_up()
    asked = context(count=300, horizon=70)
    forecast = forecaster.forecast([asked])[asked.symbol]
    assert forecast.quantiles.shape == (len(forecast.levels), 70, 4)
    assert forecast.model.startswith(f"{size}@")
    if size == "tiny":
        assert forecast.levels.tolist() == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
        assert forecast.paths is None
    else:
        assert forecast.paths is not None
        assert forecast.paths.shape == (32, 70, 4)
    top = forecast.quantiles[..., [OPEN, CLOSE]].max(axis=-1)
    assert (forecast.quantiles[..., HIGH] >= top).all()
    assert (forecast.quantiles[..., LOW] <= forecast.quantiles[..., [OPEN, CLOSE]].min(axis=-1)).all()


def test_what_was_put_in_order_is_counted_and_may_be_refused_instead(checkpoints: Path) -> None:
    asked = context(count=300, horizon=40)
    lenient, strict = (built(checkpoints / "tiny-1.0", misordered=way) for way in ("sort", "refuse"))
    assert lenient.forecast([asked])
    repairs = lenient.repairs[asked.symbol]
    assert repairs.bars == 32 * 40
    assert 0 < repairs.misordered < 0.2 * repairs.bars
    assert strict.forecast([asked]) == {}
    assert strict.repairs == lenient.repairs
    mended = lenient.mended[asked.symbol]
    assert (0 < mended.mended <= mended.of, mended.dropped, mended.of) == (True, 0, 32)
    assert lenient.refusals == {}
    assert "the high or low is not the outermost" in strict.refusals[asked.symbol]


def test_only_the_newest_bars_count(checkpoints: Path) -> None:
    forecaster = built(checkpoints / "tiny", context_bars=128)
    asked = context(count=300, horizon=5)
    newest = Context(
        symbol=asked.symbol, times=asked.times[-128:], values=asked.values[-128:], future_times=asked.future_times
    )
    one, other = (forecaster.forecast([each])[each.symbol] for each in (asked, newest))
    assert np.array_equal(one.quantiles, other.quantiles)


def test_the_prices_of_a_drawn_bar_move_as_one(checkpoints: Path) -> None:
    forecaster = built(checkpoints / "tiny-1.0", num_samples=512, misordered="sort")
    forecast = forecaster.forecast([context(count=300, horizon=1)])["BTC/USD"]
    assert forecast.paths is not None
    opened, closed = forecast.paths[:, 0, OPEN], forecast.paths[:, 0, CLOSE]
    ranks = [np.argsort(np.argsort(each)) for each in (opened, closed)]
    assert np.corrcoef(*ranks)[0, 1] > 0.9


def test_compiled_it_forecasts_what_it_was_prepared_for_and_leaves_the_rest_to_eager(
    checkpoints: Path, tmp_path: Path
) -> None:
    eager = built(checkpoints / "tiny")
    prepared = {"compile_backend": "eager", "horizons": (40,), "context_bars": 256}
    compiled = registry.build(
        "toto-compiled",
        {"model_id": str(checkpoints / "tiny"), "device": "cpu", "guard": {"cache_dir": str(tmp_path)}, **prepared},
    )
    assert isinstance(compiled, Guarded)
    compiled.warm_up()
    assert compiled.state().serving == "compiled"
    assert compiled.report().frames > 0
    for count, horizon, mode in ((200, 20, "compiled (eager)"), (256, 40, "compiled (eager)"), (200, 65, FALLBACK)):
        asked = context(count=count, horizon=horizon)
        found, wanted = (each.forecast([asked])[asked.symbol] for each in (compiled, eager))
        assert np.allclose(found.quantiles, wanted.quantiles, rtol=1e-5)
        assert found.compile_mode == mode
    assert compiled.report().recompiles == 0
    assert compiled.state().serving == "compiled"
    compiled.close()


def test_a_compiled_model_that_samples_draws_what_the_eager_one_draws(checkpoints: Path, tmp_path: Path) -> None:
    compiled = registry.build(
        "toto-compiled",
        {
            "model_id": str(checkpoints / "tiny-1.0"),
            "device": "cpu",
            "num_samples": 32,
            "compile_backend": "eager",
            "horizons": (100,),
            "context_bars": 128,
            "guard": {"cache_dir": str(tmp_path), "every": 1},
        },
    )
    assert isinstance(compiled, Guarded)
    compiled.warm_up()
    for count in (128, 100, 70):
        assert compiled.forecast([context(count=count, horizon=90)])["BTC/USD"].compile_mode == "compiled (eager)"
    state = compiled.state()
    assert (state.serving, state.checked, compiled.report().recompiles) == ("compiled", 4, 0)
    assert state.last is not None
    assert state.last.agreement > 0.999


def test_bfloat16_is_nearly_the_same_forecast_and_said_in_it(checkpoints: Path) -> None:
    exact, rounded = (built(checkpoints / "tiny", dtype=each) for each in ("float32", "bfloat16"))
    asked = context(count=200, horizon=20)
    wanted, found = (each.forecast([asked])[asked.symbol] for each in (exact, rounded))
    assert (wanted.dtype, found.dtype) == ("float32", "bfloat16")
    width = wanted.quantiles[-1] - wanted.quantiles[0]
    assert 0 < np.abs(found.quantiles - wanted.quantiles).max() < 0.1 * width.max()


def test_the_settings_are_its_options(checkpoints: Path) -> None:
    settings = TotoSettings(model_id=str(checkpoints / "tiny"))
    assert lacks(Options.model_validate(settings.model_dump(mode="json"))) == []


def test_what_is_missing_is_said(checkpoints: Path, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="no checkpoint in"):
        built(tmp_path)
    with pytest.raises(RegistryError, match="dtype"):
        built(checkpoints / "tiny", dtype="float16")
    with pytest.raises(RegistryError, match="contradict"):
        built(checkpoints / "tiny", compile=True, disable_compile=True)


def test_symbols_of_one_pass_do_not_move_each_other(checkpoints: Path) -> None:
    """Those with as many bars share a pass, others have their own; each is what it is alone, to the last bit."""
    forecaster = built(checkpoints / "tiny")
    batch = [context(f"S{number:02}/USD", count=200 + 40 * (number % 2), horizon=30) for number in range(18)]
    together = forecaster.forecast(batch)
    repairs = dict(forecaster.repairs)
    assert len(together) == 18
    for asked in batch:
        alone = forecaster.forecast([asked])[asked.symbol]
        assert np.array_equal(alone.quantiles, together[asked.symbol].quantiles)
        assert forecaster.repairs[asked.symbol] == repairs[asked.symbol]


def test_each_setting_of_the_drawing_takes_effect(checkpoints: Path) -> None:
    asked = context(count=300, horizon=10)
    plain, more, halves, other = (
        built(checkpoints / "tiny-1.0", **options).forecast([asked])[asked.symbol]
        for options in ({}, {"num_samples": 48}, {"samples_per_batch": 16}, {"seed": 1})
    )
    assert plain.paths is not None
    assert more.paths is not None
    assert halves.paths is not None
    assert (len(plain.paths), len(more.paths), len(halves.paths)) == (32, 48, 32)
    assert not np.array_equal(plain.paths, halves.paths)
    assert not np.array_equal(plain.quantiles, other.quantiles)


@pytest.mark.parametrize("size", ["tiny", "tiny-1.0"])
def test_in_bfloat16_it_says_so_and_is_near(size: str, checkpoints: Path) -> None:
    asked = context(count=300, horizon=10)
    full, half = (
        built(checkpoints / size, dtype=dtype).forecast([asked])[asked.symbol] for dtype in ("float32", "bfloat16")
    )
    assert (full.dtype, half.dtype) == ("float32", "bfloat16")
    assert not np.array_equal(full.quantiles, half.quantiles)
    assert np.allclose(full.quantiles, half.quantiles, rtol=0.02)


@pytest.mark.parametrize(
    "part", ["output_distribution.loc_proj", "transformer.layers.0.mlp.2", "patch_embed.projection"]
)
def test_a_network_that_comes_to_no_numbers_gives_no_forecast(part: str, checkpoints: Path, tmp_path: Path) -> None:
    """The original puts 0 in their place, which here is the last close: a forecast that is sure of standing still."""
    from safetensors.numpy import load_file, save_file

    folder = shutil.copytree(checkpoints / "tiny-1.0", tmp_path / "beyond")
    tensors = load_file(folder / "model.safetensors")
    tensors[f"model.{part}.weight"][:] = 3e38  # a number, and no sum of these is one
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(ForecastError, match="not finite"):
        built(folder).forecast([context(horizon=70)])
