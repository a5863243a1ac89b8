"""y = x W' + b for weights that never change again.

On a CPU the weights are laid out once for oneDNN: twice as fast as MKL on processors that are not Intel's, and a row's
result then does not depend on how many rows are multiplied with it (but for a single row, which takes another way).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache, partial
from typing import Any
from weakref import finalize

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEAST_ROWS = 4  # one row rounds differently, and up to three take longer: weights are read at two thirds of the speed

Multiply = Callable[[Tensor], Tensor]

_handles = itertools.count()
_by_handle: dict[int, Multiply] = {}  # while their module lives


class FixedLinear(nn.Module):
    """[..., K] -> [..., N], in the dtype of the weights."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None, *, dtype: torch.dtype) -> None:
        super().__init__()
        self.register_buffer("weight", weight.detach().to(dtype).contiguous())
        self.register_buffer("bias", None if bias is None else bias.detach().to(dtype).contiguous())
        self._outputs = len(weight)
        self._handle = -1
        if self.weight.device.type == "cpu" and torch._C._has_mkldnn:
            self._packed = torch.ops.mkldnn._reorder_linear_weight(self.weight, None)
            _packed_operator()
            self._handle = next(_handles)
            self.within_graphs(partial(_pointwise_packed, self._packed, self.bias))
            finalize(self, _by_handle.pop, self._handle, None)
            self.weight = self.weight.new_empty(0)  # one copy is enough

    def forward(self, rows: Tensor) -> Tensor:
        if self._handle < 0:
            return F.linear(rows, self.weight, self.bias)
        if torch.compiler.is_compiling():
            inside: Tensor = torch.ops.kronos.packed_linear(rows, self._handle, self._outputs)
            return inside
        return self.multiply(rows)

    def multiply(self, rows: Tensor) -> Tensor:
        """By oneDNN."""
        return _pointwise_packed(self._packed, self.bias, rows)

    def packed(self) -> tuple[Tensor, Tensor | None, int] | None:
        """Weight in oneDNN's layout, bias, and N; None where it is not packed."""
        return None if self._handle < 0 else (self._packed, self.bias, self._outputs)

    def within_graphs(self, multiply: Multiply) -> None:
        """What a compiled graph calls for this product from now on, in place of oneDNN."""
        _by_handle[self._handle] = multiply


def _pointwise_packed(packed: Tensor, bias: Tensor | None, rows: Tensor) -> Tensor:
    result: Tensor = _pointwise()(rows, packed, bias, "none", [], "")
    return result


@cache
def _pointwise() -> Any:
    return torch.ops.mkldnn._linear_pointwise.default


@cache
def _packed_operator() -> object:
    """oneDNN's layout is opaque to the compiler and would break the graph: to it this is one known operator."""
    make: Any = torch.library.Library  # without types in torch; custom_op has them, and costs more a call
    library = make("kronos", "DEF")
    library.define("packed_linear(Tensor rows, int handle, int outputs) -> Tensor")
    library.impl("packed_linear", _packed_linear, "CPU")
    torch.library.register_fake("kronos::packed_linear", _packed_linear_shape, lib=library)
    return library


def _packed_linear(rows: Tensor, handle: int, outputs: int) -> Tensor:
    return _by_handle[handle](rows)


def _packed_linear_shape(rows: Tensor, handle: int, outputs: int) -> Tensor:
    return rows.new_empty((*rows.shape[:-1], outputs))
