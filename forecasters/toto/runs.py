"""Products in float32 that round as MKL's, in half of the time where rows are few and weights many.

MKL adds up along the inputs in runs of 192, on the processors where this is of use; oneDNN, given one run, adds it up
in the same order, so that its sums of runs are the same to the bit. Nobody promises that: it is tried, once for each
number of rows, since MKL takes another way for one to three of them, and for some others with some numbers of threads;
and again with the weights at hand.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_RUN = 192  # inputs
_FEWEST_OUTPUTS = 2048  # with fewer, a run is too little work for a call of its own
_MANY_ROWS = 64  # more of them are multiplied as so many are
_TRIED = (4, 7, 16, 50)  # rows, with each weight


class Runs:
    """[..., K] -> [..., N]. Instead of the weights, not beside them."""

    def __init__(self, weight: Tensor, bias: Tensor | None, length: int) -> None:
        pack = torch.ops.mkldnn._reorder_linear_weight
        self._parts = [pack(part.contiguous(), None) for part in torch.split(weight, length, dim=1)]
        self._bias, self._length = bias, length

    def __call__(self, rows: Tensor) -> Tensor:
        product: Any = torch.ops.mkldnn._linear_pointwise
        first, *others = torch.split(rows, self._length, dim=-1)
        found: Tensor = product.default(first, self._parts[0], self._bias, "none", [], "")
        for run, part in zip(others, self._parts[1:], strict=True):
            found = product.binary(run, found, part, None, "add")
        return found

    def takes(self, rows: Tensor) -> bool:
        """Whether these come out as from torch's own linear, which takes rows that lie apart in batches."""
        return rows.is_contiguous() and _rounds_alike(rows.shape[:-1].numel(), self._length)

    def weight(self) -> Tensor:
        """[N, K] as it was given, written out anew."""
        return torch.cat([part.to_dense() for part in self._parts], dim=1)


def in_runs(weight: Tensor, bias: Tensor | None, length: int = _RUN) -> Runs | None:
    """None where it does not pay, or would not be the same to the bit."""
    if weight.device.type != "cpu" or len(weight) < _FEWEST_OUTPUTS or not torch._C._has_mkldnn:
        return None
    if not _rounds_alike(_MANY_ROWS, length):
        return None
    runs = Runs(weight, bias, length)
    for count in _TRIED:
        rows = _drawn(count, weight.shape[1])
        if runs.takes(rows) and not torch.equal(runs(rows), F.linear(rows, weight, bias)):
            return None
    return runs


def _rounds_alike(count: int, length: int) -> bool:
    return min(count, _MANY_ROWS) in _alike(length, torch.get_num_threads())


@cache
def _alike(length: int, threads: int) -> frozenset[int]:
    """Numbers of rows whose products are the same to the bit, with as many threads as there now are."""
    weight = _drawn(_FEWEST_OUTPUTS, 2 * _RUN + 9)
    runs = Runs(weight, None, length)
    tried = {count: _drawn(count, weight.shape[1]) for count in range(1, _MANY_ROWS + 1)}
    return frozenset(count for count, rows in tried.items() if torch.equal(runs(rows), F.linear(rows, weight)))


def _drawn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float32, device="cpu")
