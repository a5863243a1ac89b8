"""From logits to one token a row: temperature, top-k or nucleus, and the draw. V tokens.

Semantics of the original: a top_k above 0 returns early, so that top_p is then ignored; tokens that tie with the k-th
are kept; the nucleus keeps the first token that crosses top_p, and those before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import torch
from torch import Tensor

_HALVINGS = 30  # of the bit patterns between 0.0 and 1.0: enough to find one exactly


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How tokens are chosen. `greedy` takes the most likely one and ignores the rest.

    temperature  above 0
    top_p        in (0, 1]; 1 is no limit
    top_k        0 is no limit
    noise        exponential: a seed gives the original's tokens on a CPU; uniform: the same distribution (in steps of
                 2^-24) from one number a token instead of one for each of the vocabulary, other tokens for a seed
    """

    greedy: bool = False
    temperature: float = 1.0
    top_p: float = 0.9
    top_k: int = 0
    noise: Literal["exponential", "uniform"] = "exponential"

    def __post_init__(self) -> None:
        if not (self.temperature > 0 and 0 < self.top_p <= 1 and self.top_k >= 0):
            raise ValueError(
                f"temperature {self.temperature:g} must be above 0, top_p {self.top_p:g} in (0, 1], "
                f"top_k {self.top_k} not below 0"
            )
        if self.noise not in ("exponential", "uniform"):
            raise ValueError(f"noise is {self.noise!r}, must be 'exponential' or 'uniform'")


def probabilities(logits: Tensor, sampling: Sampling) -> Tensor:
    """[..., V] -> [..., V] of what may be drawn. A nucleus is not normalised again: a draw does not need it."""
    scaled = logits.float() / sampling.temperature
    if sampling.top_k > 0:
        least = torch.topk(scaled, min(sampling.top_k, scaled.shape[-1])).values[..., -1:]  # [..., 1]
        scaled = scaled.masked_fill(scaled < least, -torch.inf)
        return torch.softmax(scaled, dim=-1)
    likely = torch.softmax(scaled, dim=-1)  # [..., V]
    if sampling.top_p < 1:
        likely = torch.where(likely >= nucleus_floor(likely, sampling.top_p), likely, 0.0)
    return likely


def nucleus_floor(likely: Tensor, top_p: float) -> Tensor:
    """[..., V] -> [..., 1], the least probability in the nucleus.

    A token is in when those more likely than it make up at most top_p; tokens that tie are in together. A CPU sorts.
    Elsewhere, and where it is compiled, a range is halved: positive floats order as their bit patterns do, so that
    halving the range of patterns ends at the exact value.
    """
    if likely.device.type == "cpu" and not torch.compiler.is_compiling():
        return _sorted_floor(likely, top_p)
    patterns = likely.view(torch.int32)
    below = torch.full_like(patterns[..., :1], -1)  # more than top_p lies above this pattern
    above = torch.full_like(below, 0x3F800000)  # 1.0: nothing lies above it
    for _ in range(_HALVINGS):
        middle = (below + above) // 2
        mass = torch.where(patterns > middle, likely, 0.0).sum(dim=-1, keepdim=True)
        outside = mass > top_p
        below = torch.where(outside, middle, below)
        above = torch.where(outside, above, middle)
    return above.clamp(min=0).view(torch.float32)  # below 0 where all of it, as it rounds, is no more than top_p


def _sorted_floor(likely: Tensor, top_p: float) -> Tensor:
    ordered = np.sort(likely.numpy(), axis=-1)[..., ::-1]
    before = np.cumsum(ordered, axis=-1, dtype=np.float64) - ordered
    last = (before <= top_p).sum(axis=-1, keepdims=True) - 1
    return torch.from_numpy(np.take_along_axis(ordered, last, axis=-1))


def choose(logits: Tensor, noise: Tensor, sampling: Sampling) -> Tensor:
    """[..., V] logits, and noise [..., V] exponential or [..., 1] uniform -> [...] tokens.

    argmax(p / Exp(1)) is a draw from p; it is also how torch draws one token of a row on a CPU, which is why a seed
    gives the original's tokens there. The uniform draw is the first token at which the sum of p reaches its share: as
    that share is above 0 and at most all of it, a token of no probability is never met.
    """
    if sampling.greedy:
        return logits.argmax(dim=-1)
    likely = probabilities(logits, sampling)
    if sampling.noise == "uniform":
        reached = likely.cumsum(dim=-1)
        return (reached < (1 - noise) * reached[..., -1:]).sum(dim=-1)
    return (likely / noise).argmax(dim=-1)


class Noise:
    """Noise, draw by draw, each series from its own generator: its neighbours do not matter."""

    def __init__(
        self, generators: Sequence[torch.Generator], sampling: Sampling, *, samples: int, rows: int, tokens: int
    ) -> None:
        """`rows` at or above `samples`: the rest is only there to fill up the shape."""
        self._generators = generators
        self._samples = samples
        self._uniform = sampling.noise == "uniform"
        shape = (len(generators), rows, 1 if self._uniform else tokens)
        device = generators[0].device
        self._values = torch.full(shape, 0.5, dtype=torch.float32, device=device)
        self._wide: Tensor | None = None
        if not self._uniform and device.type == "cpu" and logarithms_are_torchs():
            self._wide = torch.empty((samples, tokens), dtype=torch.float64, device=device)

    def draw(self) -> Tensor:
        """[B, R, V] exponential or [B, R, 1] uniform, the same memory each time."""
        for series, generator in zip(self._values, self._generators, strict=True):
            if self._uniform:
                series[: self._samples].uniform_(generator=generator)
            elif self._wide is not None:
                draw_exponential(series[: self._samples], self._wide, generator)
            else:
                series[: self._samples].exponential_(generator=generator)
        return self._values


def draw_exponential(out: Tensor, wide: Tensor, generator: torch.Generator) -> None:
    """The very numbers of out.exponential_(), in a third of the time: that takes its logarithms one by one.

    wide  memory to work in, of the shape of `out`, float64
    """
    wide.uniform_(generator=generator).neg_()
    out.copy_(torch.log1p(wide, out=wide).neg_())


@cache
def logarithms_are_torchs() -> bool:
    """Whether this build of torch draws as draw_exponential() says: others may do it in another way."""
    ours, theirs = (torch.empty(4096, dtype=torch.float32, device="cpu") for _ in range(2))
    generators = [torch.Generator().manual_seed(0) for _ in range(2)]
    draw_exponential(ours, ours.double(), generators[0])
    theirs.exponential_(generator=generators[1])
    return torch.equal(ours, theirs) and torch.equal(
        *(ours[:4].uniform_(generator=each).clone() for each in generators)
    )
