"""Checkpoints made on the spot: of the published form, possible bars, the same for the same seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="Kronos needs torch: pip install '.[models]'")

from forecasters import registry
from forecasters.kronos import CheckpointError, load_kronos
from forecasters.kronos.checkpoint import make_checkpoint
from forecasters.kronos.sizes import SIZES
from tests.forecasters.support import context


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint("tiny", tmp_path_factory.mktemp("seeded") / "tiny")


@pytest.mark.parametrize("size", ["tiny", "nano"])
def test_it_loads_and_nearly_all_that_it_draws_are_possible_bars(size: str, tmp_path: Path) -> None:
    folder = make_checkpoint(size, tmp_path / size)
    forecaster = registry.build("kronos", {"model_id": str(folder), "device": "cpu", "sample_count": 20})
    forecast = forecaster.forecast([context(count=200, horizon=8)])["BTC/USD"]
    assert forecast.paths is not None
    assert len(forecast.paths) > 15
    assert forecast.model.startswith(f"{size}@")


def test_the_same_seed_gives_the_same_weights_and_another_others(tiny: Path, tmp_path: Path) -> None:
    again, other = make_checkpoint("tiny", tmp_path / "tiny"), make_checkpoint("tiny", tmp_path / "other", seed=1)
    labels = [load_kronos(folder).label.partition("@")[2] for folder in (tiny, again, other)]
    assert labels[0] == labels[1] != labels[2]


def test_an_unknown_size_and_a_folder_in_use_are_refused(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there are tiny, pico, nano, mini, small, base"):
        make_checkpoint("huge", tmp_path)
    with pytest.raises(CheckpointError, match="already"):
        make_checkpoint("tiny", tiny)


def test_the_shapes_are_the_published_ones() -> None:
    published = {"mini": (4, 256, 4, 512, 2048), "small": (8, 512, 8, 1024, 512), "base": (12, 832, 16, 2048, 512)}
    for size, shape in published.items():
        network = SIZES[size].network
        assert tuple(network[name] for name in ("n_layers", "d_model", "n_heads", "ff_dim", "max_context")) == shape


def test_a_seeded_model_follows_the_scale_of_its_context(tiny: Path) -> None:
    forecaster = registry.build("kronos", {"model_id": str(tiny), "device": "cpu", "sample_count": 20})
    for last_close in (1e-8, 1e9):
        forecast = forecaster.forecast([context(count=200, last_close=last_close)])["BTC/USD"]
        assert (np.abs(forecast.quantiles / last_close - 1) < 0.5).all()
