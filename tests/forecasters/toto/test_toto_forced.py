"""What Toto's networks say of each step ahead: by the compiled graphs as by the eager ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install the extra `models`")

from forecasters import registry
from forecasters.backends.toto import TotoForecaster
from forecasters.compiled.forced import output_distances, teacher_forced_of
from tests.forecasters.support import context

KINDS = {
    "tiny": {"quantiles": "numbers"},
    "tiny-1.0": {"degrees of freedom": "numbers", "locations": "numbers", "scales": "numbers", "odds": "odds"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from forecasters.toto.checkpoint import make_checkpoint

    root = tmp_path_factory.mktemp("toto")
    for size in KINDS:
        make_checkpoint(size, root / size)
    return root


def built(folder: Path, **changes: object) -> TotoForecaster:
    options = {"model_id": str(folder), "device": "cpu", "num_samples": 32, "context_bars": 128, "horizons": [70]}
    forecaster = registry.build("toto", options | changes)
    assert isinstance(forecaster, TotoForecaster)
    return forecaster


@pytest.mark.parametrize("size", KINDS)
def test_the_compiled_graphs_say_what_the_eager_ones_do(folder: Path, size: str) -> None:
    """More bars ahead than a patch has, so that Toto 1.0 goes on from one to the next."""
    eager = built(folder / size, compile_backend="eager")
    eager.warm_up()
    compiled = eager.compiled_twin()
    compiled.warm_up()
    asked = [context(count=128, horizon=70), context("ETH/USD", count=100, horizon=70)]
    found, wanted = teacher_forced_of(compiled, asked), teacher_forced_of(eager, asked)
    assert found.keys() == wanted.keys() == {"BTC/USD", "ETH/USD"}
    assert {name: each.kind for name, each in wanted["BTC/USD"].items()} == KINDS[size]
    assert all(len(each.values) == 4 * 70 for each in wanted["BTC/USD"].values())
    for each in output_distances(list(found.values()), list(wanted.values())).values():
        assert each.worst < 1e-5
    made = compiled._loaded().graphs.count
    compiled.forecast(asked[:1])
    assert compiled._loaded().graphs.count == made  # those that forecast, and no others


@pytest.mark.parametrize("size", KINDS)
@pytest.mark.parametrize("by", [0.01, 0.1])
def test_weights_that_are_off_show(folder: Path, tmp_path: Path, size: str, by: float) -> None:
    from safetensors.numpy import load_file, save_file

    off = tmp_path / "off"
    off.mkdir()
    for file in (folder / size).iterdir():
        (off / file.name).write_bytes(file.read_bytes())
    random = np.random.default_rng(0)
    weights = load_file(off / "model.safetensors")
    moved = {
        name: np.asarray(each * (1 + by * random.choice([-1.0, 1.0], each.shape)), dtype=each.dtype)
        for name, each in weights.items()
    }
    save_file(moved, off / "model.safetensors")
    asked = [context(count=128, horizon=8)]
    pair = [teacher_forced_of(built(each), asked)["BTC/USD"] for each in (off, folder / size)]
    assert max(each.worst for each in output_distances(pair[:1], pair[1:]).values()) > by / 5
