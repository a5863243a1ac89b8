"""The architecture, with the names of the published checkpoints: for loading, for fine-tuning, and as the yardstick.

Nothing here is cached: a call computes every row. `folded.py` makes from these weights what serves.

One block stands four times, each for what the others can't bring; each is held to the one above it by a test:

| where               | how                                      | brings                                            |
| ------------------- | ---------------------------------------- | ------------------------------------------------- |
| Block, below        | every row of a window, at each step anew | loading, fine-tuning, contexts longer than the    |
|                     |                                          | network's own; the yardstick of the others        |
| FoldedBlock with    | the context once, then a token a step;   | 9 to 370 times the original, on any device; what  |
| Arithmetic          | constants within the matrices            | torch.compile is given                            |
| Native, native.py   | the same, a block as one call on a CPU   | with the next row: a compiled step on a CPU 1.5   |
| kernels/network.cpp | a step of all blocks as one call         | to 2.1 times as fast as the operators             |

Held to: the original's outputs (test_kronos_parity), Block (test_kronos_cache), Arithmetic (test_kronos_native), both
(test_kronos_kernels). The figures are in docs/measured.md.

B series, T tokens, D width, F hidden width, h heads, w width of a head, V tokens in a vocabulary.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NORM_EPSILON = 1e-5
ROTARY_BASE = 10_000.0
DEPENDENCY_HEADS = 4  # whatever the network has
CALENDAR_SIZES = {"minute": 60, "hour": 24, "weekday": 7, "day": 32, "month": 13}


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    s1_bits: int
    s2_bits: int
    n_layers: int
    d_model: int
    n_heads: int
    ff_dim: int


def rotary_table(positions: int, width: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines, [positions, width] float32 each."""
    frequencies = 1.0 / (ROTARY_BASE ** (torch.arange(0, width, 2, device="cpu").float() / width))  # [width / 2]
    angles = torch.outer(torch.arange(positions, device="cpu").float(), frequencies)  # [positions, width / 2]
    angles = torch.cat((angles, angles), dim=-1)  # [positions, width]
    return angles.cos(), angles.sin()


def rotate(rows: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    first, second = rows.chunk(2, dim=-1)  # [..., w / 2]
    return rows * cosines + torch.cat((-second, first), dim=-1) * sines


def normalise(rows: Tensor) -> Tensor:
    """Root mean square norm without its weight, computed in float32."""
    wide = rows.float()
    return (wide * torch.rsqrt((wide * wide).mean(dim=-1, keepdim=True) + NORM_EPSILON)).to(rows.dtype)


class RMSNorm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, rows: Tensor) -> Tensor:
        return normalise(rows) * self.weight


