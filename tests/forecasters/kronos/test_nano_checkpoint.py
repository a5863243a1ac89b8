"""kronos-nano, which comes with the program: a real Kronos on a machine that has never seen a network."""

from __future__ import annotations

import json
import tomllib
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from forecasters.backends import baseline, kronos
from forecasters.kronos.hub import SHIPPED, lacking, locate
from forecasters.kronos.sizes import SIZES
from forecasters.kronos.training.recipe import fresh
from forecasters.types import CLOSE, HIGH, LOW, OPEN, Context, Forecast
from settings.schema import Settings
from trader.commands.finetune_bars import generated_columns
from trader.exchange.market.files import Columns

pytest.importorskip("torch", reason="Kronos needs torch: pip install '.[models]'")
pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).parents[3]
FOLDER = SHIPPED["kronos-nano"]
UNSEEN = 9001  # a market's seed that no training has used
HORIZON = 4


@pytest.fixture(scope="module")
def unseen() -> list[Columns]:
    return generated_columns(UNSEEN, markets=2, bars=4000)


def contexts(columns: Columns, symbol: str, count: int, bars: int = 360) -> list[tuple[Context, np.ndarray]]:
    """With the bars that followed, [H, 4]."""
    values = np.column_stack([columns.open, columns.high, columns.low, columns.close, columns.volume])
    values = np.column_stack([values, columns.volume * values[:, :4].mean(axis=1)])
    times = columns.times.view("datetime64[us]")
    found = []
    for index, last in enumerate(np.linspace(bars, len(values) - HORIZON, count).astype(int)):
        context = Context(
            symbol=f"{symbol}#{index}",
            times=times[last - bars : last],
            values=values[last - bars : last],
            future_times=times[last : last + HORIZON],
        )
        found.append((context, values[last : last + HORIZON, :4]))
    return found


def test_it_is_found_by_its_name_without_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kronos-nano").mkdir()  # a folder of that name does not hide it
    assert lacking("kronos-nano") is None
    found = locate("kronos-nano")
    assert found.network == FOLDER / "network"
    assert found.label.startswith("kronos-nano@")


def test_it_is_small_and_travels_with_the_package() -> None:
    files = [file for file in FOLDER.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 4_000_000
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    packed = {file for pattern in data["forecasters.kronos"] for file in FOLDER.parent.glob(pattern) if file.is_file()}
    assert packed == {*files, *(FOLDER.parent / "kernels").glob("*.cpp")}


def test_its_recipe_is_what_the_documented_command_gives() -> None:
    """Made by `trader finetune --generated 1 --size nano`, whose every other option is left at its default."""
    kept = json.loads((FOLDER / "recipe.json").read_text())
    assert kept["recipe"] == asdict(fresh(SIZES["nano"]))
    assert kept["begin"] == {"tokenizer": dict(SIZES["nano"].tokenizer), "network": dict(SIZES["nano"].network)}
    assert (kept["bars"]["series"], kept["bars"]["bars"]) == (32, 384_000)
    assert "trader finetune --generated 1 --size nano" in (FOLDER / "README.md").read_text()


def test_the_daemons_context_and_horizon_fit_into_what_it_sees() -> None:
    trading = Settings().trading
    declared = json.loads((FOLDER / "network" / "config.json").read_text())["max_context"]
    assert trading.context + trading.horizon <= declared


def test_the_daemon_runs_on_it_unless_told_otherwise() -> None:
    assert Settings().kronos.model_id == "kronos-nano" == kronos.Options().model_id


def test_its_paths_are_possible_bars_and_its_spread_that_of_the_market(unseen: list[Columns]) -> None:
    backend = kronos.build(kronos.Options(model_id="kronos-nano", device="cpu"))
    assert isinstance(backend, kronos.KronosForecaster)
    asked = [*contexts(unseen[0], "BTC/USD", 24), *contexts(unseen[1], "SPY", 24)]
    found = backend.forecast([context for context, _ in asked])
    assert len(found) == len(asked)
    assert sum(each.mended for each in backend.mended.values()) < 0.4 * 30 * len(asked)
    assert sum(each.dropped for each in backend.mended.values()) == 0
    inside = [_inside(found[context.symbol], truth) for context, truth in asked]
    assert 0.6 < np.mean(inside) < 0.97


def test_it_is_not_far_from_the_baseline(unseen: list[Columns]) -> None:
    asked = [*contexts(unseen[0], "BTC/USD", 30), *contexts(unseen[1], "SPY", 30)]
    losses = {}
    for name, backend in (
        ("nano", kronos.build(kronos.Options(model_id="kronos-nano", device="cpu"))),
        ("baseline", baseline.build(baseline.Options())),
    ):
        found = backend.forecast([context for context, _ in asked])
        losses[name] = np.mean([_pinball(found[context.symbol], truth) for context, truth in asked])
    assert losses["nano"] < 1.3 * losses["baseline"]


def _inside(forecast: Forecast, truth: np.ndarray) -> np.ndarray:
    low, high = (forecast.quantiles[int(np.argmin(np.abs(forecast.levels - level)))] for level in (0.1, 0.9))
    within = (truth >= low) & (truth <= high)
    return np.asarray(within[:, [HIGH, LOW, CLOSE]])


def _pinball(forecast: Forecast, truth: np.ndarray) -> float:
    """Relative to the last close, mean over levels, steps and high, low, close."""
    error = (truth[None] - forecast.quantiles) / forecast.last_close  # [Q, H, C]
    levels = forecast.levels[:, None, None]
    loss = np.maximum(levels * error, (levels - 1) * error)
    return float(np.delete(loss, OPEN, axis=2).mean())
