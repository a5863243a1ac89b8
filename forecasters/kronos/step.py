"""One step of the loop: from the pair of tokens drawn last to the next. What a compiler is given.

B series, R rows (samples) each, D width, V tokens.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from forecasters.kronos.folded import FoldedNetwork, NetworkCache
from forecasters.kronos.sampling import Sampling, choose


class Advance(Protocol):
    """`advance`, or what a compiler makes of it."""

    def __call__(
        self,
        network: FoldedNetwork,
        cache: NetworkCache,
        s1: Tensor,
        s2: Tensor,
        slot: Tensor,
        noise: tuple[Tensor, Tensor] | None,
        sampling: Sampling,
        /,
    ) -> tuple[Tensor, Tensor]: ...


def advance(
    network: FoldedNetwork,
    cache: NetworkCache,
    s1: Tensor,
    s2: Tensor,
    slot: Tensor,
    noise: tuple[Tensor, Tensor] | None,
    sampling: Sampling,
) -> tuple[Tensor, Tensor]:
    """One step: the tokens [B, R] drawn last, which belong to `slot` [1] -> the next ones. Of one shape throughout."""
    return draw_pair(network, cache, network.step(cache, s1, s2, slot), slot, noise, sampling)


def draw_pair(
    network: FoldedNetwork,
    cache: NetworkCache,
    context: Tensor,
    slot: Tensor,
    noise: tuple[Tensor, Tensor] | None,
    sampling: Sampling,
) -> tuple[Tensor, Tensor]:
    """[B, R, D] -> s1 and s2, [B, R] each; `slot` is the last one written, `noise` for both, absent where greedy."""
    logits = network.s1_logits(cache, context)
    s1 = choose(logits, logits if noise is None else noise[0], sampling)
    logits = network.s2_logits(cache, context, s1, slot)
    return s1, choose(logits, logits if noise is None else noise[1], sampling)
