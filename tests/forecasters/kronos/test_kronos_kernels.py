"""Whole steps and blocks by our own kernels are those of the operators; where there are no kernels, operators serve."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="Kronos needs torch: pip install '.[models]'")

from forecasters.compiled.toolchain import missing_tools, processor  # noqa: E402
from forecasters.kronos.arithmetic import PLAIN  # noqa: E402
from forecasters.kronos.build import source  # noqa: E402
from forecasters.kronos.cache import CacheShape  # noqa: E402
from forecasters.kronos.folded import FoldedBlock, FoldedNetwork, NetworkCache, least_rows  # noqa: E402
from forecasters.kronos.model import Block, Network, NetworkConfig, rotary_table  # noqa: E402
from forecasters.kronos.native import Native, native  # noqa: E402
from forecasters.kronos.pages import joined  # noqa: E402
from forecasters.kronos.paths import PATHS, KernelPath  # noqa: E402

needs_compiler = pytest.mark.skipif(bool(missing_tools()), reason=f"this machine lacks {' and '.join(missing_tools())}")
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")  # the compiler's own imports
CLOSE = {torch.float32: 2e-5, torch.bfloat16: 6e-2}
SUITING = NetworkConfig(s1_bits=6, s2_bits=7, n_layers=2, d_model=128, n_heads=4, ff_dim=192)
ODD = NetworkConfig(s1_bits=5, s2_bits=6, n_layers=2, d_model=96, n_heads=4, ff_dim=100)  # 100 suits no path


@pytest.fixture
def ours() -> Native:
    return native()


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def folded(config: NetworkConfig, dtype: torch.dtype) -> FoldedNetwork:
    torch.manual_seed(1)
    return FoldedNetwork(Network(config).eval(), 64, dtype)


@needs_compiler
@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("samples", [1, 3, 25])
def test_a_step_as_one_kernel_is_the_step_of_the_operators(ours: Native, dtype: torch.dtype, samples: int) -> None:
    """Two series of unequal length, all the way along their horizon."""
    network, shape = folded(SUITING, dtype), CacheShape(series=2, rows=samples, context=32, drawn=5)
    random = torch.Generator().manual_seed(samples)
    stamps = torch.randint(0, 7, (2, 37, 5), generator=random)
    tokens = [torch.randint(0, 64, (2, 32), generator=random) for _ in range(2)]
    drawn = [torch.randint(0, 64, (5, 2, samples), generator=random) for _ in range(2)]
    said = []
    for arithmetic in (ours, PLAIN):
        cache = NetworkCache(network, shape, arithmetic)
        assert (cache.plan is not None) == arithmetic.native
        cache.begin([32, 19], network.calendar(stamps[:, 32:]))
        for index, length in enumerate((32, 19)):
            network.prefill(cache, index, *(each[index, :length] for each in tokens), stamps[index, :length])
        found = []
        for place in range(5):
            slot = torch.tensor([place])
            context = network.step(cache, drawn[0][place], drawn[1][place], slot)
            s2 = network.s2_logits(cache, context, drawn[0][place], slot)
            found += [context.float(), network.s1_logits(cache, context).float(), s2.float()]
        said.append(found)
    for one, two in zip(*said, strict=True):
        torch.testing.assert_close(one, two, atol=CLOSE[dtype], rtol=CLOSE[dtype])


@needs_compiler
@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("tokens", [1, 7, 41])
def test_a_block_as_one_kernel_is_the_block_of_the_operators(ours: Native, dtype: torch.dtype, tokens: int) -> None:
    """Of a context, and of several samples that follow it; what is given stays as it was."""
    torch.manual_seed(tokens)
    block, rows, drawn = FoldedBlock(Block(128, 4, 192), dtype), torch.randn(tokens, 128), torch.randn(5, 3, 128)
    rows, drawn = rows.to(dtype), drawn.to(dtype)
    after = tuple(table.to(dtype) for table in rotary_table(tokens + 3, 32))
    before = after[0][:tokens], after[1][:tokens]
    given = rows.clone(), drawn.clone()
    found, wanted = (each.whole(block, rows, before) for each in (ours, PLAIN))
    for one, two in zip(found, wanted, strict=True):
        torch.testing.assert_close(one.float(), two.float(), atol=CLOSE[dtype], rtol=CLOSE[dtype])
    prefix = found[1].float().contiguous(), found[2].float().contiguous()
    one = ours.follow(block, drawn, (after[0], after[1]), *prefix)
    two = PLAIN.follow(block, drawn, (after[0], after[1]), *(each.to(dtype) for each in prefix))
    torch.testing.assert_close(one.float(), two.float(), atol=CLOSE[dtype], rtol=CLOSE[dtype])
    assert torch.equal(rows, given[0])
    assert torch.equal(drawn, given[1])


@needs_compiler
def test_a_network_whose_widths_do_not_suit_them_goes_by_operators(ours: Native) -> None:
    network = folded(ODD, torch.float32)
    cache = NetworkCache(network, CacheShape(series=1, rows=4, context=16, drawn=2), ours)
    assert cache.plan is None
    assert least_rows(network, ours) == least_rows(network, PLAIN)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_the_source_is_another_for_another_processor_and_path(path: KernelPath) -> None:
    """The compiler's flags say `native`: they are the same everywhere."""
    assert source(path).splitlines()[0] == f"// for {processor()}"
    assert sum(source(path) == source(other) for other in PATHS) == 1


@pytest.mark.timeout(900)
def test_where_kernels_cannot_be_built_operators_serve_and_the_log_says_why(tmp_path: Path) -> None:
    """In a process of its own: what is built once is kept."""
    script = (
        "import logging; logging.basicConfig()\n"
        "from forecasters.kronos.native import native_or_plain\n"
        "print(type(native_or_plain()).__name__)\n"
    )
    environment = os.environ | {"CXX": str(tmp_path / "no-compiler"), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], env=environment, capture_output=True, text=True, timeout=800
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["Arithmetic"]
    assert "kernels: none, PyTorch's operators serve: for want of a C++ compiler" in done.stderr


def test_stretches_of_memory_that_adjoin_are_one() -> None:
    page = 4096
    assert joined([(10 * page + 5, 100), (3 * page, page), (4 * page + 64, 2 * page)]) == [
        (3 * page, 7 * page),
        (10 * page, 11 * page),
    ]
    assert joined([(0, page), (3 * page, 1)]) == [(0, 4 * page)]
    assert joined([]) == []