class Projections(nn.Module):
    """The four matrices of an attention, and the shapes around it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def split(self, rows: Tensor) -> Tensor:
        """[B, T, D] -> [B, h, T, w]"""
        return rows.view(*rows.shape[:-1], self.heads, -1).transpose(1, 2)

    def join(self, rows: Tensor) -> Tensor:
        """[B, h, T, w] -> [B, T, D], projected."""
        joined: Tensor = self.out_proj(rows.transpose(1, 2).flatten(-2))  # [B, T, D]
        return joined


class SelfAttention(Projections):
    """Causal, with rotary positions counted from 0."""

    def forward(self, rows: Tensor) -> Tensor:
        cosines, sines = (table.to(rows) for table in rotary_table(rows.shape[1], rows.shape[2] // self.heads))
        queries = rotate(self.split(self.q_proj(rows)), cosines, sines)  # [B, h, T, w]
        keys = rotate(self.split(self.k_proj(rows)), cosines, sines)  # [B, h, T, w]
        values = self.split(self.v_proj(rows))  # [B, h, T, w]
        return self.join(F.scaled_dot_product_attention(queries, keys, values, is_causal=True))


class FeedForward(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.w1 = nn.Linear(width, hidden, bias=False)
        self.w3 = nn.Linear(width, hidden, bias=False)
        self.w2 = nn.Linear(hidden, width, bias=False)

    def forward(self, rows: Tensor) -> Tensor:
        result: Tensor = self.w2(F.silu(self.w1(rows)) * self.w3(rows))  # [B, T, F] -> [B, T, D]
        return result


class Block(nn.Module):
    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = RMSNorm(width)
        self.self_attn = SelfAttention(width, heads)
        self.norm2 = RMSNorm(width)
        self.ffn = FeedForward(width, hidden)

    def forward(self, rows: Tensor) -> Tensor:
        rows = rows + self.self_attn(self.norm1(rows))
        result: Tensor = rows + self.ffn(self.norm2(rows))
        return result


class TokenEmbedding(nn.Module):
    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.emb_s1 = nn.Embedding(2**config.s1_bits, config.d_model)
        self.emb_s2 = nn.Embedding(2**config.s2_bits, config.d_model)
        self.fusion_proj = nn.Linear(2 * config.d_model, config.d_model)

    def forward(self, s1: Tensor, s2: Tensor) -> Tensor:
        pair = torch.cat((self.emb_s1(s1), self.emb_s2(s2)), dim=-1)  # [B, T, 2 D]
        result: Tensor = self.fusion_proj(pair * math.sqrt(self.emb_s1.embedding_dim))  # [B, T, D]
        return result


class CalendarEmbedding(nn.Module):
    """Five tables, added up."""

    def __init__(self, width: int) -> None:
        super().__init__()
        for name, size in CALENDAR_SIZES.items():
            self.add_module(f"{name}_embed", nn.Embedding(size, width))

    def forward(self, stamps: Tensor) -> Tensor:
        """[..., 5] minute, hour, weekday, day, month -> [..., D]"""
        parts = {name: stamps[..., column] for column, name in enumerate(CALENDAR_SIZES)}  # [...] each
        order = ("hour", "weekday", "day", "month", "minute")  # the original's, which decides the rounding
        total: Tensor = sum(
            (self.get_submodule(f"{name}_embed")(parts[name]) for name in order[1:]),
            start=self.get_submodule("hour_embed")(parts["hour"]),
        )
        return total


class DependencyLayer(nn.Module):
    """Attention from the drawn s1 to the whole context, itself included.

    No rotary positions: the original's query is one token, its table then holds position 0 alone, and so neither
    queries nor keys are turned. Not causal either.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.cross_attn = Projections(width, DEPENDENCY_HEADS)
        self.norm = RMSNorm(width)

    def forward(self, context: Tensor, drawn: Tensor) -> Tensor:
        """[B, T, D] and [B, 1, D] -> [B, 1, D], of the last row, the only one that is used."""
        layer = self.cross_attn
        queries = layer.split(layer.q_proj(drawn))  # [B, h, 1, w]
        keys, values = layer.split(layer.k_proj(context)), layer.split(layer.v_proj(context))  # [B, h, T, w]
        attention = layer.join(F.scaled_dot_product_attention(queries, keys, values))  # [B, 1, D]
        result: Tensor = self.norm(context[:, -1:] + attention)
        return result


class Heads(nn.Module):
    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.proj_s1 = nn.Linear(config.d_model, 2**config.s1_bits)
        self.proj_s2 = nn.Linear(config.d_model, 2**config.s2_bits)


class Network(nn.Module):
    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = TokenEmbedding(config)
        self.time_emb = CalendarEmbedding(config.d_model)
        self.transformer = nn.ModuleList(
            Block(config.d_model, config.n_heads, config.ff_dim) for _ in range(config.n_layers)
        )
        self.norm = RMSNorm(config.d_model)
        self.dep_layer = DependencyLayer(config.d_model)
        self.head = Heads(config)

    def context(self, s1: Tensor, s2: Tensor, stamps: Tensor) -> Tensor:
        """[B, T] tokens and [B, T, 5] calendar -> [B, T, D]"""
        rows = self.embedding(s1, s2) + self.time_emb(stamps)  # [B, T, D]
        for block in self.transformer:
            rows = block(rows)
        result: Tensor = self.norm(rows)
        return result

    def s1_logits(self, context: Tensor) -> Tensor:
        """[B, T, D] -> [B, V], of the token after the last row."""
        logits: Tensor = self.head.proj_s1(context[:, -1])
        return logits

    def s2_logits(self, context: Tensor, s1: Tensor) -> Tensor:
        """[B, T, D] and the drawn s1 [B] -> [B, V]"""
        last = self.dep_layer(context, self.embedding.emb_s1(s1)[:, None])  # [B, 1, D]
        logits: Tensor = self.head.proj_s2(last[:, 0])
        return logits
