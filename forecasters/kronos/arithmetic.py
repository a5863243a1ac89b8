"""One block with its matrices folded, and how a context, and what is drawn after it, goes through it.

Arithmetic does it by PyTorch's operators; native.py puts our own kernels in its place.

T context, S samples, N new tokens of each, h heads, w width of a head, D width, F hidden width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forecasters.kronos.linear import FixedLinear
from forecasters.kronos.model import Block, normalise, rotate

Rotary = tuple[Tensor, Tensor]  # cosines and sines, [T, w] each


class Arithmetic:
    """By PyTorch's operators. `native` says that caches must suit our own kernels: see native.py."""

    native = False

    def whole(self, block: FoldedBlock, rows: Tensor, rotary: Rotary) -> tuple[Tensor, Tensor, Tensor]:
        """[T, D] from position 0 -> [T, D], and these rows' keys [h, w, T] and values [h, T, w]."""
        queries, keys, values = self.split(block.project(rows, self), rotary)  # [T, h, w], [h, w, T], [h, T, w]
        return block.finish(rows, self.attend_causally(queries, keys, values), self), keys, values

    def follow(
        self, block: FoldedBlock, rows: Tensor, rotary: Rotary, prefix_keys: Tensor, prefix_values: Tensor
    ) -> Tensor:
        """[S, N, D] after a context that the samples share -> [S, N, D]; `rotary` of the context and of these."""
        cosines, sines = (table[prefix_keys.shape[-1] :, None] for table in rotary)  # [N, 1, w]
        queries, keys, values = block.project(rows, self).unbind(-3)  # [S, N, h, w]
        attended = self.attend_shared(
            rotate(queries, cosines, sines), rotate(keys, cosines, sines), values, prefix_keys, prefix_values
        )
        return block.finish(rows, attended, self)

    def normalise(self, rows: Tensor) -> Tensor:
        """[..., D] to a root mean square of 1."""
        return normalise(rows)

    def gate(self, both: Tensor) -> Tensor:
        """[..., 2 F] -> [..., F]"""
        gate, linear = both.chunk(2, dim=-1)  # [..., F]
        return F.silu(gate) * linear

    def split(self, projected: Tensor, rotary: Rotary) -> tuple[Tensor, Tensor, Tensor]:
        """[T, 3, h, w] -> queries [T, h, w] and keys [h, w, T], turned, and values [h, T, w]."""
        queries, keys, values = projected.unbind(1)  # [T, h, w]
        cosines, sines = (table[:, None] for table in rotary)  # [T, 1, w]
        return rotate(queries, cosines, sines), rotate(keys, cosines, sines).permute(1, 2, 0), values.transpose(0, 1)

    def attend_causally(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """What split() gives -> [T, h, w]"""
        ours, theirs = queries.transpose(0, 1)[None], keys.transpose(1, 2)[None]  # [1, h, T, w]
        attended = F.scaled_dot_product_attention(ours, theirs, values[None], is_causal=True, scale=1.0)  # [1, h, T, w]
        return attended[0].transpose(0, 1)

    def attend_shared(
        self, queries: Tensor, keys: Tensor, values: Tensor, prefix_keys: Tensor, prefix_values: Tensor
    ) -> Tensor:
        """Several new tokens a sample at once, after a context that the samples share.

        queries, keys, values  [S, N, h, w], queries scaled; causal among themselves
        prefix_keys            [h, w, T], prefix_values [h, T, w]
        """
        queries, keys, values = (part.permute(2, 0, 1, 3) for part in (queries, keys, values))  # [h, S, N, w]
        heads, samples, count, width = queries.shape
        prefix = (queries.reshape(heads, samples * count, width) @ prefix_keys).view(heads, samples, count, -1)
        later = torch.ones(count, count, dtype=torch.bool, device=queries.device).triu(1)  # [N, N]
        suffix = (queries @ keys.transpose(-1, -2)).masked_fill(later, -torch.inf)  # [h, S, N, N]
        weights = torch.softmax(torch.cat((prefix, suffix), dim=-1), dim=-1)  # [h, S, N, T + N]
        places = prefix.shape[-1]
        on_prefix, on_suffix = weights[..., :places], weights[..., places:]
        prefix_part = on_prefix.reshape(heads, samples * count, -1) @ prefix_values  # [h, S N, w]
        result: Tensor = prefix_part.view(heads, samples, count, width) + on_suffix @ values
        return result.permute(1, 2, 0, 3)


PLAIN = Arithmetic()


class FoldedBlock(nn.Module):
    def __init__(self, block: Block, dtype: torch.dtype) -> None:
        super().__init__()
        attention, feed = block.self_attn, block.ffn
        self.heads = attention.heads
        scale = 1 / math.sqrt(attention.q_proj.out_features // self.heads)
        weight = torch.cat((attention.q_proj.weight * scale, attention.k_proj.weight, attention.v_proj.weight))
        bias = torch.cat((attention.q_proj.bias * scale, attention.k_proj.bias, attention.v_proj.bias))  # [3 D]
        self.inputs = FixedLinear(weight * block.norm1.weight, bias, dtype=dtype)
        self.output = FixedLinear(attention.out_proj.weight, attention.out_proj.bias, dtype=dtype)
        self.gate = FixedLinear(torch.cat((feed.w1.weight, feed.w3.weight)) * block.norm2.weight, None, dtype=dtype)
        self.down = FixedLinear(feed.w2.weight, None, dtype=dtype)
        self.hidden = feed.w2.in_features
        self.dtype = dtype

    def project(self, rows: Tensor, arithmetic: Arithmetic = PLAIN) -> Tensor:
        """[..., D] -> queries (scaled), keys and values, [..., 3, h, w]."""
        projected: Tensor = self.inputs(arithmetic.normalise(rows))  # [..., 3 D]
        return projected.view(*rows.shape[:-1], 3, self.heads, -1)

    def finish(self, rows: Tensor, attended: Tensor, arithmetic: Arithmetic = PLAIN) -> Tensor:
        """[..., D] and [..., h, w] -> [..., D]"""
        rows = rows + self.output(attended.flatten(-2).to(rows.dtype))  # [..., D]
        result: Tensor = rows + self.down(arithmetic.gate(self.gate(arithmetic.normalise(rows))))
        return result
