"""Products in runs are those of torch's own linear to the bit, or they are not used."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install the extra `models`")

from forecasters.toto.parts import Affine  # noqa: E402 - after the skip
from forecasters.toto.runs import in_runs  # noqa: E402


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("inputs", [64, 512, 777])
@pytest.mark.parametrize("with_bias", [True, False])
def test_whoever_asks_with_many_rows_or_few_gets_what_linear_gives(inputs: int, with_bias: bool) -> None:
    weight, bias = drawn(2100, inputs), drawn(2100) if with_bias else None
    affine = Affine(weight, bias)
    affine.settle_exactly()
    several = [drawn(count, inputs) for count in (4, 5, 17, 130, 3, 1)]
    apart = drawn(6, 4, inputs).transpose(0, 1)
    for rows in [*several, drawn(2, 9, inputs), apart, drawn(20, inputs)]:
        assert torch.equal(affine(rows), torch.nn.functional.linear(rows, weight, bias))


def test_what_would_be_rounded_otherwise_is_not_used() -> None:
    assert in_runs(drawn(2100, 600), None, length=7) is None


def test_weights_that_are_not_many_are_left_as_they_are() -> None:
    assert in_runs(drawn(512, 512), None) is None


def test_other_threads_than_it_was_tried_with_take_the_way_of_torch() -> None:
    used = in_runs(drawn(2100, 600), None)
    if used is None:
        pytest.skip("this processor's products are added up in another order")
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(before + 1)
        assert not used.takes(drawn(8, 600))
    finally:
        torch.set_num_threads(before)
    assert used.takes(drawn(8, 600))


def test_the_weight_comes_back_as_it_was() -> None:
    weight = drawn(2100, 600)
    used = in_runs(weight, None)
    if used is None:
        pytest.skip("this processor's products are added up in another order")
    assert torch.equal(used.weight(), weight)
