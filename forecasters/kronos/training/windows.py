"""Bars to training windows: a context, and a horizon behind it.

Mean and spread of a window come from its context alone, as they do when it is forecast: bars of the horizon that took
part in them would be told beforehand. A batch follows from the seed, the stage and the step, so that a training that
was cut off goes on with the very windows it would have had.

B windows, C context, H horizon, W = C + H bars, T bars of a series.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forecasters.kronos.features import Floats, Standardised, calendar, complete_bars, standardise
from forecasters.kronos.training.recipe import SHORTEST_CONTEXT, Recipe, TrainingError

Stamps = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingSeries:
    """bars [T, 6] float32 in quote currency and units; stamps [T, 5] minute, hour, weekday, day, month.

    symbol  canonical, of recorded bars; empty where nobody traded them
    times   [T] datetime64[us] UTC, each bar's start
    """

    name: str
    bars: Floats
    stamps: Stamps
    times: NDArray[np.datetime64]
    symbol: str = ""

    def __len__(self) -> int:
        return len(self.bars)

    def part(self, first: int, last: int) -> TrainingSeries:
        pieces = {name: getattr(self, name)[first:last] for name in ("bars", "stamps", "times")}
        return replace(self, **pieces)

    def between(self, start: datetime | None, end: datetime | None) -> TrainingSeries:
        """The bars that begin at `start` or later and have closed by `end`, aware UTC."""
        first = 0 if start is None else int(np.searchsorted(self.times, _plain(start)))
        last = len(self) if end is None else int(np.searchsorted(self.times + self._step, _plain(end), side="right"))
        return self.part(first, max(first, last))

    @property
    def until(self) -> datetime:
        """When the newest bar had closed, aware UTC."""
        closed: datetime = (self.times[-1] + self._step).astype("datetime64[us]").astype(datetime)
        return closed.replace(tzinfo=UTC)

    @property
    def _step(self) -> np.timedelta64:
        """A bar's length: the smallest distance between starts."""
        return np.diff(self.times).min() if len(self) > 1 else np.timedelta64(0, "us")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """
    values        [B, W, 6] float32, standardised by each window's first `context` bars
    mean, spread  [B, 6] float32, of those
    stamps        [B, W, 5] int64
    """

    values: Floats
    mean: Floats
    spread: Floats
    stamps: NDArray[np.int64]
    context: int


def _plain(moment: datetime) -> np.datetime64:
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")


def training_series(name: str, bars: ArrayLike, times: ArrayLike, symbol: str = "") -> TrainingSeries:
    """[T, 4], [T, 5] or [T, 6] bars and the start of each, UTC, oldest first. Raises InvalidContext, TrainingError."""
    complete, stamps = complete_bars(bars), calendar(times)
    if len(complete) != len(stamps):
        raise TrainingError(f"{name}: {len(complete)} bars but {len(stamps)} times")
    moments = np.asarray(times).astype("datetime64[us]")
    if (moments[1:] <= moments[:-1]).any():
        raise TrainingError(f"{name}: bars must be in order of time, each time once")
    return TrainingSeries(name=name, bars=complete, stamps=stamps.astype(np.uint8), times=moments, symbol=symbol)


def split(series: Sequence[TrainingSeries], recipe: Recipe) -> tuple[list[TrainingSeries], list[TrainingSeries]]:
    """(to learn from, to validate with): the newest share of each series is kept back. Raises TrainingError."""
    least = SHORTEST_CONTEXT + recipe.horizon
    learning, validating = [], []
    for bars in series:
        cut = len(bars) - max(least, round(len(bars) * recipe.validation_share))
        if cut >= least:
            learning.append(bars.part(0, cut))
            validating.append(bars.part(cut, len(bars)))
    if not learning:
        longest = max((len(bars) for bars in series), default=0)
        raise TrainingError(
            f"the longest series has {longest} bars: to learn and to validate takes at least {2 * least} "
            f"(a context of {SHORTEST_CONTEXT} and a horizon of {recipe.horizon}, twice); give more bars"
        )
    return learning, validating


def fingerprint(series: Sequence[TrainingSeries]) -> str:
    """Of all that is learned from."""
    digest = sha256()
    for each in series:
        digest.update(each.name.encode())
        digest.update(np.ascontiguousarray(each.bars).data)
        digest.update(np.ascontiguousarray(each.stamps).data)
    return digest.hexdigest()[:16]


class Windows:
    """Windows of several series, each as likely as any other of its length."""

    def __init__(self, series: Sequence[TrainingSeries], recipe: Recipe) -> None:
        self._series = list(series)
        self._recipe = recipe
        longest = max(len(each) for each in series)
        self._longest = min(recipe.longest_context, longest - recipe.horizon)
        self._shortest = min(recipe.shortest_context, self._longest)

    def batch(self, stage: str, step: int) -> Batch:
        """Of about `tokens` bars. The same stage and step give the same batch."""
        recipe = self._recipe
        random = np.random.default_rng([recipe.seed, zlib.crc32(stage.encode()), step])
        low, high = np.log(self._shortest), np.log(self._longest)
        context = min(self._longest, round(float(np.exp(random.uniform(low, high)))))
        return self._drawn(random, context, max(1, recipe.tokens // (context + recipe.horizon)))

    def fixed(self, stage: str, count: int) -> list[Batch]:
        """For validation: the same `count` batches at any time."""
        return [self.batch(f"{stage} validation", index) for index in range(count)]

    def _drawn(self, random: np.random.Generator, context: int, count: int) -> Batch:
        width = context + self._recipe.horizon
        places = np.maximum([len(series) - width + 1 for series in self._series], 0)
        picks = random.integers(0, places.sum(), size=count)
        ends = np.cumsum(places)
        owners = np.searchsorted(ends, picks, side="right")
        starts = picks - (ends[owners] - places[owners])
        picked = [(self._series[owner], start) for owner, start in zip(owners.tolist(), starts.tolist(), strict=True)]
        windows = [window(series.bars[start : start + width], context, self._recipe.clip) for series, start in picked]
        return Batch(
            values=np.stack([values for values, _ in windows]),
            mean=np.stack([statistics.mean for _, statistics in windows]),
            spread=np.stack([statistics.spread for _, statistics in windows]),
            stamps=np.stack([series.stamps[s : s + width] for series, s in picked]).astype(np.int64),
            context=context,
        )


def window(bars: Floats, context: int, clip: float) -> tuple[Floats, Standardised]:
    """[W, 6] complete bars -> [W, 6] standardised by the first `context` of them, within +-clip; and by what."""
    head = standardise(bars[:context], clip)
    tail = bars[context:]
    if head.factor != 1.0:
        tail = tail * np.array([head.factor] * 4 + [1.0, head.factor], dtype=np.float32)
    behind = np.clip((tail - head.mean) / head.spread, -clip, clip).astype(np.float32)
    return np.concatenate([head.values, behind]), head
