"""Attention, feed-forward and residual pieces of Toto 2.0, unit-scaled (u-muP), with every fixed factor in the weights.

A product is divided by the square root of its inputs' number, a read-out by the number itself; a residual of weight
tau is (tau x branch + skip) / sqrt(1 + tau^2). G rows attended over apart, M tokens of a row, D width, h heads,
w width of a head. Toto is Datadog's architecture (Apache License 2.0, see NOTICE).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from forecasters.toto.config import Toto2Config
from forecasters.toto.parts import Affine, Norm, Tensors, decay, frequencies, interleaved, quarter_turned, unflattened

SILU = math.exp(0.8 * 0.5 * math.log(2 / (1 - 1 / math.pi)) + 0.2 * math.log(2))  # keeps unit variance
_POSITIONS = 256  # xPos scale length, patches
_LINE = 16  # float32 of a cache line
_EVEN = 32  # the feed-forward is made a multiple of this wide, as our own products take it


class Turns(NamedTuple):
    """Rotary tables, [M, W] each: how far a token is turned, and how much it fades by its distance."""

    cosine: Tensor
    sine: Tensor
    fading: Tensor

    def of(self, kept: Tensor) -> Turns:
        """[K, W] those of the tokens `kept` [K]."""
        return Turns(*(part.index_select(0, kept) for part in self))


class Tables(NamedTuple):
    """Keys fade by the reverse of what queries do."""

    queries: Turns
    keys: Turns


class KeysValues(NamedTuple):
    """Keys [G, h, M, w] and values [G, h, M, w] of tokens that are looked at."""

    keys: Tensor
    values: Tensor


class ResidualPerceptron(nn.Module):
    """Two layers beside a straight one, half of the variance each: a patch to a token, or a token to quantiles."""

    def __init__(self, tensors: Tensors, base: str, *, readout: bool) -> None:
        super().__init__()

        def affine(name: str, power: float, inner: float = 1.0, outer: float = 1.0) -> Affine:
            weight, bias = tensors[f"{base}.{name}.weight"], tensors[f"{base}.{name}.bias"]
            return Affine(weight.double() * inner, bias.double(), outer * weight.shape[1] ** -power).float()

        power, half = (1.0 if readout else 0.5), math.sqrt(0.5)
        self.first = affine("linear1", 0.5)
        self.second = affine("linear2", power, inner=SILU, outer=half)
        self.straight = affine("skip_proj", power, outer=half)

    def forward(self, state: Tensor) -> Tensor:
        straight: Tensor = self.straight(state)  # [..., D or P x Q]
        bent: Tensor = self.second(F.silu(self.first(state)))
        return straight + bent


class Attention(nn.Module):
    """Multi-head attention along the middle axis of [G, M, D]."""

    def __init__(self, config: Toto2Config, tensors: Tensors, base: str, outer: float) -> None:
        super().__init__()
        self.heads, self.key_heads = config.heads, config.key_heads
        self.query_width, self.value_width = config.query_width, config.value_width
        self.scale = 1.0 / config.query_width  # not its root: u-muP
        factor = config.width**-0.5
        queries, keys = config.heads * config.query_width, config.key_heads * config.query_width
        weight, bias = tensors[f"{base}.in_proj.weight"], tensors.get(f"{base}.in_proj.bias")
        stretch = _query_scale(config, tensors, base)  # [w]
        self.query_norm = self.key_norm = None
        if config.query_norm:
            learned = stretch * _norm_weight(tensors, f"{base}.q_norm", config.query_width)
            self.query_norm = Norm(config.query_width, learned.float(), config.norm_eps)
            self.key_norm = Norm(config.query_width, tensors.get(f"{base}.k_norm.weight"), config.norm_eps)
            stretch = torch.ones_like(stretch)
        rows = torch.cat([stretch.repeat(config.heads), stretch.new_ones(len(weight) - queries)])
        weight = (weight.double() * rows[:, None] * factor).float()
        bias = (bias.double() * rows * factor).float() if bias is not None else None
        self.queries = Affine(weight[:queries], bias[:queries] if bias is not None else None)
        self.others = Affine(weight[queries:], bias[queries:] if bias is not None else None)
        self.split = [keys, config.key_heads * config.value_width]
        inner = config.heads * config.value_width
        out, out_bias = tensors[f"{base}.out_proj.weight"], tensors.get(f"{base}.out_proj.bias")
        self.out = Affine(out, out_bias, outer * inner**-0.5)

    def forward(self, asking: Tensor, known: KeysValues, mask: Tensor, tables: Turns | None) -> Tensor:
        """
        asking   [G, K, D] what looks
        known    keys and values of the M tokens that are looked at
        mask     [G, 1, K, M] bool
        tables   of K tokens, or None without positions
        returns  [G, K, D]
        """
        query: Tensor = unflattened(self.queries(asking), -1, (self.heads, self.query_width)).transpose(1, 2)
        if self.query_norm is not None:
            query = self.query_norm(query)
        if tables is not None:
            query = turned(query, tables)
        count = query.shape[2]
        if query.device.type == "cpu" and not torch.compiler.is_compiling():  # which rounds in its own way
            query, mask = _in_whole_lines(query, 0.0), _in_whole_lines(mask, True)
        attention = F.scaled_dot_product_attention(
            query, known.keys, known.values, attn_mask=mask, scale=self.scale, enable_gqa=self.heads != self.key_heads
        )[:, :, :count]
        result: Tensor = self.out(attention.transpose(1, 2).flatten(2))
        return result

    def known(self, state: Tensor, tables: Turns | None) -> KeysValues:
        """[G, M, D] -> what can be looked at; `tables` of M tokens, or None without positions."""
        key, value = torch.split(self.others(state), self.split, dim=-1)
        key = unflattened(key, -1, (self.key_heads, self.query_width)).transpose(1, 2)  # [G, h, M, w]
        value = unflattened(value, -1, (self.key_heads, self.value_width)).transpose(1, 2)  # [G, h, M, w]
        if self.key_norm is not None:
            key = self.key_norm(key)
        return KeysValues(turned(key, tables) if tables is not None else key, value)


class Layer(nn.Module):
    """Attention, then a gated feed-forward, each beside its skip."""

    def __init__(self, config: Toto2Config, tensors: Tensors, base: str) -> None:
        super().__init__()
        attention, self.keep_attention = _residual_shares(tensors[f"{base}.attn_tau"])
        feed, self.keep_feed = _residual_shares(tensors[f"{base}.mlp_tau"])
        self.norm1 = Norm(config.width, tensors.get(f"{base}.norm1.weight"), config.norm_eps)
        self.norm2 = Norm(config.width, tensors.get(f"{base}.norm2.weight"), config.norm_eps)
        self.attention = Attention(config, tensors, f"{base}.attn", attention)
        first, second = f"{base}.ffn.fc1", f"{base}.ffn.fc2"
        more = -config.mlp_width % _EVEN  # columns of zeros, which change no number
        self.wide = Affine(
            _longer_halves(tensors[f"{first}.weight"], more),
            _longer_halves(tensors[f"{first}.bias"], more) if f"{first}.bias" in tensors else None,
            config.width**-0.5,
        )
        self.narrow = Affine(
            F.pad(tensors[f"{second}.weight"], (0, more)),
            tensors.get(f"{second}.bias"),
            feed * config.mlp_width**-0.5,
        )

    def over_variates(self, state: Tensor, mask: Tensor) -> Tensor:
        """[G, M, D] -> the same."""
        normed: Tensor = self.norm1(state)
        return self._completed(state, self.attention(normed, self.attention.known(normed, None), mask, None))

    def over_time(
        self, state: Tensor, mask: Tensor, tables: Tables, places: Tensor | None = None
    ) -> tuple[Tensor, KeysValues]:
        """[G, M, D] -> the same, or [G, K, D] of the tokens at `places` [K], which alone are asked for then; and what
        the M tokens leave for others to look at. mask [G, 1, M or K, M].
        """
        normed: Tensor = self.norm1(state)
        pair = self.attention.known(normed, tables.keys)
        turns = tables.queries
        if places is not None:
            state, normed, turns = state.index_select(1, places), normed.index_select(1, places), turns.of(places)
        return self._completed(state, self.attention(normed, pair, mask, turns)), pair

    def next_in_time(self, state: Tensor, mask: Tensor, tables: Tables, cache: KeysValues, slots: Tensor) -> Tensor:
        """[G, M, D] -> the same. Keys and values go to `slots` [M] of the cache, all of which is looked at."""
        normed: Tensor = self.norm1(state)
        pair = self.attention.known(normed, tables.keys)
        cache.keys.index_copy_(2, slots, pair.keys)
        cache.values.index_copy_(2, slots, pair.values)
        return self._completed(state, self.attention(normed, cache, mask, tables.queries))

    def _completed(self, state: Tensor, branch: Tensor) -> Tensor:
        state = torch.add(branch, state, alpha=self.keep_attention)
        straight, gated = self.wide(self.norm2(state)).chunk(2, dim=-1)  # [G, M, F]
        return torch.add(self.narrow(straight * F.silu(gated)), state, alpha=self.keep_feed)


class Positions(nn.Module):
    """Rotary tables, with xPos where the model has it, for the first half of each head."""

    theta: Tensor
    decay: Tensor

    def __init__(self, config: Toto2Config) -> None:
        super().__init__()
        width = config.query_width // 2
        self.xpos = config.xpos
        self.register_buffer("theta", frequencies(width))
        self.register_buffer("decay", decay(width))

    def forward(self, positions: Tensor, total: Tensor) -> Tables:
        """[M] positions of `total` patches -> [M, W]"""
        angles = interleaved(positions.float()[:, None] * self.theta)  # [M, W]
        power = (positions - total // 2).float() / _POSITIONS  # [M]
        fading = interleaved(self.decay ** power[:, None]) if self.xpos else torch.ones_like(angles)
        cosine, sine = angles.cos(), angles.sin()
        return Tables(Turns(cosine, sine, fading), Turns(cosine, sine, fading.reciprocal()))


def turned(state: Tensor, turns: Turns) -> Tensor:
    """The first half of the last axis turned, the second as it is."""
    turning, still = state.chunk(2, dim=-1)  # [..., w / 2]
    moved = (turning * turns.cosine + quarter_turned(turning) * turns.sine) * turns.fading
    return torch.cat((moved, still), dim=-1)


def _in_whole_lines(asking: Tensor, filling: float) -> Tensor:
    """[G, h, K, ...] -> K made a multiple of a cache line.

    Each thread of torch's attention works in its own part of one buffer, K x M numbers and some of K. Unless these
    begin with a line, MKL may add up in another order, and a row depends on which thread had it: on how many rows there
    are.
    """
    after = -asking.shape[2] % _LINE
    return F.pad(asking, (0, 0, 0, after), value=filling) if after else asking


def _longer_halves(tensor: Tensor, more: int) -> Tensor:
    """[2 M, ...] -> [2 (M + more), ...]: zeros after each half."""
    halves = unflattened(tensor, 0, (2, -1))  # [2, M, ...]
    none = halves.new_zeros((2, more, *halves.shape[2:]))
    return torch.cat((halves, none), dim=1).flatten(0, 1)


def _residual_shares(tau: Tensor) -> tuple[float, float]:
    """What the branch and the skip are multiplied with."""
    weight = float(tau)
    whole = math.sqrt(1 + weight**2)
    return weight / whole, 1 / whole


def _query_scale(config: Toto2Config, tensors: Tensors, base: str) -> Tensor:
    """[w] float64, 1 where nothing was learned."""
    if not config.query_scale:
        return torch.ones(config.query_width, dtype=torch.float64, device="cpu")
    return F.softplus(tensors[f"{base}._pds.per_dim_scale"].double()) / math.log(2)


def _norm_weight(tensors: Tensors, base: str, width: int) -> Tensor:
    found = tensors.get(f"{base}.weight")
    return torch.ones(width, dtype=torch.float64, device="cpu") if found is None else found.double()
