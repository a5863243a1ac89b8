"""Bars in, sampled paths out.

Read from the end upwards: draw a token pair, one step, the loop, one group of series, a batch.

The cached strategy computes a series' context once, then one token a sample a step; it is exact while context and
horizon fit into max_context, and the context is cut to that. The strict strategy computes the whole window again at
each step, as the original does, and takes any context.

B series, S samples, R rows a series in the caches, T context, H horizon, D width, V tokens.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from forecasters.base import ForecastError, InvalidContext
from forecasters.kronos.arithmetic import PLAIN, Arithmetic
from forecasters.kronos.cache import CacheShape
from forecasters.kronos.features import (
    DEFAULT_CLIP,
    Floats,
    Integers,
    Standardised,
    calendar,
    complete_bars,
    standardise,
)
from forecasters.kronos.folded import FoldedNetwork, FoldedTokenizer, NetworkCache, least_rows
from forecasters.kronos.linear import LEAST_ROWS
from forecasters.kronos.native import native_or_plain
from forecasters.kronos.sampling import Noise, Sampling, choose
from forecasters.kronos.step import Advance, advance, draw_pair
from forecasters.kronos.weights import Checkpoint

__all__ = ["Advance", "Kronos", "Series", "Strategy", "advance", "most_series"]

Strategy = Literal["cached", "strict"]

_PLACES = 16  # contexts of up to so many bars' difference share one shape
_MOST_ROWS = 512  # samples of all series in one step: bounds the memory, and changes no result
_MOST_DECODED = 1 << 14  # bars decoded at once


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Series:
    """One request. `bars` as complete_bars takes them, times in UTC, int64 nanoseconds or datetime64."""

    bars: ArrayLike
    times: ArrayLike
    future_times: ArrayLike
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Prepared:
    bars: Standardised
    past: Tensor  # [T, 5]
    future: Tensor  # [H, 5]
    s1: Tensor  # [T]
    s2: Tensor
    seed: int


class Kronos:
    """A loaded checkpoint. Not for several threads at once: the caches are its own."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        clip: float = DEFAULT_CLIP,
        dtype: torch.dtype = torch.float32,
        device: torch.device | None = None,
        step: Advance | None = None,
    ) -> None:
        """`step` is `advance`, or the same compiled."""
        self.label = checkpoint.label
        self.max_context = checkpoint.max_context
        self.clip = clip
        self.device = device or torch.device("cpu")
        self.dtype = dtype
        self._network = checkpoint.network.to(self.device)
        self._tokenizer = checkpoint.tokenizer.to(self.device)
        with torch.no_grad():
            self._folded = FoldedNetwork(self._network, self.max_context, dtype)
            self._codec = FoldedTokenizer(self._tokenizer, self.max_context)
        self._cache: NetworkCache | None = None
        self._advance = step or advance
        self._least_places = 0

    def twin(self, step: Advance, *, least_places: int = 0) -> Kronos:
        """The same weights, in the same memory, with caches of its own.

        step          `advance`, or the same compiled
        least_places  contexts are padded to so many bars at least, so that shorter ones share one shape with longer
        """
        other = copy.copy(self)
        other._cache, other._advance, other._least_places = None, step, _padded(least_places)
        return other

    @property
    def _arithmetic(self) -> Arithmetic:
        """Kernels of our own where the step is generated code on a CPU; built when first needed, as the step is."""
        generated = self.device.type == "cpu" and getattr(self._advance, "generates_code", False)
        return native_or_plain() if generated else PLAIN

    @torch.no_grad()
    def encode(self, bars: ArrayLike) -> tuple[Integers, Integers]:
        """[T, 6] bars -> s1 and s2, [T] int64 each. Raises InvalidContext."""
        prepared = standardise(complete_bars(bars), self.clip)
        s1, s2 = self._codec.encode(torch.from_numpy(prepared.values).to(self.device))
        return s1.cpu().numpy(), s2.cpu().numpy()

    @torch.no_grad()
    def logits(self, bars: ArrayLike, times: ArrayLike) -> tuple[Floats, Floats]:
        """Of the bar after the last one: s1 [V], and s2 [V] given the most likely s1. Raises InvalidContext."""
        stamps = calendar(times)
        series = self._prepared(Series(bars=bars, times=times, future_times=times), stamps[-1:])
        window = _last(series, self.max_context)
        cache = self._ready_cache([window], rows=LEAST_ROWS)
        row = self._folded.prefill(cache, 0, window.s1, window.s2, window.past)
        context = row.expand(1, LEAST_ROWS, -1)
        s1_logits = self._folded.s1_logits(cache, context)
        s2_logits = self._folded.s2_logits(
            cache, context, s1_logits.argmax(dim=-1), torch.tensor([-1], device=self.device)
        )
        return s1_logits[0, 0].float().cpu().numpy(), s2_logits[0, 0].float().cpu().numpy()

    def generate(
        self,
        bars: ArrayLike,
        times: ArrayLike,
        future_times: ArrayLike,
        *,
        samples: int = 1,
        greedy: bool = False,
        temperature: float = 1.0,
        top_p: float = 0.9,
        top_k: int = 0,
        seed: int = 0,
        strategy: Strategy = "cached",
        noise: Literal["exponential", "uniform"] = "exponential",
    ) -> Floats:
        """Paths [S, H, 6] float32 in the bars' units. Raises InvalidContext.

        bars          [T, 6] open, high, low, close, volume, amount; the cached strategy uses the last max_context - H
        times         [T] starts of the bars, UTC, int64 nanoseconds or datetime64
        future_times  [H]
        seed          on a CPU, with all samples of one series, the tokens are the original's under the same seed
        noise         uniform is quicker with many samples, and draws other tokens for a seed; see Sampling
        """
        series = Series(bars=bars, times=times, future_times=future_times, seed=seed)
        sampling = Sampling(greedy=greedy, temperature=temperature, top_p=top_p, top_k=top_k, noise=noise)
        return self.generate_batch([series], sampling, samples=samples, strategy=strategy)[0]

    @torch.no_grad()
    def draw(
        self, series: Series, sampling: Sampling, *, samples: int, strategy: Strategy = "cached"
    ) -> tuple[Integers, Integers]:
        """The tokens behind the paths: s1 and s2, [S, H] int64 each. Raises InvalidContext."""
        prepared = self._prepared_for(series, strategy)
        if strategy == "strict":
            tokens = self._strict(prepared, sampling, samples)
        else:
            tokens = self._cached([prepared], sampling, samples)[0]
        return tokens[0].cpu().numpy(), tokens[1].cpu().numpy()

    @torch.no_grad()
    def generate_batch(
        self, batch: Sequence[Series], sampling: Sampling, *, samples: int, strategy: Strategy = "cached"
    ) -> list[Floats]:
        """Paths [S, H, 6] of each series, in the order given; of any lengths. Raises InvalidContext.

        Contexts are padded behind to a multiple of 16 and masked, positions count from each series' own first bar, and
        only equal paddings run together. So on a CPU a series' paths are the same, bit by bit, whatever it runs with.
        """
        if samples < 1:
            raise ValueError(f"samples is {samples}, must be at least 1")
        if strategy not in ("cached", "strict"):
            raise ValueError(f"strategy is {strategy!r}, must be 'cached' or 'strict'")
        prepared = [self._prepared_for(series, strategy) for series in batch]
        if strategy == "strict":
            all_tokens = [self._strict(series, sampling, samples) for series in prepared]
            return [self._decoded_alone(series, *tokens) for series, tokens in zip(prepared, all_tokens, strict=True)]
        # one greedy path: in the original's order of operations, since parity is judged by it and amounts cancel
        decode = self._decoded_alone if sampling.greedy and samples == 1 else self._decoded
        paths: dict[int, Floats] = {}
        for group in self._groups(prepared, samples):
            members = [prepared[index] for index in group]
            for index, series, tokens in zip(group, members, self._cached(members, sampling, samples), strict=True):
                paths[index] = decode(series, *tokens)
        return [paths[index] for index in range(len(batch))]

    def drop_cache(self) -> None:
        """Give the caches' memory back."""
        self._cache = None

    def _prepared_for(self, series: Series, strategy: Strategy) -> _Prepared:
        future = calendar(series.future_times)
        if len(future) == 0:
            raise InvalidContext("there are no future times: give the start of each bar to forecast")
        if strategy == "strict":
            return self._prepared(series, future)
        lookback = self.max_context - len(future)
        if lookback < 1:
            raise InvalidContext(f"a horizon of {len(future)} leaves no room in a context of {self.max_context}")
        bars, times = np.asarray(series.bars)[-lookback:], np.asarray(series.times)[-lookback:]
        return self._prepared(Series(bars=bars, times=times, future_times=(), seed=series.seed), future)

    def _prepared(self, series: Series, future: Integers) -> _Prepared:
        bars, past = complete_bars(series.bars), calendar(series.times)
        if len(bars) != len(past):
            raise InvalidContext(f"{len(bars)} bars but {len(past)} times")
        standardised = standardise(bars, self.clip)
        s1, s2 = self._codec.encode(torch.from_numpy(standardised.values).to(self.device))
        return _Prepared(
            bars=standardised,
            past=torch.from_numpy(past).to(self.device),
            future=torch.from_numpy(future).to(self.device),
            s1=s1,
            s2=s2,
            seed=series.seed,
        )

    def _cached(self, group: Sequence[_Prepared], sampling: Sampling, samples: int) -> list[tuple[Tensor, Tensor]]:
        """s1 and s2 of each series, [S, H] each."""
        rows = max(samples, least_rows(self._folded, self._arithmetic))
        cache = self._ready_cache(group, rows)
        contexts = [
            self._folded.prefill(cache, index, series.s1, series.s2, series.past) for index, series in enumerate(group)
        ]
        context = torch.stack(contexts)[:, None].expand(-1, rows, -1)  # [B, R, D]
        s1, s2 = self._draw_all(cache, context, [series.seed for series in group], sampling, samples)
        self._refuse_no_numbers(context, cache.dependency.suffix_values)  # what each step came to
        return list(zip(s1[:, :samples], s2[:, :samples], strict=True))

    def _draw_all(
        self, cache: NetworkCache, context: Tensor, seeds: Sequence[int], sampling: Sampling, samples: int
    ) -> tuple[Tensor, Tensor]:
        """The loop: [B, R, D] after the contexts -> s1 and s2, [B, R, H] each. Waits for the device at no step."""
        noise = self._noise(seeds, sampling, samples=samples, rows=cache.shape.rows)
        slots = torch.arange(-1, cache.shape.drawn - 1, device=self.device)  # a slot is written one step after its draw
        shape = (*context.shape[:2], cache.shape.drawn)
        drawn_s1, drawn_s2 = (torch.zeros(shape, dtype=torch.int64, device=self.device) for _ in range(2))
        for index in range(cache.shape.drawn):
            slot = slots[index : index + 1]
            both = None if noise is None else (noise[0].draw(), noise[1].draw())
            if index == 0:
                s1, s2 = draw_pair(self._folded, cache, context, slot, both, sampling)
            else:
                s1, s2 = self._advance(self._folded, cache, s1, s2, slot, both, sampling)
            drawn_s1[..., index], drawn_s2[..., index] = s1, s2
        return drawn_s1, drawn_s2

    def _noise(
        self, seeds: Sequence[int], sampling: Sampling, *, samples: int, rows: int
    ) -> tuple[Noise, Noise] | None:
        """One stream a series, drawn from for s1 and s2 in turn, as the original does."""
        if sampling.greedy:
            return None
        config = self._network.config
        generators = [torch.Generator(device=self.device).manual_seed(seed) for seed in seeds]
        s1_noise = Noise(generators, sampling, samples=samples, rows=rows, tokens=2**config.s1_bits)
        return s1_noise, Noise(generators, sampling, samples=samples, rows=rows, tokens=2**config.s2_bits)

    def _decoded(self, series: _Prepared, s1: Tensor, s2: Tensor) -> Floats:
        """[S, H] drawn tokens -> [S, H, 6] in the bars' units."""
        together = max(1, _MOST_DECODED // s1.shape[1])
        parts = [
            self._codec.decode_suffix(
                series.s1, series.s2, s1[first : first + together], s2[first : first + together], self._arithmetic
            )
            for first in range(0, len(s1), together)
        ]
        return self._restored(series, torch.cat(parts))

    def _decoded_alone(self, series: _Prepared, s1: Tensor, s2: Tensor) -> Floats:
        """The same, each sample with its whole window, as the original does it."""
        most, horizon = self.max_context, s1.shape[1]
        whole_s1, whole_s2 = _joined(series.s1, s1), _joined(series.s2, s2)
        values = self._tokenizer.decode(whole_s1[:, -most:], whole_s2[:, -most:])
        return self._restored(series, values[:, -horizon:])

    def _restored(self, series: _Prepared, values: Tensor) -> Floats:
        standardised: NDArray[np.float32] = values.cpu().numpy()
        self._refuse_no_numbers(values)
        return series.bars.restore(standardised)

    def _refuse_no_numbers(self, *outputs: Tensor) -> None:
        """Of logits that are no numbers the first token is drawn, each time: a forecast like any other, and sure."""
        if not bool(torch.isfinite(torch.stack([output.sum(dtype=torch.float32) for output in outputs]).sum())):
            self.drop_cache()  # what is in it may be what is wrong
            raise ForecastError("the model's output is not finite")

    def _ready_cache(self, group: Sequence[_Prepared], rows: int) -> NetworkCache:
        """The same memory as last time where the shape is the same."""
        horizon = len(group[0].future)
        shape = CacheShape(series=len(group), rows=rows, context=self._places(group[0]), drawn=horizon)
        if self._cache is None or self._cache.shape != shape:
            self._cache = None  # let go of the old before the new is taken
            self._cache = NetworkCache(self._folded, shape, self._arithmetic)
        future = torch.stack([series.future for series in group])
        self._cache.begin([len(series.s1) for series in group], self._folded.calendar(future))
        return self._cache

    def _places(self, series: _Prepared) -> int:
        return max(self._least_places, _padded(len(series.s1)))

    def _groups(self, prepared: Sequence[_Prepared], samples: int) -> list[list[int]]:
        """Indices of series that run together: of one padded length and horizon, and not too many."""
        together: dict[tuple[int, int], list[int]] = {}
        for index, series in enumerate(prepared):
            together.setdefault((self._places(series), len(series.future)), []).append(index)
        most = most_series(samples)
        return [group[first : first + most] for group in together.values() for first in range(0, len(group), most)]

    def _strict(self, series: _Prepared, sampling: Sampling, samples: int) -> tuple[Tensor, Tensor]:
        """s1 and s2, [S, H] each: everything again at each step, exact however long the context."""
        most, count = self.max_context, len(series.s1)
        stamps = torch.cat((series.past, series.future))
        s1, s2 = (tokens.expand(samples, -1) for tokens in (series.s1, series.s2))  # [S, T]
        noise = self._noise([series.seed], sampling, samples=samples, rows=samples)
        for end in range(count, count + len(series.future)):
            window = stamps[max(0, end - most) : end].expand(samples, -1, -1)
            context = self._network.context(s1[:, -most:], s2[:, -most:], window)
            logits = self._network.s1_logits(context)
            next_s1 = choose(logits, logits if noise is None else noise[0].draw()[0], sampling)
            logits = self._network.s2_logits(context, next_s1)
            next_s2 = choose(logits, logits if noise is None else noise[1].draw()[0], sampling)
            self._refuse_no_numbers(context, logits)
            s1, s2 = torch.cat((s1, next_s1[:, None]), dim=1), torch.cat((s2, next_s2[:, None]), dim=1)
        return s1[:, count:], s2[:, count:]


def _joined(context: Tensor, drawn: Tensor) -> Tensor:
    """[T] and [S, H] -> [S, T + H]"""
    return torch.cat((context.expand(len(drawn), -1), drawn), dim=1)


def _last(series: _Prepared, most: int) -> _Prepared:
    return _Prepared(
        bars=series.bars,
        past=series.past[-most:],
        future=series.future,
        s1=series.s1[-most:],
        s2=series.s2[-most:],
        seed=series.seed,
    )


def _padded(bars: int) -> int:
    return -(-bars // _PLACES) * _PLACES


def most_series(samples: int) -> int:
    """How many series are drawn from at once."""
    return max(1, _MOST_ROWS // max(samples, LEAST_ROWS))
