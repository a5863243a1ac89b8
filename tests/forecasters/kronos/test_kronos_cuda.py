"""On a GPU: CUDA graphs that overwrite nothing, and an out-of-memory that stays one. Skipped where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="Kronos needs torch: pip install '.[models]'")

from forecasters.kronos import load_kronos  # noqa: E402
from forecasters.kronos.compiled import default_mode  # noqa: E402
from forecasters.kronos.sampling import Sampling  # noqa: E402
from tests.forecasters.kronos.test_kronos_cache import series  # noqa: E402
from tests.golden.rebuild import golden_outputs  # noqa: E402

if TYPE_CHECKING:
    from forecasters.kronos.generate import Kronos

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU, and torch sees none")


def test_cuda_graphs_are_for_gpus_alone() -> None:
    assert default_mode(torch.device("cpu")) == "default"
    assert default_mode(torch.device("cuda")) == "reduce-overhead"


@needs_gpu
def test_greedy_tokens_are_the_originals(folders: dict[str, Path]) -> None:
    from forecasters.kronos.generate import Series

    golden = golden_outputs("mini")
    split = int(golden["context"])
    kronos = load_kronos(folders["mini"], device="cuda")
    asked = Series(bars=golden["bars"], times=golden["times"][:split], future_times=golden["times"][split:])
    s1, s2 = kronos.draw(asked, Sampling(greedy=True), samples=1)
    assert np.array_equal(s1[0], golden["greedy_s1"])
    assert np.array_equal(s2[0], golden["greedy_s2"])


@needs_gpu
@pytest.mark.parity
@pytest.mark.timeout(600)
@pytest.mark.parametrize("sampling", [Sampling(), Sampling(greedy=True), Sampling(noise="uniform")])
def test_a_replayed_graph_draws_what_eager_draws_at_every_step_and_call(
    folders: dict[str, Path], sampling: Sampling
) -> None:
    """Results of a CUDA graph lie where the next replay writes: a step's must not change under the one after it."""
    import torch._dynamo.utils as dynamo

    compiled, eager = (load_kronos(folders["small"], compile, device="cuda") for compile in (True, False))
    for seed in range(4):
        asked = series(100, 24, seed=seed)
        ours = compiled.draw(asked, sampling, samples=8)
        assert (np.equal(ours, eager.draw(asked, sampling, samples=8))).mean() > 0.99  # kernels round differently
    assert dynamo.counters["inductor"]["cudagraph_skips"] == 0


@needs_gpu
def test_a_real_out_of_memory_is_said_as_one(folders: dict[str, Path]) -> None:
    kronos = load_kronos(folders["small"], device="cuda")
    free, _ = torch.cuda.mem_get_info()
    hog = torch.empty(max(0, free - (64 << 20)), dtype=torch.uint8, device="cuda")
    with pytest.raises(torch.OutOfMemoryError):
        kronos.generate_batch([series(240, 16)], Sampling(), samples=8192)
    del hog
    torch.cuda.empty_cache()
    kronos.drop_cache()
    assert np.isfinite(kronos.generate_batch([series(40, 2)], Sampling(), samples=4)[0]).all()


@needs_gpu
def test_memory_is_taken_once_for_a_shape(folders: dict[str, Path]) -> None:
    kronos: Kronos = load_kronos(folders["small"], device="cuda")
    kronos.generate_batch([series(100, 8)], Sampling(), samples=8)
    before = torch.cuda.memory_allocated()
    for seed in range(20):
        kronos.generate_batch([series(100, 8, seed=seed)], Sampling(), samples=8)
    assert torch.cuda.memory_allocated() == before
