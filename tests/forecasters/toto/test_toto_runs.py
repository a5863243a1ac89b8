"""Products in runs are those of torch's own linear to the bit, or they are not used."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install the extra `models`")

from forecasters.toto.parts import Affine  # noqa: E402 - after the skip
from forecasters.toto.runs import Runs, in_runs  # noqa: E402


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def used(weight: torch.Tensor) -> Runs:
    runs = in_runs(weight, None)
    if runs is None:
        pytest.skip("this processor's products are added up in another order")
    return runs


@pytest.mark.parametrize("inputs", [64, 777])
@pytest.mark.parametrize("with_bias", [True, False])
def test_whoever_asks_with_many_rows_or_few_gets_what_linear_gives(inputs: int, with_bias: bool) -> None:
    weight, bias = drawn(2100, inputs), drawn(2100) if with_bias else None
    affine = Affine(weight, bias)
    affine.settle_exactly()
    several = [drawn(count, inputs) for count in (*range(4, 20), 33, 130, 3, 2, 1)]
    apart = drawn(6, 4, inputs).transpose(0, 1)
    for rows in [*several, drawn(2, 9, inputs), apart, drawn(20, inputs)]:
        assert torch.equal(affine(rows), torch.nn.functional.linear(rows, weight, bias))


def test_with_other_threads_than_it_was_made_with_it_is_right_as_well() -> None:
    weight = drawn(2100, 600)
    affine = Affine(weight, None)
    affine.settle_exactly()
    torch.set_num_threads(2)
    for count in (4, 5, 7, 8):
        rows = drawn(count, 600)
        assert torch.equal(affine(rows), torch.nn.functional.linear(rows, weight))


def test_what_would_be_rounded_otherwise_is_not_used() -> None:
    assert in_runs(drawn(2100, 600), None, length=100) is None


def test_weights_that_are_not_many_are_left_as_they_are() -> None:
    assert in_runs(drawn(512, 512), None) is None


def test_one_row_is_not_taken_nor_rows_that_lie_apart() -> None:
    runs = used(drawn(2100, 600))
    assert runs.takes(drawn(8, 600))
    assert not runs.takes(drawn(1, 600))
    assert not runs.takes(drawn(600, 8).T)


def test_the_weight_comes_back_as_it_was() -> None:
    weight = drawn(2100, 600)
    assert torch.equal(used(weight).weight(), weight)
