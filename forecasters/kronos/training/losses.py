"""What is minimised: the published losses of both models, on the classes that are loaded for serving.

B windows, T bars or tokens, D width, K signs of the code, V tokens in a vocabulary, N = B x T.

Two departures, both because of what serves. The original trains its dependency layer with rotary positions and
forecasts without; here it is trained as it forecasts. And s2 is learned given the true s1, since it is drawn given s1;
`sampled_s1` gives what the original's fine-tuning does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from forecasters.kronos.model import Network
from forecasters.kronos.tokenizer import Tokenizer

PRICES = 4  # columns open, high, low, close; then volume, amount
_NEARBY = 9  # bars


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantiser:
    """Weights of the code's own loss (binary spherical quantisation): names as in the published config.

    beta        of the distance to the nearest code (commitment)
    gamma0      of the entropy of a bar's own code, which shall be small
    gamma       of the entropy of all codes, which shall be large
    zeta        of both entropies
    group_size  signs whose joint distribution the second entropy is taken over
    """

    beta: float
    gamma0: float
    gamma: float
    zeta: float
    group_size: int

    @classmethod
    def of(cls, config: Mapping[str, object]) -> Quantiser:
        """From a tokenizer's config; what it lacks is as in the published ones."""
        usual = {"beta": 0.05, "gamma0": 1.0, "gamma": 1.1, "zeta": 0.05}
        numbers = {name: float(str(config.get(name, default))) for name, default in usual.items()}
        return cls(**numbers, group_size=int(str(config.get("group_size", 4))))


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerLoss:
    """total is what is minimised; coarse (from s1 alone) and full are mean squared errors, in standard deviations."""

    total: Tensor
    coarse: Tensor
    full: Tensor
    code: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkLoss:
    """Cross entropies in nats, each a mean over the rows that count: total = (s1 + s2) / 2."""

    total: Tensor
    s1: Tensor
    s2: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a decoded bar costs that can't be: its high below its open or close, its low above.

    mean, spread  [B, 6] of the windows
    draws         of what is mixed; on the CPU
    """

    weight: float
    mean: Tensor
    spread: Tensor
    draws: torch.Generator

    def cost(self, values: Tensor) -> Tensor:
        """[B, T, 6] standardised -> the mean of what is missing, in spreads of the close."""
        prices = (values * self.spread[:, None] + self.mean[:, None]) / self.spread[:, None, 3:4]
        opens, high, low, closes = prices[..., :PRICES].unbind(-1)
        missing = F.relu(torch.maximum(opens, closes) - high) + F.relu(low - torch.minimum(opens, closes))
        return self.weight * missing.mean()

    def mixed(self, code: Tensor, bits: int) -> Tensor:
        """[B, T, K]: three tokens in ten are those of a nearby bar, and of three in twenty only s2 is."""
        shift = int(torch.randint(1, _NEARBY, (), generator=self.draws))
        nearby = code.roll(shift, dims=1)
        chance = torch.rand(code.shape[:2], generator=self.draws).to(code)[..., None]
        fine = torch.cat((code[..., :bits], nearby[..., bits:]), dim=-1)
        return torch.where(chance < 0.3, nearby, torch.where(chance < 0.45, fine, code))


def tokenizer_loss(
    tokenizer: Tokenizer,
    values: Tensor,
    quantiser: Quantiser,
    *,
    price_weight: float = 1.0,
    order: Order | None = None,
) -> TokenizerLoss:
    """values [B, T, 6] standardised. Reconstruction from s1 alone and from both, and the code's own loss, halved.

    `order` counts for the bars of `values` and for such as a network draws, whose tokens do not quite fit together.
    """
    rows = tokenizer.embed(values)
    for block in tokenizer.encoder:
        rows = block(rows)
    unit = F.normalize(tokenizer.quant_embed(rows), dim=-1)  # [B, T, K]
    signs = torch.where(unit > 0, 1.0, -1.0)
    scale = unit.shape[-1] ** -0.5
    code = (unit + (signs - unit).detach()) * scale  # the gradient passes by the sign
    bits = tokenizer.config.s1_bits
    parts = [tokenizer.post_quant_embed_pre(code[..., :bits]), tokenizer.post_quant_embed(code)]
    if order is not None:
        parts.append(tokenizer.post_quant_embed(order.mixed(code, bits)))
    rows = torch.cat(parts)
    for block in tokenizer.decoder:
        rows = block(rows)
    decoded = tokenizer.head(rows).unflatten(0, (len(parts), -1))
    squares = (decoded[:2] - values).square()  # [2, B, T, 6]
    weights = torch.ones(values.shape[-1], device=values.device)
    weights[:PRICES] = price_weight
    coarse, full = (squares * (weights / weights.mean())).mean(dim=(1, 2, 3))
    own = _code_loss(unit, signs * scale, quantiser)
    if order is not None:
        own = own + order.cost(decoded[1]) + order.cost(decoded[2])
    plain = squares.detach().mean(dim=(1, 2, 3))
    return TokenizerLoss(total=(coarse + full + own) / 2, coarse=plain[0], full=plain[1], code=own.detach())


def _code_loss(unit: Tensor, code: Tensor, quantiser: Quantiser) -> Tensor:
    """Commitment, and entropies by the soft assignment to the two codes of each sign. [B, T, K] both."""
    commitment = (code - unit).square().sum(dim=-1).mean()
    nearness = 2 * unit * unit.shape[-1] ** -0.5  # to the code +1; minus that to -1
    up = torch.sigmoid(2 * nearness)
    own = _entropy(torch.stack((up, 1 - up), dim=-1)).sum(dim=-1).mean()
    size = quantiser.group_size
    signs = _all_codes(size).to(unit)
    joint = torch.softmax(nearness.unflatten(-1, (-1, size)) @ signs.T, dim=-1)  # [B, T, K / size, 2^size]
    overall = _entropy(joint.flatten(0, 1).mean(dim=0)).sum()
    entropies: Tensor = quantiser.gamma0 * own - quantiser.gamma * overall
    return quantiser.beta * commitment + quantiser.zeta * entropies


def _all_codes(signs: int) -> Tensor:
    """[2^signs, signs] of +-1."""
    return torch.tensor([[1.0 if code >> place & 1 else -1.0 for place in range(signs)] for code in range(2**signs)])


def _entropy(probabilities: Tensor) -> Tensor:
    """Nats, over the last axis."""
    return -(probabilities * torch.log(probabilities + 1e-8)).sum(dim=-1)


def teacher_forced(network: Network, context: Tensor, s1: Tensor, first: int = 0) -> Tensor:
    """[B, T, D] rows and the s1 that follows each, [B, T] -> s2 logits [B, T - first, V].

    Each row attends to itself and those before it: row by row what `network.s2_logits` gives for that beginning.
    """
    layer = network.dep_layer.cross_attn
    queries = layer.split(layer.q_proj(network.embedding.emb_s1(s1)))
    keys, values = layer.split(layer.k_proj(context)), layer.split(layer.v_proj(context))
    attended = layer.join(F.scaled_dot_product_attention(queries, keys, values, is_causal=True))
    logits: Tensor = network.head.proj_s2(network.dep_layer.norm(context + attended)[:, first:])
    return logits


def network_loss(
    network: Network,
    s1: Tensor,
    s2: Tensor,
    stamps: Tensor,
    *,
    context: int,
    context_share: float = 0.0,
    draws: torch.Generator | None = None,
) -> NetworkLoss:
    """Of each token given all before it.

    s1, s2         [B, W] tokens of `context` bars and the horizon behind them
    stamps         [B, W, 5]
    context_share  what a token inside the context counts, against 1 for one behind it
    draws          learn s2 given s1 as drawn from what the network says, not given the true one
    """
    rows = network.context(s1[:, :-1], s2[:, :-1], stamps[:, :-1])
    first = 0 if context_share else context - 1  # the row that foretells the first token that counts
    s1_logits = network.head.proj_s1(rows[:, first:])
    next_s1 = s1[:, 1:]
    if draws is not None:
        odds = torch.softmax(network.head.proj_s1(rows).detach(), dim=-1).flatten(0, 1)
        next_s1 = torch.multinomial(odds, 1, generator=draws).view_as(next_s1)
    s2_logits = teacher_forced(network, rows, next_s1, first)
    weights = torch.ones(s1_logits.shape[:2], device=rows.device)
    weights[:, : context - 1 - first] = context_share
    weights /= weights.sum()
    coarse = _cross_entropy(s1_logits, s1[:, first + 1 :], weights)
    fine = _cross_entropy(s2_logits, s2[:, first + 1 :], weights)
    return NetworkLoss(total=(coarse + fine) / 2, s1=coarse.detach(), s2=fine.detach())


def _cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    each = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    return (each * weights.flatten()).sum()
