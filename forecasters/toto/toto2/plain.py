"""The layers of `layers`, rounded as the published packages round: no factor is folded into a weight, nothing is left
out that changes no number, and products are taken one by one, in the same order and of the same shapes.

Slower, not to be compiled. The same names of axes.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from forecasters.toto.config import Toto2Config
from forecasters.toto.parts import Affine, Tensors, fixed, unflattened
from forecasters.toto.toto2.layers import SILU, Known, Tables, turned

_SOFTPLUS = 0.52103  # what the original takes for the deviation of a softplus, and divides by, and multiplies with


class Scaled(nn.Module):
    """A product and a sum, and what comes out times `factor`."""

    def __init__(self, tensors: Tensors, base: str, power: float) -> None:
        super().__init__()
        weight = tensors[f"{base}.weight"]
        self.inner = Affine(weight, tensors.get(f"{base}.bias"))
        self.factor: float = 1.0 / weight.shape[1] ** power

    def forward(self, state: Tensor) -> Tensor:
        product: Tensor = self.inner(state)
        return product * self.factor


class PlainNorm(nn.Module):
    """Root mean square over the last axis set to 1, then times a weight where there is one."""

    weight: Tensor | None

    def __init__(self, weight: Tensor | None, eps: float) -> None:
        super().__init__()
        self.weight = fixed(weight) if weight is not None else None
        self.eps = eps

    def forward(self, state: Tensor) -> Tensor:
        normed = state / (state.pow(2).mean(-1, keepdim=True) + self.eps).sqrt()
        return normed if self.weight is None else normed * self.weight


class PlainPerceptron(nn.Module):
    """See `ResidualPerceptron`."""

    def __init__(self, tensors: Tensors, base: str, *, readout: bool) -> None:
        super().__init__()
        power = 1.0 if readout else 0.5
        self.first = Scaled(tensors, f"{base}.linear1", 0.5)
        self.second = Scaled(tensors, f"{base}.linear2", power)
        self.straight = Scaled(tensors, f"{base}.skip_proj", power)

    def forward(self, state: Tensor) -> Tensor:
        half = 1.0 / 2**0.5
        bent: Tensor = self.second(SILU * F.silu(self.first(state)))
        straight: Tensor = self.straight(state)
        return half * bent + half * straight


class PlainAttention(nn.Module):
    """See `Attention`."""

    stretch: Tensor | None

    def __init__(self, config: Toto2Config, tensors: Tensors, base: str) -> None:
        super().__init__()
        self.config, self.scale = config, 1.0 / config.query_width
        self.both = Scaled(tensors, f"{base}.in_proj", 0.5)
        self.out = Scaled(tensors, f"{base}.out_proj", 0.5)
        self.split = [
            config.heads * config.query_width,
            config.key_heads * config.query_width,
            config.key_heads * config.value_width,
        ]
        self.query_norm = self.key_norm = None
        if config.query_norm:
            self.query_norm = PlainNorm(tensors.get(f"{base}.q_norm.weight"), config.norm_eps)
            self.key_norm = PlainNorm(tensors.get(f"{base}.k_norm.weight"), config.norm_eps)
        learned = tensors[f"{base}._pds.per_dim_scale"] if config.query_scale else None
        softened = None if learned is None else (1.0 / _SOFTPLUS) * F.softplus(learned) / math.log(2)
        self.stretch = None if softened is None else fixed(softened)

    def projected(self, state: Tensor, tables: Tables | None) -> tuple[Tensor, Known]:
        """[G, M, D] -> queries [G, h, M, w], and what can be looked at."""
        config = self.config
        query, key, value = torch.split(self.both(state), self.split, dim=-1)
        query = unflattened(query, -1, (config.heads, config.query_width)).transpose(1, 2)
        key = unflattened(key, -1, (config.key_heads, config.query_width)).transpose(1, 2)
        value = unflattened(value, -1, (config.key_heads, config.value_width)).transpose(1, 2)
        if self.query_norm is not None and self.key_norm is not None:
            query, key = self.query_norm(query), self.key_norm(key)
        if self.stretch is not None:
            query = _SOFTPLUS * (query * self.stretch)
        if tables is not None:
            query, key = turned(query, tables.queries), turned(key, tables.keys)
        return query, Known(key, value)

    def looked(self, query: Tensor, known: Known, mask: Tensor) -> Tensor:
        """[G, K, D]; mask [G, 1, K, M] bool"""
        gqa = self.config.heads != self.config.key_heads
        seen = F.scaled_dot_product_attention(
            query, known.keys, known.values, attn_mask=mask, scale=self.scale, enable_gqa=gqa
        )
        found: Tensor = self.out(seen.transpose(1, 2).flatten(2))
        return found


class PlainLayer(nn.Module):
    """See `Layer`."""

    def __init__(self, config: Toto2Config, tensors: Tensors, base: str) -> None:
        super().__init__()
        self.attention_shares, self.feed_shares = (_shares(tensors[f"{base}.{part}_tau"]) for part in ("attn", "mlp"))
        self.norm1 = PlainNorm(tensors.get(f"{base}.norm1.weight"), config.norm_eps)
        self.norm2 = PlainNorm(tensors.get(f"{base}.norm2.weight"), config.norm_eps)
        self.attention = PlainAttention(config, tensors, f"{base}.attn")
        self.wide = Scaled(tensors, f"{base}.ffn.fc1", 0.5)
        self.narrow = Scaled(tensors, f"{base}.ffn.fc2", 0.5)

    def over_variates(self, state: Tensor, mask: Tensor) -> Tensor:
        query, known = self.attention.projected(self.norm1(state), None)
        return self._completed(state, self.attention.looked(query, known, mask))

    def over_time(self, state: Tensor, mask: Tensor, tables: Tables) -> tuple[Tensor, Known]:
        query, known = self.attention.projected(self.norm1(state), tables)
        return self._completed(state, self.attention.looked(query, known, mask)), known

    def next_in_time(self, state: Tensor, mask: Tensor, tables: Tables, cache: Known, slots: Tensor) -> Tensor:
        """As many of the cache's slots are looked at as have been written, and no more."""
        query, known = self.attention.projected(self.norm1(state), tables)
        cache.keys.index_copy_(2, slots, known.keys)
        cache.values.index_copy_(2, slots, known.values)
        end = int(slots[-1]) + 1
        written = Known(cache.keys[:, :, :end], cache.values[:, :, :end])
        return self._completed(state, self.attention.looked(query, written, mask[..., :end]))

    def _completed(self, state: Tensor, branch: Tensor) -> Tensor:
        state = _together(branch, state, self.attention_shares)
        straight, gated = self.wide(self.norm2(state)).chunk(2, dim=-1)
        return _together(self.narrow(straight * F.silu(gated)), state, self.feed_shares)


def _together(branch: Tensor, skip: Tensor, shares: tuple[float, float]) -> Tensor:
    return shares[0] * branch + shares[1] * skip


def _shares(tau: Tensor) -> tuple[float, float]:
    """What the branch and the skip are multiplied with, worked out in the precision that the weight has."""
    whole = (1 + tau**2) ** 0.5
    return float(tau / whole), float(1 / whole)
