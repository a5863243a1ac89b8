"""Keys and values that are kept: of the context once a series, of what is drawn once a sample.

All memory is taken when a cache is made, and written in place; what is not written yet is masked. A step has one
shape throughout, and its position is a tensor, so that it can be compiled once.

B series, R rows (samples) each, h heads, w width of a head, P places for the context, N for drawn tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheShape:
    series: int
    rows: int
    context: int
    drawn: int


class LayerCache:
    """One attention layer's. The context's keys lie transposed, as they are multiplied fastest."""

    def __init__(
        self,
        shape: CacheShape,
        heads: int,
        width: int,
        *,
        dtype: torch.dtype,
        device: torch.device,
        native: bool = False,
    ) -> None:
        """`native`, which takes float32 on a CPU, attends by our own kernel."""
        prefix = (shape.series, heads, shape.context, width)
        suffix = (shape.series, heads, shape.rows, shape.drawn, width)
        self.native = native
        self.prefix_keys = torch.zeros((*prefix[:2], width, shape.context), dtype=dtype, device=device)  # [B, h, w, P]
        self.prefix_values = torch.zeros(prefix, dtype=dtype, device=device)  # [B, h, P, w]
        self.suffix_keys = torch.zeros(suffix, dtype=dtype, device=device)  # [B, h, R, N, w]
        self.suffix_values = torch.zeros(suffix, dtype=dtype, device=device)  # [B, h, R, N, w]

    def tensors(self) -> tuple[Tensor, ...]:
        return self.prefix_keys, self.prefix_values, self.suffix_keys, self.suffix_values

    def fill(self, series: int, keys: Tensor, values: Tensor) -> None:
        """[h, w, T] and [h, T, w] of one series' context; the places behind it stay masked."""
        count = values.shape[1]
        self.prefix_keys[series, :, :, :count] = keys
        self.prefix_values[series, :, :count] = values

    def append(self, slot: Tensor, keys: Tensor, values: Tensor) -> None:
        """[B, R, h, w] of the token drawn at `slot` [1]."""
        dtype = self.suffix_keys.dtype
        self.suffix_keys.index_copy_(3, slot, keys.to(dtype).transpose(1, 2).unsqueeze(3))
        self.suffix_values.index_copy_(3, slot, values.to(dtype).transpose(1, 2).unsqueeze(3))

    def attend(self, queries: Tensor, reach: Reach) -> Tensor:
        """[B, R, h, w] scaled queries, one token a row -> [B, R, h, w]"""
        if self.native:
            wide = queries.float().contiguous()
            result: Tensor = torch.ops.kronos_native.attend(
                wide,
                self.prefix_keys,
                self.prefix_values,
                reach.lengths,
                self.suffix_keys,
                self.suffix_values,
                reach.slot,
            )
            return result.to(queries.dtype)
        queries = queries.transpose(1, 2)  # [B, h, R, w]
        prefix = queries @ self.prefix_keys + reach.prefix  # [B, h, R, P]: all samples at once
        suffix = (self.suffix_keys @ queries.unsqueeze(-1)).squeeze(-1) + reach.suffix  # [B, h, R, N]
        weights = torch.softmax(torch.cat((prefix, suffix), dim=-1).float(), dim=-1).to(queries.dtype)
        places = prefix.shape[-1]
        on_prefix, on_suffix = weights[..., :places], weights[..., places:]
        on_drawn = (on_suffix.unsqueeze(-2) @ self.suffix_values).squeeze(-2)  # [B, h, R, w]
        attended: Tensor = on_prefix @ self.prefix_values + on_drawn  # [B, h, R, w]
        return attended.transpose(1, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What may be attended to. A mask is 0 there, and minus infinity elsewhere.

    lengths  [B] of the contexts
    slot     [1], the last that was written, -1 for none
    prefix   [B, 1, 1, P] mask
    suffix   [N] mask
    """

    lengths: Tensor
    slot: Tensor
    prefix: Tensor
    suffix: Tensor


def prefix_mask(lengths: Tensor, places: int, dtype: torch.dtype) -> Tensor:
    """[B] context lengths -> [B, 1, 1, P]"""
    outside = torch.arange(places, device=lengths.device) >= lengths[:, None]  # [B, P]
    return _forbidden(outside, dtype)[:, None, None]


def suffix_mask(slot: Tensor, places: int, dtype: torch.dtype) -> Tensor:
    """[1], the last slot that was written, -1 for none -> [N]"""
    return _forbidden(torch.arange(places, device=slot.device) > slot, dtype)


def _forbidden(outside: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.zeros(outside.shape, dtype=dtype, device=outside.device).masked_fill(outside, -torch.inf)
