"""Attention and feed-forward of Toto 1.0, over a context at once or one patch at a time.

V variates, S samples, N patches of the context, M patches decoded, D width, h heads, w width of a head.
Toto is Datadog's architecture (Apache License 2.0, see NOTICE).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from forecasters.toto.config import Toto1Config
from forecasters.toto.parts import Affine, Tensors, decay, fixed, frequencies, interleaved, quarter_turned, unflattened

_EPS = 1e-8
_POSITIONS = 512  # xPos scale length, patches


class Tables(NamedTuple):
    """Rotary tables, [..., W] each; keys fade by `key_fading`, its reverse."""

    cosine: Tensor
    sine: Tensor
    fading: Tensor
    key_fading: Tensor


class Prefix(NamedTuple):
    """Keys and values of a layer's context, [V, h, N, w], shared by all samples, and which patches there are [N]."""

    keys: Tensor
    values: Tensor
    valid: Tensor


class Norm(nn.Module):
    """Root mean square over the last axis set to 1, then times a weight.

    Written out as the original computes it: the fused operation rounds otherwise, which a forecast that is fed back
    over several patches makes visible.
    """

    weight: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = fixed(weight)

    def forward(self, state: Tensor) -> Tensor:
        return state / torch.sqrt(torch.mean(state * state, dim=-1, keepdim=True) + _EPS) * self.weight


class Positions(nn.Module):
    """The tables. As in the original, angles repeat in pairs but the decay in halves: the weights were trained so."""

    theta: Tensor
    decay: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("theta", frequencies(width))
        self.register_buffer("decay", decay(width))

    def forward(self, positions: Tensor, newest: Tensor) -> Tables:
        """[M] -> [M, W]. The decay's centre is half of the newest position of this call, not of the whole sequence."""
        angles = interleaved(positions.float()[:, None] * self.theta)  # [M, W]
        power = (positions - newest // 2).float() / _POSITIONS  # [M]
        fading = (self.decay ** power[:, None]).repeat(1, 2)  # [M, W]
        return Tables(angles.cos(), angles.sin(), fading, fading.reciprocal())


class Layer(nn.Module):
    """Attention, over time or over variates, then a gated feed-forward, each added to its input."""

    def __init__(self, config: Toto1Config, tensors: Tensors, base: str) -> None:
        super().__init__()
        self.heads, self.width = config.heads, config.head_width
        self.norm1 = Norm(tensors[f"{base}.norm1.scale"])
        self.norm2 = Norm(tensors[f"{base}.norm2.scale"])
        inner = (3, config.head_width, config.heads)  # the published order; ours has the heads before their width
        weight = unflattened(tensors[f"{base}.attention.wQKV.weight"], 0, inner).transpose(1, 2).flatten(0, 2)
        bias = unflattened(tensors[f"{base}.attention.wQKV.bias"], 0, inner).transpose(1, 2).flatten()
        self.projection = Affine(weight, bias)
        self.out = Affine(tensors[f"{base}.attention.wO.weight"], tensors[f"{base}.attention.wO.bias"])
        self.wide = Affine(tensors[f"{base}.mlp.0.weight"], tensors[f"{base}.mlp.0.bias"])
        self.narrow = Affine(tensors[f"{base}.mlp.2.weight"], tensors[f"{base}.mlp.2.bias"])

    def over_time(self, state: Tensor, tables: Tables) -> tuple[Tensor, Tensor, Tensor]:
        """[V, N, D] -> the same, and the keys and values [V, h, N, w]. Each patch sees those before it."""
        query, key, value = (part.transpose(1, 2) for part in self._projected(state))  # [V, h, N, w]
        query, key = _turned(query, tables, tables.fading), _turned(key, tables, tables.key_fading)
        attended = F.scaled_dot_product_attention(query, key, value, is_causal=True)  # [V, h, N, w]
        return self._completed(state, attended.transpose(1, 2).flatten(2)), key, value

    def over_variates(self, state: Tensor, groups: Tensor) -> Tensor:
        """[N, V, D] -> the same. groups [V, V] bool: who sees whom."""
        state = state.contiguous()  # or the sum below, and the products after it, are of another layout and rounding
        query, key, value = (part.transpose(1, 2) for part in self._projected(state))  # [N, h, V, w]
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=groups)  # [N, h, V, w]
        return self._completed(state, attended.transpose(1, 2).flatten(2))

    def next_in_time(
        self, state: Tensor, tables: Tables, prefix: Prefix, keys: Tensor, values: Tensor, step: Tensor
    ) -> Tensor:
        """[S, V, D] -> the same: one more patch, whose keys and values are written to `step` [1] of the caches.

        keys, values  [S, V, h, M, w], those of the patches decoded before filled in; the context's stay apart, since
        all samples share them
        """
        query, key, value = self._projected(state)  # [S, V, h, w]
        query = _turned(query, tables, tables.fading) * self.width**-0.5  # [S, V, h, w]
        keys = _with(keys, _turned(key, tables, tables.key_fading), step)  # [S, V, h, M, w]
        values = _with(values, value, step)  # [S, V, h, M, w]
        queries = query.permute(1, 2, 0, 3)  # [V, h, S, w]
        of_context = (queries @ prefix.keys.transpose(2, 3)).masked_fill(~prefix.valid, -torch.inf)  # [V, h, S, N]
        is_written = torch.arange(keys.shape[3], device=step.device) <= step
        of_own = (keys @ query[..., None])[..., 0].masked_fill(~is_written, -torch.inf)  # [S, V, h, M]
        odds = torch.cat((of_context.permute(2, 0, 1, 3), of_own), dim=-1).softmax(-1)  # [S, V, h, N + M]
        to_context, to_own = torch.split(odds, [prefix.valid.shape[0], keys.shape[3]], dim=-1)
        attention = (to_context.permute(1, 2, 0, 3) @ prefix.values).permute(2, 0, 1, 3)  # [S, V, h, w]
        attention = attention + (to_own[..., None, :] @ values)[..., 0, :]  # [S, V, h, w]
        return self._completed(state, attention.flatten(2))

    def _projected(self, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[A, B, D] -> queries, keys and values [A, B, h, w]."""
        flat: Tensor = self.projection(self.norm1(state))  # [A, B, 3 D]
        query, key, value = unflattened(flat, -1, (3, self.heads, self.width)).unbind(2)
        return query, key, value

    def _completed(self, state: Tensor, attention: Tensor) -> Tensor:
        state = state + self.out(attention)
        gate, straight = self.wide(self.norm2(state)).chunk(2, dim=-1)
        result: Tensor = state + self.narrow(F.silu(gate) * straight)
        return result


def _with(cache: Tensor, state: Tensor, step: Tensor) -> Tensor:
    """[S, V, h, M, w] with `state` [S, V, h, w] written to `step` [1]; uncompiled, as far as it was written."""
    if torch.compiler.is_compiling() or cache.is_cuda:
        cache.index_copy_(3, step, state[:, :, :, None])
        return cache
    place = int(step)
    cache[:, :, :, place] = state
    return cache[:, :, :, : place + 1]


def _turned(state: Tensor, tables: Tables, fading: Tensor) -> Tensor:
    """In the original's order of products: a rounding here comes back with every patch."""
    return state * tables.cosine * fading + quarter_turned(state) * tables.sine * fading
