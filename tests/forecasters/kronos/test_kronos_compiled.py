"""The compiled step is one graph for each shape, and draws what the eager one draws."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="Kronos needs torch: pip install '.[models]'")

from forecasters.kronos import load_kronos  # noqa: E402
from forecasters.kronos.sampling import Sampling  # noqa: E402
from tests.forecasters.kronos.test_kronos_cache import series  # noqa: E402

if TYPE_CHECKING:
    from forecasters.kronos.generate import Kronos

NUCLEUS = Sampling(top_p=0.9)


@pytest.fixture
def counters() -> dict[str, dict[str, int]]:
    import torch._dynamo.utils as dynamo

    torch._dynamo.reset()
    dynamo.counters.clear()
    return dynamo.counters


def test_one_graph_serves_every_step_and_every_call_of_its_shape(
    folders: dict[str, Path], models: dict[str, Kronos], counters: dict[str, dict[str, int]]
) -> None:
    """Traced whole, without generating code: that needs a C++ compiler and minutes."""
    kronos = load_kronos(folders["two bits"], compile=True, compile_backend="aot_eager")
    for seed in range(3):
        asked = series(33 + seed, 5, seed=seed)  # of one padded length
        found = kronos.draw(asked, NUCLEUS, samples=4)
        assert np.array_equal(found, models["two bits"].draw(asked, NUCLEUS, samples=4))
    assert counters["stats"]["unique_graphs"] == 1
    kronos.drop_cache()
    kronos.draw(series(40, 5), NUCLEUS, samples=4)
    assert counters["stats"]["unique_graphs"] == 1
    kronos.draw(series(60, 5), NUCLEUS, samples=4)
    assert counters["stats"]["unique_graphs"] == 2
    assert not counters["graph_break"]


def test_a_step_begins_with_a_look_at_what_may_change_and_at_nothing_else(
    folders: dict[str, Path], counters: dict[str, dict[str, int]]
) -> None:
    """Names of guards are the compiler's: where it renames them, all or none would be kept."""
    from torch._dynamo.eval_frame import _debug_get_cache_entry_list

    kronos = load_kronos(folders["two bits"], compile=True, compile_backend="eager")
    kronos.draw(series(33, 3), NUCLEUS, samples=4)
    code = kronos._advance._compiled._torchdynamo_orig_callable.__code__  # type: ignore[attr-defined]
    (entry,) = _debug_get_cache_entry_list(code)
    kept = str(entry.guard_manager)
    assert all(f"source=L['{name}']" in kept for name in ("s1", "noise", "sampling", "cache"))
    assert "source=L['network']" not in kept
    assert "source=G[" not in kept


@pytest.mark.slow
def test_more_shapes_than_the_compiler_allows_by_default_still_run(
    folders: dict[str, Path], models: dict[str, Kronos], counters: dict[str, dict[str, int]]
) -> None:
    kronos = load_kronos(folders["two bits"], compile=True, compile_backend="eager")
    for count in range(8, 8 + 16 * 10, 16):
        asked = series(count, 2)
        assert np.array_equal(
            kronos.draw(asked, NUCLEUS, samples=2), models["two bits"].draw(asked, NUCLEUS, samples=2)
        )
    assert counters["stats"]["unique_graphs"] == 10


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")  # the compiler's own imports
@pytest.mark.parametrize("sampling", [NUCLEUS, Sampling(greedy=True)])
def test_generated_code_draws_what_the_eager_step_draws(
    folders: dict[str, Path], models: dict[str, Kronos], sampling: Sampling
) -> None:
    kronos, asked = load_kronos(folders["small"], compile=True), series(200, 24)
    compiled, eager = (each.generate_batch([asked], sampling, samples=8)[0] for each in (kronos, models["small"]))
    spread = np.asarray(asked.bars).std(axis=0)
    assert (np.abs(compiled - eager) <= 1e-4 * spread).all()
