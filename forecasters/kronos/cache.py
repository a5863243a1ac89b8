"""Keys and values that are kept: of the context once a series, of what is drawn once a sample.

All memory is taken when a cache is made, and written in place; what is not written yet is masked. A step has one
shape throughout, and its position is a tensor, so that it can be compiled once.

B series, R rows (samples) each, H heads, W width of a head, P places for the context, N for drawn tokens.
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
    """One attention layer's."""

    def __init__(self, shape: CacheShape, heads: int, width: int, *, dtype: torch.dtype, device: torch.device) -> None:
        prefix = (shape.series, heads, shape.context, width)
        suffix = (shape.series, heads, shape.rows, shape.drawn, width)
        self.prefix_keys = torch.zeros(prefix, dtype=dtype, device=device)
        self.prefix_values = torch.zeros(prefix, dtype=dtype, device=device)
        self.suffix_keys = torch.zeros(suffix, dtype=dtype, device=device)
        self.suffix_values = torch.zeros(suffix, dtype=dtype, device=device)

    def tensors(self) -> tuple[Tensor, ...]:
        return self.prefix_keys, self.prefix_values, self.suffix_keys, self.suffix_values

    def fill(self, series: int, keys: Tensor, values: Tensor) -> None:
        """[H, T, W] of one series' context; the places behind it stay masked."""
        count = keys.shape[1]
        self.prefix_keys[series, :, :count] = keys
        self.prefix_values[series, :, :count] = values

    def append(self, slot: Tensor, keys: Tensor, values: Tensor) -> None:
        """[B, H, R, W] of the token drawn at `slot` [1]."""
        self.suffix_keys.index_copy_(3, slot, keys.unsqueeze(3))
        self.suffix_values.index_copy_(3, slot, values.unsqueeze(3))

    def attend(self, queries: Tensor, masks: Masks) -> Tensor:
        """[B, H, R, W] scaled queries, one token a row -> [B, H, R, W]"""
        prefix = queries @ self.prefix_keys.transpose(-1, -2) + masks.prefix  # [B, H, R, P]: all samples at once
        suffix = (self.suffix_keys @ queries.unsqueeze(-1)).squeeze(-1) + masks.suffix  # [B, H, R, N]
        weights = torch.softmax(torch.cat((prefix, suffix), dim=-1).float(), dim=-1).to(queries.dtype)
        places = prefix.shape[-1]
        on_prefix, on_suffix = weights[..., :places], weights[..., places:]
        drawn = (on_suffix.unsqueeze(-2) @ self.suffix_values).squeeze(-2)
        attended: Tensor = on_prefix @ self.prefix_values + drawn
        return attended


@dataclass(frozen=True, slots=True, kw_only=True)
class Masks:
    """What may be attended to: 0, and minus infinity elsewhere.

    prefix  [B, 1, 1, P]
    suffix  [N]
    """

    prefix: Tensor
    suffix: Tensor


def prefix_mask(lengths: Tensor, places: int, dtype: torch.dtype) -> Tensor:
    """[B] context lengths -> [B, 1, 1, P]"""
    outside = torch.arange(places, device=lengths.device) >= lengths[:, None]
    return _forbidden(outside, dtype)[:, None, None]


def suffix_mask(slot: Tensor, places: int, dtype: torch.dtype) -> Tensor:
    """[1], the last slot that was written, -1 for none -> [N]"""
    return _forbidden(torch.arange(places, device=slot.device) > slot, dtype)


def _forbidden(outside: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.zeros(outside.shape, dtype=dtype, device=outside.device).masked_fill(outside, -torch.inf)


def shared_attention(
    queries: Tensor, keys: Tensor, values: Tensor, prefix_keys: Tensor, prefix_values: Tensor
) -> Tensor:
    """Several new tokens a sample at once, after a context that the samples share.

    queries, keys, values  [H, S, N, W], queries scaled; causal among themselves
    prefix_keys, ..values  [H, T, W]
    """
    heads, samples, count, width = queries.shape
    flat = queries.reshape(heads, samples * count, width)
    prefix = (flat @ prefix_keys.transpose(-1, -2)).view(heads, samples, count, -1)
    later = torch.ones(count, count, dtype=torch.bool, device=queries.device).triu(1)
    suffix = (queries @ keys.transpose(-1, -2)).masked_fill(later, -torch.inf)
    weights = torch.softmax(torch.cat((prefix, suffix), dim=-1), dim=-1)
    places = prefix.shape[-1]
    on_prefix, on_suffix = weights[..., :places], weights[..., places:]
    shared = on_prefix.reshape(heads, samples * count, -1) @ prefix_values
    attended: Tensor = shared.view(heads, samples, count, width) + on_suffix @ values
    return attended
