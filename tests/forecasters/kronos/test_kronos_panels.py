"""Weights in panels: the layout that kernels/panels.cpp describes, and that there is one copy of a weight."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

torch = pytest.importorskip("torch", reason="Kronos needs torch: pip install '.[models]'")

from forecasters.compiled.toolchain import missing_tools  # noqa: E402
from forecasters.kronos.build import kernel  # noqa: E402
from forecasters.kronos.linear import FixedLinear, Layouts  # noqa: E402
from forecasters.kronos.panels import Panels, panels_of, suits  # noqa: E402

pytestmark = [
    pytest.mark.skipif(bool(missing_tools()), reason=f"this machine lacks {' and '.join(missing_tools())}"),
    pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning"),  # the compiler's own imports
]
DTYPES = {torch.float32: 1e-5, torch.bfloat16: 2e-2}
SIZES = [(64, 2), (128, 34), (192, 40)]  # outputs, depth


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def weight_of(outputs: int, depth: int, dtype: torch.dtype) -> torch.Tensor:
    return torch.randn(outputs, depth, generator=torch.Generator().manual_seed(outputs + depth)).to(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("outputs", "depth"), SIZES)
def test_every_number_lies_where_the_description_says(outputs: int, depth: int, dtype: torch.dtype) -> None:
    panels, weight = Panels(plain := weight_of(outputs, depth, dtype), None), plain.clone()
    place = kernel("place", dtype)
    places = torch.tensor([[place(output, depth_, depth) for depth_ in range(depth)] for output in range(outputs)])
    assert torch.equal(places.flatten().sort().values, torch.arange(outputs * depth))  # each place once
    assert torch.equal(panels._packed[places], weight)
    assert torch.equal(panels.plain(), weight)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [1, 2, 5, 6, 13])
def test_a_product_is_that_of_the_operators_whatever_the_number_of_rows(rows: int, dtype: torch.dtype) -> None:
    weight, given = weight_of(128, 34, dtype) * 0.2, weight_of(rows, 34, dtype)
    bias = weight_of(1, 128, dtype)[0]
    for panels, wanted in (
        (Panels(weight, bias), given.float() @ weight.float().T + bias.float()),
        (Panels(weight, None), given.float() @ weight.float().T),
    ):
        torch.testing.assert_close(panels.multiply(given).float(), wanted, atol=DTYPES[dtype], rtol=DTYPES[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
def test_sizes_that_do_not_suit_are_not_packed(dtype: torch.dtype) -> None:
    assert not suits(100, 64, dtype)  # of a multiple of 4, which no panel is
    assert suits(64, 33, dtype) == (dtype == torch.float32)  # bfloat16 comes in pairs
    assert panels_of(FixedLinear(weight_of(100, 64, dtype), None, dtype=dtype)) is None


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_weight_that_is_multiplied_in_one_way_is_held_once(dtype: torch.dtype) -> None:
    eager, compiled = (FixedLinear(weight_of(64, 32, dtype), None, dtype=dtype) for _ in range(2))
    eager(weight_of(3, 32, dtype))
    assert isinstance(panels_of(compiled), Panels)
    assert (copies(eager.layouts), copies(compiled.layouts)) == (1, 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_each_way_is_there_whichever_was_asked_for_first(first: str, dtype: torch.dtype) -> None:
    weight, rows = weight_of(64, 32, dtype), weight_of(3, 32, dtype)
    layer = FixedLinear(weight, None, dtype=dtype)
    wanted = rows.float() @ weight.float().T

    def ours() -> torch.Tensor:
        panels = panels_of(layer)
        assert panels is not None
        return panels.multiply(rows)

    ways = [ours, lambda: layer(rows)]
    for way in ways if first == "ours" else ways[::-1]:
        torch.testing.assert_close(way().float(), wanted, atol=DTYPES[dtype], rtol=DTYPES[dtype] * 10)
    assert layer.layouts is not None
    assert torch.equal(layer.layouts.plain(), weight)
    assert panels_of(layer) is panels_of(layer)


def copies(layouts: Layouts | None) -> int:
    assert layouts is not None
    return sum(each is not None for each in (layouts._plain, layouts._onednn, layouts.own))
