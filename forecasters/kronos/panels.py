"""Weights as our own kernels read them: in panels, which kernels/panels.cpp describes, packed once.

N outputs, K depth.
"""

from __future__ import annotations

import torch
from torch import Tensor

from forecasters.kronos.build import kernel
from forecasters.kronos.linear import FixedLinear


def suits(outputs: int, depth: int, dtype: torch.dtype) -> bool:
    """Whether our kernels take a weight of these sizes."""
    return bool(kernel("suits", dtype)(outputs, depth))


class Panels:
    """A weight that suits(), and a bias. What addresses() says holds for as long as this lives."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        """weight [N, K], bias [N], of one dtype, both contiguous"""
        self._outputs, self._depth = weight.shape
        self._bias = bias
        self._packed = torch.empty(weight.numel(), dtype=weight.dtype, device="cpu")
        kernel("pack", weight.dtype)(self._packed.data_ptr(), weight.data_ptr(), self._outputs, self._depth)

    def plain(self) -> Tensor:
        """[N, K], as it was packed."""
        weight = self._packed.new_empty(self._outputs, self._depth)
        kernel("unpack", weight.dtype)(weight.data_ptr(), self._packed.data_ptr(), self._outputs, self._depth)
        return weight

    def addresses(self) -> list[int]:
        """Of weight and bias, 0 for none."""
        return [self._packed.data_ptr(), 0 if self._bias is None else self._bias.data_ptr()]

    def place(self) -> tuple[int, int]:
        """Address and size in bytes of what a product reads from end to end."""
        return self._packed.data_ptr(), self._packed.numel() * self._packed.element_size()

    def multiply(self, rows: Tensor) -> Tensor:
        """[..., K] -> [..., N]"""
        rows = rows.contiguous()
        out = rows.new_empty((*rows.shape[:-1], self._outputs))
        sizes = (rows.numel() // self._depth, self._depth, self._outputs, torch.get_num_threads())
        kernel("apply", rows.dtype)(out.data_ptr(), rows.data_ptr(), *self.addresses(), *sizes)
        return out


def panels_of(linear: FixedLinear) -> Panels | None:
    """Made when they are first asked for; None where the weight does not suit our kernels."""
    layouts = linear.layouts
    if layouts is None or not suits(linear.outputs, linear.depth, layouts.dtype):
        return None
    if not isinstance(layouts.own, Panels):
        layouts.keep(made := Panels(layouts.plain(), layouts.bias))
        return made
    return layouts.own
