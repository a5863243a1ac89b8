"""The logits of each next token pair when the true pairs before it are given.

The last H bars of a series are taken for what is to come. The step that serves is led along them: it is given the true
tokens in place of those that it drew. Beside it runs the same step stopped at its logits, compiled if that one is. What
the first draws is what the second's logits say, or they are not of one network: then there are no logits to compare.

B series, R rows, H horizon, V tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from forecasters.base import ForecastError
from forecasters.compiled.forced import Outputs
from forecasters.kronos.folded import FoldedNetwork, NetworkCache
from forecasters.kronos.generate import Kronos, Series
from forecasters.kronos.sampling import Sampling, choose
from forecasters.kronos.step import Advance

_ASTRAY = 0.02  # share of the draws that rounding may turn, in bfloat16 too


class LogitsStep(Protocol):
    """`logits_step`, or what a compiler makes of it."""

    def __call__(
        self,
        network: FoldedNetwork,
        cache: NetworkCache,
        s1: Tensor,
        s2: Tensor,
        next_s1: Tensor,
        slot: Tensor,
        /,
    ) -> tuple[Tensor, Tensor]: ...


def logits_step(
    network: FoldedNetwork, cache: NetworkCache, s1: Tensor, s2: Tensor, next_s1: Tensor, slot: Tensor
) -> tuple[Tensor, Tensor]:
    """The pair [B, R] at `slot` [1] -> logits of the next s1, and of the s2 with it, [B, R, V] each."""
    context = network.step(cache, s1, s2, slot)
    return network.s1_logits(cache, context), network.s2_logits(cache, context, next_s1, slot)


def compiled_logits_step(*, backend: str, mode: str) -> LogitsStep:
    """As one graph, with the options of the step that serves."""
    options: dict[str, Any] = {}
    if backend == "inductor":
        from torch._inductor import list_mode_options

        options |= list_mode_options(mode)
    compiled: LogitsStep = torch.compile(logits_step, fullgraph=True, dynamic=False, backend=backend, options=options)
    return compiled


def forced_logits(
    kronos: Kronos,
    batch: Sequence[Series],
    sampling: Sampling,
    *,
    samples: int,
    served: Advance,
    logits: LogitsStep,
    places: int,
) -> list[dict[str, Outputs]]:
    """Of each series "s1 logits" and "s2 logits", [H - 1, V] each: nothing where H is 1, since no step is made then.

    batch   of one horizon, each longer than that; together one run, padded to `places` bars
    served  the step that serves, of this network
    Raises ForecastError where `served` draws other tokens than the logits say.
    """
    horizon = len(np.asarray(batch[0].future_times))
    if horizon < 2:
        return [{} for _ in batch]
    tokens = [kronos.encode(series.bars) for series in batch]
    true_s1, true_s2 = (
        torch.from_numpy(np.stack([pair[half][-horizon:] for pair in tokens])).to(kronos.device) for half in (0, 1)
    )
    led = _Led(served, logits, true_s1, true_s2)
    kronos.twin(led, least_places=places).generate_batch(
        [_without_last(series, horizon) for series in batch], sampling, samples=samples
    )
    if led.astray > _ASTRAY * led.drawn:
        raise ForecastError(f"the step draws other tokens than its logits say: {led.astray} of {led.drawn}")
    return [
        {
            f"{half} logits": Outputs(
                values=np.stack([step_logits[row] for step_logits in steps]).astype(np.float64), kind="logits"
            )
            for half, steps in (("s1", led.s1_logits), ("s2", led.s2_logits))
        }
        for row in range(len(batch))
    ]


class _Led:
    """An Advance that goes where the true tokens [B, H] lead, and keeps the logits on its way."""

    def __init__(self, served: Advance, logits: LogitsStep, true_s1: Tensor, true_s2: Tensor) -> None:
        self._served, self._logits = served, logits
        self.generates_code = getattr(served, "generates_code", False)
        self._true = (true_s1, true_s2)
        self.s1_logits: list[np.ndarray[Any, Any]] = []  # [B, V] each
        self.s2_logits: list[np.ndarray[Any, Any]] = []
        self.drawn = self.astray = 0

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
    ) -> tuple[Tensor, Tensor]:
        place = len(self.s1_logits)
        (past_s1, now_s1), (past_s2, now_s2) = (
            (_rows(true[:, place], s1), _rows(true[:, place + 1], s1)) for true in self._true
        )
        drawn, _ = self._served(network, cache, past_s1, past_s2, slot, noise, sampling)
        if s1.device.type == "cuda":
            begin: Any = torch.compiler.cudagraph_mark_step_begin  # without types in torch
            begin()
        first, second = self._logits(network, cache, past_s1, past_s2, now_s1, slot)
        self.drawn += drawn.numel()
        self.astray += int((choose(first, first if noise is None else noise[0], sampling) != drawn).sum())
        self.s1_logits.append(first[:, 0].float().cpu().numpy())
        self.s2_logits.append(second[:, 0].float().cpu().numpy())
        return now_s1, now_s2


def _rows(tokens: Tensor, like: Tensor) -> Tensor:
    """[B] -> [B, R], laid out as drawn ones are."""
    return tokens[:, None].expand_as(like).contiguous()


def _without_last(series: Series, horizon: int) -> Series:
    """As of the bar before the last H, which are what is to come."""
    times = np.asarray(series.times)
    return Series(
        bars=np.asarray(series.bars)[:-horizon],
        times=times[:-horizon],
        future_times=times[-horizon:],
        seed=series.seed,
    )
