"""Weights to begin from, where there is no checkpoint: a code that can be read, written into the published layers.

From random weights the signs of a code take millions of bars to become places on a fine scale: a network has to learn
functions that change their sign a hundred times over the range of a price. Here they are written down at the outset.
A bar becomes five numbers (level of the close, body, upper and lower shadow, volume), each is put into one of 2^n
cells, and the digits of the cell's number are the signs: the leading digits of all are s1, the rest s2. Encoder and
decoder compute this with their ordinary blocks, from where training goes on.

A hidden unit silu(a (x - place)) is nearly a ramp that begins at `place`; a digit is a zigzag through the cells'
centres, which is a sum of such ramps. The normalisation before them divides by the size of the whole row, in which one
constant outweighs the rest.

K signs, N bars, W width of the rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from forecasters.kronos.features import Floats
from forecasters.kronos.model import Block, Network
from forecasters.kronos.tokenizer import Tokenizer

Numbers = NDArray[np.float64]

_CONSTANT = 16.0
_STEEPNESS = 80.0  # of a ramp's beginning; cells of the level are about 0.07 apart
_LEVEL_REACH = 4.5  # standard deviations
_FAINT = 0.05  # of the usual random weights, for what the code leaves free
_OPEN, _HIGH, _LOW, _CLOSE, _VOLUME, _AMOUNT = range(6)
_AT_CONSTANT, _AT_BODY, _AT_UPPER, _AT_LOWER, _AT_SIGNS = 6, 7, 8, 9, 10  # channels of the encoder's rows

# digits of level, body, upper shadow, lower shadow, volume: (in s1, in s2), by the bits of s1 and of s2
_DIGITS: dict[int, tuple[tuple[int, int], ...]] = {
    6: ((3, 2), (1, 1), (1, 1), (1, 1), (0, 1)),
    8: ((4, 3), (2, 0), (1, 2), (1, 2), (0, 1)),
    10: ((4, 3), (2, 1), (2, 2), (2, 2), (0, 2)),
}
_READ_FROM = (_CLOSE, _AT_BODY, _AT_UPPER, _AT_LOWER, _VOLUME)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Digits:
    """One number's part of the code.

    centres    [C] of its cells
    signs      [C, n] +-1, leading digit first
    places     [n] where in the code each digit is
    shares     [C] of the bars, by cell
    """

    centres: Numbers
    signs: Numbers
    places: list[int]
    shares: Numbers


def can_begin(tokenizer: Tokenizer) -> bool:
    """Whether the layers are large enough for it."""
    config = tokenizer.config
    digits = _DIGITS.get(config.s1_bits)
    if digits is None or config.s1_bits != config.s2_bits or min(config.n_enc_layers, config.n_dec_layers) < 3:
        return False
    cells = sum(2 ** sum(pair) for pair in digits)
    return config.ff_dim > cells and config.d_model >= _AT_SIGNS + config.code


@torch.no_grad()
def begin_tokenizer(tokenizer: Tokenizer, bars: Floats) -> None:
    """Writes the code into it; `bars` [N, 6] standardised decide where the cells are."""
    code = _code(tokenizer.config.s1_bits, _five(bars.astype(np.float64)))
    for parameter in tokenizer.parameters():
        if parameter.dim() > 1:
            parameter.mul_(_FAINT)
    for block in (*tokenizer.encoder, *tokenizer.decoder):
        block.self_attn.out_proj.weight.zero_()
        block.self_attn.out_proj.bias.zero_()
        block.ffn.w2.weight.zero_()
    _write_encoder(tokenizer, code)
    _write_decoder(tokenizer, code)


@torch.no_grad()
def begin_network(network: Network, generator: torch.Generator) -> None:
    """Tokens that share digits begin alike: their embeddings and logits are sums over digits and pairs of digits."""
    config = network.config
    for bits, embedding, head in (
        (config.s1_bits, network.embedding.emb_s1, network.head.proj_s1),
        (config.s2_bits, network.embedding.emb_s2, network.head.proj_s2),
    ):
        features = _digits_and_pairs(bits)
        for weight, size in ((embedding.weight, config.d_model**-0.5), (head.weight, head.weight.std().item())):
            mixed = features @ torch.randn(features.shape[1], weight.shape[1], generator=generator)
            weight.mul_(0.3).add_(mixed, alpha=size * features.shape[1] ** -0.5)


def _digits_and_pairs(bits: int) -> Tensor:
    """[2^bits, F] +-1"""
    numbers = torch.arange(2**bits)
    signs = [((numbers >> place & 1) * 2 - 1).float() for place in range(bits)]
    pairs = [signs[i] * signs[j] for i in range(bits) for j in range(i)]
    return torch.stack([*signs, *pairs], dim=1)


def _five(bars: Numbers) -> list[Numbers]:
    """[N, 6] -> level, body, upper shadow, lower shadow, volume, [N] each."""
    body = bars[:, _CLOSE] - bars[:, _OPEN]
    falling = np.maximum(-body, 0.0)
    upper = bars[:, _HIGH] - bars[:, _CLOSE] - falling
    lower = bars[:, _OPEN] - bars[:, _LOW] - falling
    return [bars[:, _CLOSE], body, upper, lower, bars[:, _VOLUME]]


def _code(bits: int, numbers: list[Numbers]) -> list[_Digits]:
    leading, rest = 0, bits
    found = []
    for index, ((first, second), values) in enumerate(zip(_DIGITS[bits], numbers, strict=True)):
        count = 2 ** (first + second)
        level = np.linspace(-_LEVEL_REACH, _LEVEL_REACH, 2 * count + 1)[1::2]
        centres = level if index == 0 else _spread_out(values, count)
        cells = np.arange(count)[:, None] >> np.arange(first + second)[::-1] & 1
        edges = (centres[1:] + centres[:-1]) / 2
        shares = np.bincount(np.searchsorted(edges, values), minlength=count) / len(values)
        places = [*range(leading, leading + first), *range(rest, rest + second)]
        signs = np.where(cells == 1, 1.0, -1.0)
        found.append(_Digits(centres=centres, signs=signs, places=places, shares=shares))
        leading, rest = leading + first, rest + second
    return found


def _spread_out(values: Numbers, count: int) -> Numbers:
    """`count` centres that are near to the values (Lloyd's iteration), increasing."""
    centres = np.quantile(values, (np.arange(count) + 0.5) / count)
    centres += np.arange(count) * 1e-6  # apart, where many values are equal
    for _ in range(30):
        cell = np.searchsorted((centres[1:] + centres[:-1]) / 2, values)
        total, weight = np.bincount(cell, values, count), np.bincount(cell, minlength=count)
        centres = np.where(weight > 0, total / np.maximum(weight, 1), centres)
    increasing: Numbers = np.maximum.accumulate(centres) + np.arange(count) * 1e-6
    return increasing


def _write_encoder(tokenizer: Tokenizer, code: list[_Digits]) -> None:
    embed, quantise = tokenizer.embed, tokenizer.quant_embed
    embed.weight[: _AT_SIGNS + tokenizer.config.code].zero_()
    embed.bias.zero_()
    embed.weight[:6] = torch.eye(6)
    embed.bias[_AT_CONSTANT] = _CONSTANT
    for channel, plus, minus in (
        (_AT_BODY, _CLOSE, _OPEN),
        (_AT_UPPER, _HIGH, _CLOSE),
        (_AT_LOWER, _OPEN, _LOW),
    ):
        embed.weight[channel, plus], embed.weight[channel, minus] = 1.0, -1.0
    falling = _Ramps(tokenizer.encoder[0])
    falling.add(_AT_BODY, place=0.0, onto={_AT_UPPER: -1.0, _AT_LOWER: -1.0}, downwards=True)
    zigzag = _Ramps(tokenizer.encoder[1])
    quantise.weight.zero_()
    quantise.bias.zero_()
    before: dict[int, float] = {}  # the value of each digit below its first cell
    for digits, channel in zip(code, _READ_FROM, strict=True):
        slopes = np.diff(digits.signs, axis=0) / np.diff(digits.centres)[:, None]  # [C - 1, n]
        turns = np.diff(np.pad(slopes, ((1, 1), (0, 0))), axis=0)  # [C, n]
        for centre, turn in zip(digits.centres.tolist(), turns.tolist(), strict=True):
            onto = {_AT_SIGNS + place: change for place, change in zip(digits.places, turn, strict=True)}
            zigzag.add(channel, place=centre, onto=onto)
        for place, sign in zip(digits.places, digits.signs[0].tolist(), strict=True):
            quantise.weight[place, _AT_SIGNS + place] = 1.0
            before[_AT_SIGNS + place] = sign
    zigzag.add(_AT_CONSTANT, place=_CONSTANT - 1, onto=before)  # by a ramp too: all must shrink alike


def _write_decoder(tokenizer: Tokenizer, code: list[_Digits]) -> None:
    """Channels 0 to 4 are the five numbers, then the constant, the body's rise and its fall."""
    constant, rise, fall = 5, 6, 7
    bits, scale = tokenizer.config.s1_bits, tokenizer.config.code**-0.5
    for layer, bits_in in ((tokenizer.post_quant_embed, 2 * bits), (tokenizer.post_quant_embed_pre, bits)):
        layer.weight[:8].zero_()
        layer.bias.zero_()
        layer.bias[constant] = _CONSTANT
        for channel, digits in enumerate(code):
            digits_in = [index for index, place in enumerate(digits.places) if place < bits_in]
            sides = np.column_stack([digits.signs[:, digits_in], np.ones(len(digits.centres))])
            weights = np.sqrt(digits.shares + 1e-3)[:, None]
            fitted = np.linalg.lstsq(sides * weights, digits.centres * weights[:, 0], rcond=None)[0]
            for index, value in zip(digits_in, fitted[:-1].tolist(), strict=True):
                layer.weight[channel, digits.places[index]] = value / scale
            layer.bias[channel] = float(fitted[-1])
    ramps = _Ramps(tokenizer.decoder[0])
    ramps.add(1, place=0.0, onto={rise: 1.0}, constant=constant)
    ramps.add(1, place=0.0, onto={fall: 1.0}, constant=constant, downwards=True)
    head = tokenizer.head
    head.weight[:, :8].zero_()
    head.bias.zero_()
    level, body, upper, lower, volume = range(5)
    for column, parts in {
        _OPEN: {level: 1.0, body: -1.0},
        _HIGH: {level: 1.0, fall: 1.0, upper: 1.0},
        _LOW: {level: 1.0, rise: -1.0, lower: -1.0},
        _CLOSE: {level: 1.0},
        _VOLUME: {volume: 1.0},
        _AMOUNT: {volume: 1.0},
    }.items():
        for channel, share in parts.items():
            head.weight[column, channel] = share


class _Ramps:
    """Hidden units of one block, taken one after the other."""

    def __init__(self, block: nn.Module) -> None:
        assert isinstance(block, Block)
        self._layer = block.ffn
        self._next = 0

    def add(
        self,
        channel: int,
        *,
        place: float,
        onto: dict[int, float],
        constant: int = _AT_CONSTANT,
        downwards: bool = False,
    ) -> None:
        """max(0, value of `channel` - `place`), or of its negative, times each factor in `onto`, added there."""
        layer, unit = self._layer, self._next
        self._next += 1
        size = _CONSTANT / layer.w1.in_features**0.5  # what the normalisation divides by
        sign = -1.0 if downwards else 1.0
        layer.w1.weight[unit].zero_()
        layer.w3.weight[unit].zero_()
        layer.w1.weight[unit, channel] = sign * _STEEPNESS * size
        layer.w1.weight[unit, constant] += -sign * _STEEPNESS * place * size / _CONSTANT
        layer.w3.weight[unit, constant] = size / _CONSTANT
        for target, factor in onto.items():
            layer.w2.weight[target, unit] = factor / _STEEPNESS
