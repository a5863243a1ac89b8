"""Compiled, each bucket is one graph, made once, whatever is asked for afterwards; and the numbers stay."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.forecasters.toto.checkpoints import golden_arrays, golden_folder, walk

torch = pytest.importorskip("torch", reason="torch is not installed: pip install the extra `models`")

from torch._dynamo.utils import counters  # noqa: E402 - after the skip

from forecasters.base import InvalidContext  # noqa: E402
from forecasters.toto import load_toto  # noqa: E402
from forecasters.toto.buckets import Buckets  # noqa: E402
from forecasters.toto.checkpoint import make_checkpoint  # noqa: E402
from forecasters.toto.model import Toto  # noqa: E402
from forecasters.toto.toto1.model import Toto1  # noqa: E402
from forecasters.toto.toto2.model import Toto2  # noqa: E402

BUCKETS = Buckets(context=(8,), ahead=(2, 4), variates=(4,))
GROUPS = Buckets(context=(8,), ahead=(2, 4), variates=(4, 12))  # a group of four or less alone, or three of them
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
QUICK = "eager"  # the same tracing and guards, without machine code


@pytest.fixture(autouse=True)
def _fresh_counters() -> Iterator[None]:
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


def graphs() -> int:
    return counters["stats"]["unique_graphs"]


def breaks() -> int:
    return sum(counters["graph_break"].values())


def loaded(name: str, folder: Path, buckets: Buckets = BUCKETS) -> tuple[Toto, Toto]:
    """Eager and compiled."""
    place = golden_folder(name, folder)
    return load_toto(place), load_toto(place, True, buckets=buckets, backend=QUICK)


def ask(toto: Toto, variates: int, steps: int, horizon: int, groups: int = 1) -> np.ndarray:
    series, mask = walk(variates * groups, steps, seed=steps)
    mask[:, : steps // 3] = steps % 2 == 0
    series[~mask] = 0
    ids = np.repeat(np.arange(groups), variates).tolist()
    if toto.generation == 1:
        return toto.mean(series, mask, horizon, groups=ids)
    return toto.quantiles(series, mask, horizon, groups=ids)


def warm_up(compiled: Toto, most: int) -> None:
    for ahead in BUCKETS.ahead:
        for groups in sorted({1, most}):
            ask(compiled, 4, 8 * compiled.patch, ahead * compiled.patch, groups)


def some(random: np.random.Generator, patch: int, most: int) -> tuple[int, int, int, int]:
    """Variates of a group, steps, horizon, groups."""
    return (
        int(random.integers(1, 5)),
        int(random.integers(2, 8 * patch + 1)),
        int(random.integers(1, 4 * patch)),
        int(random.integers(1, most + 1)),
    )


@pytest.mark.parametrize(
    ("name", "forecasts"),
    [
        ("toto2-tiny", 60),
        ("toto1-tiny", 60),
        pytest.param("toto2-tiny", 1000, marks=pytest.mark.parity),
        pytest.param("toto1-tiny", 1000, marks=pytest.mark.parity),
    ],
)
def test_contexts_horizons_and_series_that_change_recompile_nothing(name: str, forecasts: int, tmp_path: Path) -> None:
    most = 3 if name == "toto2-tiny" else 1  # groups that share a pass
    eager, compiled = loaded(name, tmp_path, GROUPS if most > 1 else BUCKETS)
    assert isinstance(compiled, (Toto1, Toto2))
    patch = compiled.patch
    warm_up(compiled, most)
    made = graphs()
    assert made == compiled.graphs.count == (4 if name == "toto2-tiny" else 3)
    random = np.random.default_rng(1)
    for number in range(forecasts):
        sizes = some(random, patch, most)
        found = ask(compiled, *sizes)
        if number % 10 == 0:
            wanted = ask(eager, *sizes)
            assert np.abs(found - wanted).max() < 1e-4 * np.ptp(wanted)
    assert graphs() == made
    assert breaks() == 0


@pytest.mark.parity
@pytest.mark.timeout(3600)
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")  # the compiler's own imports
@pytest.mark.parametrize(("size", "forecasts"), [("tiny", 1000), ("tiny-1.0", 1000), ("22m", 1000)])
def test_machine_code_is_made_once_too(size: str, forecasts: int, tmp_path: Path) -> None:
    """With the compiler that is used in earnest, and no CUDA graph given up."""
    folder = make_checkpoint(size, tmp_path / size)
    most = 1 if size.endswith("1.0") else 3
    buckets = GROUPS if most > 1 else BUCKETS
    eager, compiled = load_toto(folder), load_toto(folder, True, buckets=buckets, mode="reduce-overhead", device=DEVICE)
    assert isinstance(compiled, (Toto1, Toto2))
    patch = compiled.patch
    warm_up(compiled, most)
    made = graphs()
    random = np.random.default_rng(2)
    for number in range(forecasts):
        sizes = some(random, patch, most)
        found = ask(compiled, *sizes)
        if number % 50 == 0:
            wanted = ask(eager, *sizes)
            assert np.abs(found - wanted).max() < 1e-3 * np.ptp(wanted)
    assert graphs() == made == compiled.graphs.count
    assert breaks() == 0
    assert counters["inductor"]["cudagraph_skips"] == 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.parametrize("size", ["tiny", "tiny-1.0"])
def test_on_a_gpu_cuda_graphs_are_used_and_results_stay(size: str, tmp_path: Path) -> None:
    folder = make_checkpoint(size, tmp_path / size)
    eager = load_toto(folder, device="cuda")
    compiled = load_toto(folder, True, buckets=BUCKETS, mode="reduce-overhead", device="cuda")
    kept = []
    for steps in (200, 100, 150, 128, 64):
        found, wanted = ask(compiled, 4, steps, 100), ask(eager, 4, steps, 100)
        kept.append((found, found.copy(), wanted))
    for found, copy, wanted in kept:
        assert np.array_equal(found, copy)
        assert np.abs(found - wanted).max() < 1e-3 * np.ptp(wanted)
    assert counters["inductor"]["cudagraph_skips"] == 0


def test_blocks_are_decoded_by_one_graph(tmp_path: Path) -> None:
    folder = golden_folder("toto2-tiny", tmp_path)
    sizes = Buckets(context=(8,), ahead=(8,), variates=(4,))
    eager, compiled = load_toto(folder), load_toto(folder, True, buckets=sizes, backend=QUICK)
    for steps, horizon in ((256, 256), (100, 200), (70, 130)):
        series, mask = walk(3, steps)
        found, wanted = (toto.quantiles(series, mask, horizon, decode_block_size=64) for toto in (compiled, eager))
        assert np.abs(found - wanted).max() < 1e-5 * np.ptp(wanted)
    assert graphs() == 2
    assert breaks() == 0


def test_compiled_quantiles_are_the_originals(tmp_path: Path) -> None:
    wanted = golden_arrays("toto2-tiny")
    _, compiled = loaded("toto2-tiny", tmp_path)
    found = compiled.quantiles(wanted["series"], wanted["mask"], int(wanted["horizon"]))
    assert graphs() == 1
    assert np.abs(found - wanted["quantiles"]).max() < 1e-5 * np.ptp(wanted["quantiles"])


def test_samples_are_decoded_by_one_graph(tmp_path: Path) -> None:
    eager, compiled = loaded("toto1-tiny", tmp_path)
    series, mask = walk(3, 300)
    paths = [
        compiled.sample(series, mask, horizon, samples=6, samples_per_batch=4, seed=2) for horizon in (256, 200, 130)
    ]
    assert graphs() == 2  # reading the context, and decoding a patch
    wanted = eager.sample(series, mask, 256, samples=6, samples_per_batch=4, seed=2)
    assert paths[0].shape == (6, 3, 256)
    assert np.allclose(paths[0], wanted, rtol=1e-3, atol=1e-2)


def test_results_outlive_the_next_forecast(tmp_path: Path) -> None:
    _, compiled = loaded("toto2-tiny", tmp_path)
    first = ask(compiled, 4, 200, 64)
    kept = first.copy()
    ask(compiled, 4, 100, 64)
    assert np.array_equal(first, kept)


def test_what_was_not_prepared_is_refused_rather_than_compiled_on_the_way(tmp_path: Path) -> None:
    _, compiled = loaded("toto2-tiny", tmp_path)
    for variates, steps, horizon in ((5, 64, 8), (4, 9 * 32, 8), (4, 64, 129)):
        with pytest.raises(InvalidContext, match="prepared"):
            ask(compiled, variates, steps, horizon)
    assert graphs() == 0
