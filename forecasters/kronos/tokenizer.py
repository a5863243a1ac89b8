"""Bars to pairs of tokens and back: an autoencoder whose middle is a vector of signs.

T bars, N of them, D width, the code has s1_bits + s2_bits signs; the first are s1, least significant bit first.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forecasters.kronos.model import Block


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerConfig:
    d_in: int
    d_model: int
    n_heads: int
    ff_dim: int
    n_enc_layers: int
    n_dec_layers: int
    s1_bits: int
    s2_bits: int

    @property
    def code(self) -> int:
        return self.s1_bits + self.s2_bits


class Tokenizer(nn.Module):
    """The encoder and the decoder have one block fewer than their configured layers. Both are causal."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        self.config = config
        width = config.d_model
        self.embed = nn.Linear(config.d_in, width)
        self.encoder = nn.ModuleList(
            Block(width, config.n_heads, config.ff_dim) for _ in range(config.n_enc_layers - 1)
        )
        self.quant_embed = nn.Linear(width, config.code)
        self.post_quant_embed_pre = nn.Linear(config.s1_bits, width)  # s1 alone: for training
        self.post_quant_embed = nn.Linear(config.code, width)
        self.decoder = nn.ModuleList(
            Block(width, config.n_heads, config.ff_dim) for _ in range(config.n_dec_layers - 1)
        )
        self.head = nn.Linear(width, config.d_in)

    def encode(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """[B, T, 6] standardised -> s1 and s2, [B, T] int64 each."""
        rows = self.embed(values)  # [B, T, D]
        for block in self.encoder:
            rows = block(rows)
        return self.tokens(rows)

    def tokens(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """[..., D] out of the encoder -> s1 and s2, [...] int64 each."""
        signs = F.normalize(self.quant_embed(rows), dim=-1) > 0  # [..., code] bool
        bits = self.config.s1_bits
        return _number(signs[..., :bits]), _number(signs[..., bits:])

    def codes(self, s1: Tensor, s2: Tensor) -> Tensor:
        """[...] tokens -> [..., code], each +-1 / sqrt(code)."""
        signs = torch.cat((_signs(s1, self.config.s1_bits), _signs(s2, self.config.s2_bits)), dim=-1)
        codes: Tensor = signs * (1.0 / self.config.code**0.5)
        return codes

    def decode(self, s1: Tensor, s2: Tensor) -> Tensor:
        """[B, T] tokens -> [B, T, 6] standardised."""
        rows = self.post_quant_embed(self.codes(s1, s2))  # [B, T, D]
        for block in self.decoder:
            rows = block(rows)
        values: Tensor = self.head(rows)  # [B, T, 6]
        return values


def _number(signs: Tensor) -> Tensor:
    weights = _powers(signs.shape[-1], signs.device)
    number: Tensor = (signs.long() * weights).sum(dim=-1)
    return number


def _signs(numbers: Tensor, bits: int) -> Tensor:
    weights = _powers(bits, numbers.device)
    return ((numbers.unsqueeze(-1) & weights) != 0).float() * 2 - 1


def _powers(bits: int, device: torch.device) -> Tensor:
    """[bits] 1, 2, 4, ..."""
    return torch.bitwise_left_shift(
        torch.ones(bits, dtype=torch.int64, device=device), torch.arange(bits, device=device)
    )
