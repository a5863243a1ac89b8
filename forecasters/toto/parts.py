"""Small pieces that both generations are made of. D width, N patches, W rotated width of a head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from forecasters.kronos.linear import FixedLinear

Tensors = Mapping[str, Tensor]
Settling = TypeVar("Settling", bound=nn.Module)


class Affine(nn.Module):
    """A product and a sum, both times `factor`: fixed factors of the forward pass are paid once, when it is made.

    In float32 until it is settled; then in the dtype that is given there, with float32 in and out.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None, factor: float = 1.0) -> None:
        super().__init__()
        self.weight = fixed(scaled(weight, factor))
        self.bias = fixed(scaled(bias, factor)) if bias is not None else None
        self.settled: FixedLinear | None = None
        self.lower = False

    def settle(self, dtype: torch.dtype) -> None:
        """In the layout that is multiplied fastest where it now is; not to be moved any more."""
        self.settled = FixedLinear(
            self.weight.float(), self.bias.float() if self.bias is not None else None, dtype=dtype
        )
        self.lower = dtype != torch.float32
        self.weight, self.bias = fixed(self.weight.new_empty(0)), None  # one copy is enough

    def forward(self, state: Tensor) -> Tensor:
        if self.settled is None:
            return F.linear(state, self.weight, self.bias)
        if self.lower:
            lower: Tensor = self.settled(state.to(torch.bfloat16))
            return lower.float()
        result: Tensor = self.settled(state)
        return result


def settle_products(network: Settling, dtype: torch.dtype) -> Settling:
    """Every product of the network settled."""
    for module in network.modules():
        if isinstance(module, Affine):
            module.settle(dtype)
    return network


class Norm(nn.Module):
    """Root mean square over the last axis set to 1, then times a weight where there is one."""

    weight: Tensor | None

    def __init__(self, width: int, weight: Tensor | None, eps: float) -> None:
        super().__init__()
        self.shape = [width]
        self.weight = fixed(weight) if weight is not None else None
        self.eps = eps

    def forward(self, state: Tensor) -> Tensor:
        return F.rms_norm(state, self.shape, self.weight, self.eps)


def fixed(tensor: Tensor) -> nn.Parameter:
    """A weight that is never trained. Owned by its module, so that compiled graphs hold it in place."""
    return nn.Parameter(tensor.detach().clone().contiguous(), requires_grad=False)


def scaled(tensor: Tensor, factor: float) -> Tensor:
    """Rounded once, whatever the factor is made of."""
    return tensor if factor == 1.0 else (tensor.double() * factor).to(tensor.dtype)


def frequencies(width: int) -> Tensor:
    """[W / 2] radians a position."""
    return 1.0 / 10_000 ** (torch.arange(0, width, 2, dtype=torch.float32, device="cpu") / width)


def decay(width: int) -> Tensor:
    """[W / 2] xPos: how much of a dimension is left after one scale length (Sun et al., 2022)."""
    return (torch.arange(0, width, 2, dtype=torch.float32, device="cpu") + 0.4 * width) / (1.4 * width)


def interleaved(table: Tensor) -> Tensor:
    """[..., W / 2] -> [..., W], each twice in a row."""
    return table.repeat_interleave(2, dim=-1)


def quarter_turned(state: Tensor) -> Tensor:
    """Neighbouring pairs of the last axis, turned by a right angle."""
    pairs = unflattened(state, -1, (-1, 2))  # [..., W / 2, 2]
    return torch.stack((-pairs[..., 1], pairs[..., 0]), dim=-1).flatten(-2)


def unflattened(tensor: Tensor, axis: int, sizes: tuple[int, ...]) -> Tensor:
    """One axis made into several."""
    return torch.unflatten(tensor, axis, sizes)


def continued_sums(start: Tensor, more: Tensor) -> Tensor:
    """[..., P] running sums from `start` [...], added up one by one as in a single run over all steps."""
    return torch.cat((start[..., None], more), dim=-1).cumsum(-1)[..., 1:]
