"""How a context, and what is drawn after it, is computed from the matrices of folded.py: by PyTorch's operators.

T context, S samples, N new tokens of each, H heads, W width of a head, D width, F hidden width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from forecasters.kronos.linear import LEAST_ROWS
from forecasters.kronos.model import normalise, rotate

if TYPE_CHECKING:
    from forecasters.kronos.folded import FoldedBlock, FoldedNetwork, NetworkCache

Rotary = tuple[Tensor, Tensor]  # cosines and sines, [T, W] each


class Arithmetic:
    """`native` says that caches must suit our own kernels: see native.py."""

    native = False

    def least_rows(self, network: FoldedNetwork) -> int:
        """Fewer than these are filled up: so that a row's result does not depend on how many there are."""
        return LEAST_ROWS

    def plan(self, network: FoldedNetwork, cache: NetworkCache) -> Tensor | None:
        """Where a step is one kernel, all that it needs to know; None where folded.py says how it goes."""
        return None

    def whole(self, block: FoldedBlock, rows: Tensor, rotary: Rotary) -> tuple[Tensor, Tensor, Tensor]:
        """[T, D] from position 0 -> [T, D], and these rows' keys [H, W, T] and values [H, T, W]."""
        queries, keys, values = self.split(block.project(rows, self), rotary)
        return block.finish(rows, self.attend_causally(queries, keys, values), self), keys, values

    def follow(
        self, block: FoldedBlock, rows: Tensor, rotary: Rotary, prefix_keys: Tensor, prefix_values: Tensor
    ) -> Tensor:
        """[S, N, D] after a context that the samples share -> [S, N, D]; `rotary` of the context and of these."""
        cosines, sines = (table[prefix_keys.shape[-1] :, None] for table in rotary)  # [N, 1, W]
        queries, keys, values = block.project(rows, self).unbind(-3)  # [S, N, H, W]
        attended = self.attend_shared(
            rotate(queries, cosines, sines), rotate(keys, cosines, sines), values, prefix_keys, prefix_values
        )
        return block.finish(rows, attended, self)

    def normalise(self, rows: Tensor) -> Tensor:
        """[..., D] to a root mean square of 1."""
        return normalise(rows)

    def gate(self, both: Tensor) -> Tensor:
        """[..., 2 F] -> [..., F]"""
        opened, linear = both.chunk(2, dim=-1)
        return F.silu(opened) * linear

    def split(self, projected: Tensor, rotary: Rotary) -> tuple[Tensor, Tensor, Tensor]:
        """[T, 3, H, W] -> queries [T, H, W] and keys [H, W, T], turned, and values [H, T, W]."""
        queries, keys, values = projected.unbind(1)
        cosines, sines = (table[:, None] for table in rotary)
        return rotate(queries, cosines, sines), rotate(keys, cosines, sines).permute(1, 2, 0), values.transpose(0, 1)

    def attend_causally(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """What split() gives -> [T, H, W]"""
        ours, theirs = queries.transpose(0, 1)[None], keys.transpose(1, 2)[None]
        attended = F.scaled_dot_product_attention(ours, theirs, values[None], is_causal=True, scale=1.0)
        return attended[0].transpose(0, 1)

    def attend_shared(
        self, queries: Tensor, keys: Tensor, values: Tensor, prefix_keys: Tensor, prefix_values: Tensor
    ) -> Tensor:
        """Several new tokens a sample at once, after a context that the samples share.

        queries, keys, values  [S, N, H, W], queries scaled; causal among themselves
        prefix_keys            [H, W, T], prefix_values [H, T, W]
        """
        queries, keys, values = (part.permute(2, 0, 1, 3) for part in (queries, keys, values))  # [H, S, N, W]
        heads, samples, count, width = queries.shape
        prefix = (queries.reshape(heads, samples * count, width) @ prefix_keys).view(heads, samples, count, -1)
        later = torch.ones(count, count, dtype=torch.bool, device=queries.device).triu(1)
        suffix = (queries @ keys.transpose(-1, -2)).masked_fill(later, -torch.inf)
        weights = torch.softmax(torch.cat((prefix, suffix), dim=-1), dim=-1)
        places = prefix.shape[-1]
        on_prefix, on_suffix = weights[..., :places], weights[..., places:]
        shared = on_prefix.reshape(heads, samples * count, -1) @ prefix_values
        attended: Tensor = shared.view(heads, samples, count, width) + on_suffix @ values
        return attended.permute(1, 2, 0, 3)


PLAIN = Arithmetic()
