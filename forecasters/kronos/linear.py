"""y = x W' + b for weights that never change again.

On a CPU the weights are laid out once: for oneDNN, twice as fast as MKL on processors that are not Intel's, and a row's
result then does not depend on how many rows are multiplied with it (but for a single row, which takes another way); or
for our own kernels, see panels.py. Each layout is made when it is first multiplied by.

K depth, N outputs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache
from typing import Any, Protocol
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
        weight = weight.detach().to(dtype).contiguous()
        self.register_buffer("bias", None if bias is None else bias.detach().to(dtype).contiguous())
        self.outputs, self.depth = weight.shape
        self.layouts: Layouts | None = None
        self._handle = -1
        if weight.device.type == "cpu" and torch._C._has_mkldnn:
            self.layouts = Layouts(weight, self.bias)
            _packed_operator()
            self._handle = next(_handles)
            self.within_graphs(self.layouts.multiply)
            finalize(self, _by_handle.pop, self._handle, None)
            weight = weight.new_empty(0)  # the layouts have it
        self.register_buffer("weight", weight)

    def forward(self, rows: Tensor) -> Tensor:
        if self._handle < 0:
            return F.linear(rows, self.weight, self.bias)
        if torch.compiler.is_compiling():
            inside: Tensor = torch.ops.kronos.packed_linear(rows, self._handle, self.outputs)
            return inside
        assert self.layouts is not None
        return self.layouts.multiply(rows)

    def within_graphs(self, multiply: Multiply) -> None:
        """What a compiled graph calls for this product from now on, in place of oneDNN."""
        _by_handle[self._handle] = multiply


class Packed(Protocol):
    """A layout of others than oneDNN."""

    def plain(self) -> Tensor: ...


class Layouts:
    """A weight on a CPU in the layouts that it is multiplied in. There is one copy, unless it is multiplied in both."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        """weight [N, K], bias [N]"""
        self.dtype, self.bias = weight.dtype, bias
        self._plain: Tensor | None = weight  # until there is another
        self._onednn: Tensor | None = None
        self.own: Packed | None = None

    def multiply(self, rows: Tensor) -> Tensor:
        """By oneDNN; by PyTorch where oneDNN does not take the dtype on this processor."""
        if not _onednn_takes(self.dtype):
            self._plain = self.plain()
            return F.linear(rows, self._plain, self.bias)
        if self._onednn is None:
            self._onednn = torch.ops.mkldnn._reorder_linear_weight(self.plain(), None)
            self._plain = None
        result: Tensor = _pointwise()(rows, self._onednn, self.bias, "none", [], "")
        return result

    def plain(self) -> Tensor:
        """[N, K], as it was given."""
        if self._plain is not None:
            return self._plain
        if self._onednn is not None:
            return self._onednn.to_dense()
        assert self.own is not None
        return self.own.plain()

    def keep(self, own: Packed) -> None:
        """Another layout: the plain one is let go."""
        self.own, self._plain = own, None


@cache
def _onednn_takes(dtype: torch.dtype) -> bool:
    """bfloat16 takes AVX-512 or newer: asked of oneDNN itself, which may be held to less than the processor has."""
    try:
        torch.ops.mkldnn._reorder_linear_weight(torch.zeros(1, 1, dtype=dtype, device="cpu"), None)
    except RuntimeError:
        return False
    return True


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
