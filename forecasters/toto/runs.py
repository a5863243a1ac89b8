"""Products in float32 that round as MKL's, in half of the time where rows are few and weights many.

MKL adds up along the inputs in runs of 192, on the processors where this is of use; oneDNN, given one run, adds it up
in the same order, so that its sums of runs are the same to the bit. Nobody promises that: it is tried, with the weights
at hand.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_FEWEST_ROWS = 4  # fewer are added up otherwise
_RUN = 192  # inputs
_FEWEST_OUTPUTS = 2048  # with fewer, a run is too little work for a call of its own
_TRIED = (4, 7, 16, 50)  # rows


class Runs:
    """[..., K] -> [..., N]. Instead of the weights, not beside them."""

    def __init__(self, weight: Tensor, bias: Tensor | None, length: int) -> None:
        pack = torch.ops.mkldnn._reorder_linear_weight
        self._parts = [pack(part.contiguous(), None) for part in torch.split(weight, length, dim=1)]
        self._bias, self._length, self._threads = bias, length, torch.get_num_threads()

    def __call__(self, rows: Tensor) -> Tensor:
        """Of what it `takes`."""
        product: Any = torch.ops.mkldnn._linear_pointwise
        first, *others = torch.split(rows, self._length, dim=-1)
        found: Tensor = product.default(first, self._parts[0], self._bias, "none", [], "")
        for run, part in zip(others, self._parts[1:], strict=True):
            found = product.binary(run, found, part, None, "add")
        return found

    def takes(self, rows: Tensor) -> bool:
        """Whether it was tried for such, and for as many threads. Rows that lie apart are multiplied in batches."""
        enough = rows.shape[:-1].numel() >= _FEWEST_ROWS and rows.is_contiguous()
        return enough and torch.get_num_threads() == self._threads

    def weight(self) -> Tensor:
        """[N, K] as it was given, written out anew."""
        return torch.cat([part.to_dense() for part in self._parts], dim=1)


def in_runs(weight: Tensor, bias: Tensor | None, length: int = _RUN) -> Runs | None:
    """None where it does not pay, or would not be the same to the bit."""
    if weight.device.type != "cpu" or len(weight) < _FEWEST_OUTPUTS or not torch._C._has_mkldnn:
        return None
    runs = Runs(weight, bias, length)
    generator = torch.Generator().manual_seed(0)
    for count in _TRIED:
        rows = torch.randn(count, weight.shape[1], generator=generator)
        if not torch.equal(runs(rows), F.linear(rows, weight, bias)):
            return None
    return runs
