"""Our own kernels compute what PyTorch's operators compute. They are built once, which takes some seconds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="Kronos needs torch: pip install '.[models]'")

from forecasters.compiled.toolchain import missing_tools  # noqa: E402
from forecasters.kronos.arithmetic import PLAIN  # noqa: E402
from forecasters.kronos.cache import CacheShape, LayerCache, Reach, prefix_mask, suffix_mask  # noqa: E402
from forecasters.kronos.folded import FoldedBlock  # noqa: E402
from forecasters.kronos.linear import FixedLinear  # noqa: E402
from forecasters.kronos.model import Block, rotary_table  # noqa: E402
from forecasters.kronos.native import Native, native, take_products  # noqa: E402
from forecasters.kronos.panels import suits  # noqa: E402
from tests.forecasters.kronos.test_kronos_cache import series  # noqa: E402

if TYPE_CHECKING:
    from forecasters.kronos.generate import Kronos

pytestmark = [
    pytest.mark.skipif(bool(missing_tools()), reason=f"this machine lacks {' and '.join(missing_tools())}"),
    pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning"),  # the compiler's own imports
]
SHAPES = [(1, 1, 64), (7, 3, 4), (50, 2, 52), (97, 4, 208)]  # tokens, heads, width of a head
DTYPES = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


@pytest.fixture(scope="module")
def ours() -> Native:
    return native()


def random(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))).to(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [4, 16, 52, 832])
def test_norms_and_gates(ours: Native, width: int, dtype: torch.dtype) -> None:
    rows = random(5, 3, 2 * width, dtype=dtype)
    for name in ("normalise", "gate"):
        found, wanted = getattr(ours, name)(rows), getattr(PLAIN, name)(rows)
        assert found.dtype == dtype
        torch.testing.assert_close(found.float(), wanted.float(), atol=DTYPES[dtype], rtol=DTYPES[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("tokens", "heads", "width"), SHAPES)
def test_a_context_attends_to_what_lies_before(
    ours: Native, tokens: int, heads: int, width: int, dtype: torch.dtype
) -> None:
    projected = (random(tokens, 3, heads, width) * width**-0.25).to(dtype)
    rotary = rotary_table(tokens, width)
    found, wanted = ours.split(projected, rotary), PLAIN.split(projected.float(), rotary)
    for one, two in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours.attend_causally(*found), PLAIN.attend_causally(*wanted), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("context", "heads", "width"), SHAPES)
def test_new_tokens_attend_to_a_shared_context(ours: Native, context: int, heads: int, width: int) -> None:
    new = [(random(5, 11, heads, width) + part) * width**-0.25 for part in range(3)]
    prefix = random(heads, width, context), random(heads, context, width)
    found, wanted = (each.attend_shared(*new, *prefix) for each in (ours, PLAIN))
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("hidden", [64, 96, 100, 192])
def test_a_block_of_any_hidden_width_reads_a_context_as_it_should(ours: Native, hidden: int) -> None:
    """Of 96 both halves of the gate are three panels of our products together, and neither is whole ones."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(hidden)
        block = FoldedBlock(Block(64, 2, hidden), torch.float32)
        rows, rotary = torch.randn(9, 64), rotary_table(9, 32)
        for found, wanted in zip(*(each.whole(block, rows, rotary) for each in (ours, PLAIN)), strict=True):
            torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("slot", [-1, 0, 5])
@pytest.mark.parametrize(("rows", "width"), [(1, 4), (6, 52), (53, 64)])
def test_a_step_attends_to_context_and_own_tokens(ours: Native, rows: int, width: int, slot: int) -> None:
    """Of two series, one shorter than its places; what is not written yet is not looked at."""
    shape = CacheShape(series=2, rows=rows, context=48, drawn=6)
    layers = [
        LayerCache(shape, 3, width, dtype=torch.float32, device=torch.device("cpu"), native=native)
        for native in (True, False)
    ]
    for layer in layers:
        for number, tensor in enumerate(layer.tensors()):
            tensor.copy_(random(*tensor.shape) + number)
    lengths, at = torch.tensor([48, 41]), torch.tensor([slot])
    reach = Reach(
        lengths=lengths,
        slot=at,
        prefix=prefix_mask(lengths, 48, torch.float32),
        suffix=suffix_mask(at, 6, torch.float32),
    )
    queries = random(2, rows, 3, width) * width**-0.5
    found, wanted = (layer.attend(queries, reach) for layer in layers)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    layers[0].prefix_keys[1, :, :, 41:] = torch.nan
    layers[0].prefix_values[1, :, 41:] = torch.nan
    layers[0].suffix_values[:, :, :, slot + 1 :] = torch.nan
    assert torch.equal(layers[0].attend(queries, reach), found)


def test_their_forecast_is_that_of_the_plain_arithmetic(folders: dict[str, Path], models: dict[str, Kronos]) -> None:
    """The whole way, with the step that is not compiled."""
    from forecasters.kronos.generate import advance
    from forecasters.kronos.sampling import Sampling

    class Generated:
        generates_code = True

        def __call__(self, *arguments: object) -> object:
            return advance(*arguments)  # type: ignore[arg-type]

    twin = models["small"].twin(Generated())  # type: ignore[arg-type]
    batch = [series(count, 9, seed=count) for count in (60, 61, 17)]
    for sampling in (Sampling(top_p=0.9), Sampling(greedy=True)):
        found, wanted = (each.generate_batch(batch, sampling, samples=8) for each in (twin, models["small"]))
        for asked, one, two in zip(batch, found, wanted, strict=True):
            assert (np.abs(one - two) <= 1e-4 * np.asarray(asked.bars).std(axis=0)).all()
            assert np.array_equal(one, twin.generate_batch([asked], sampling, samples=8)[0])  # whatever else there is


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("depth", "outputs"), [(32, 64), (832, 192), (40, 64), (33, 64), (64, 40)])
def test_products_within_graphs(ours: Native, depth: int, outputs: int, dtype: torch.dtype) -> None:
    """By our kernel where the sizes suit it, else by oneDNN; a row of ours does not depend on those beside it."""
    layer = FixedLinear(random(outputs, depth) * depth**-0.5, random(outputs), dtype=dtype)
    take_products(torch.nn.ModuleList([layer]))
    assert layer.layouts is not None
    assert (layer.layouts.own is not None) == suits(outputs, depth, dtype)
    rows = random(2, 19, depth, dtype=dtype)
    found = torch.ops.kronos.packed_linear(rows, layer._handle, outputs)
    torch.testing.assert_close(found.float(), layer(rows).float(), atol=DTYPES[dtype], rtol=DTYPES[dtype])
    if suits(outputs, depth, dtype):
        for first, last in ((0, 1), (0, 4), (7, 19)):
            part = torch.ops.kronos.packed_linear(rows[:1, first:last], layer._handle, outputs)
            assert torch.equal(part, found[:1, first:last])
