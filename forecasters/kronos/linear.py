"""y = x W' + b for weights that never change again.

On a CPU the weights are laid out once for oneDNN: twice as fast as MKL on processors that are not Intel's, and a row's
result then does not depend on how many rows are multiplied with it (but for a single row, which takes another way).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEAST_ROWS = 2  # a single row is multiplied by another routine, which rounds differently


class FixedLinear(nn.Module):
    """[..., K] -> [..., N], in the dtype of the weights."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None, *, dtype: torch.dtype) -> None:
        super().__init__()
        self.register_buffer("weight", weight.detach().to(dtype).contiguous())
        self.register_buffer("bias", None if bias is None else bias.detach().to(dtype).contiguous())
        self._packed: Any = _packed(self.weight) if _can_pack(self.weight) else None
        if self._packed is not None:
            self.weight = self.weight.new_empty(0)  # one copy is enough

    def forward(self, rows: Tensor) -> Tensor:
        if self._packed is None:
            return F.linear(rows, self.weight, self.bias)
        result: Tensor = torch.ops.mkldnn._linear_pointwise(rows, self._packed, self.bias, "none", [], "")
        return result


def _can_pack(weight: Tensor) -> bool:
    return weight.device.type == "cpu" and torch._C._has_mkldnn


def _packed(weight: Tensor) -> Any:
    """oneDNN's own layout: opaque, so neither saved nor moved."""
    return torch.ops.mkldnn._reorder_linear_weight(weight, None)
