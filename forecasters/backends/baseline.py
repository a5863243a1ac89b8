"""The yardstick: adaptive volatility times resampled bar shapes, drift zero. Numpy only, many series at once.

1. A bar's variance is its squared opening gap plus the Garman-Klass estimate from its range.
2. It is divided by the profile of its hour of the day, where the context covers enough days, and bars that follow a
   pause (overnight, an outage) are a cell of their own: an opening gap is not an hourly move.
3. Three exponential averages (short, medium, long, as in the heterogeneous autoregression of realised variance) are
   mixed with fixed weights; with the horizon each fades to the mean of the context, the short one first.
4. Each past bar's gap, body, upper and lower shadow are divided by the volatility that was expected for it. Whole bars
   are drawn from these, newer ones more often, and scaled to the expected volatility of the bar to come. Shadows are
   never negative, so every path is a proper bar by construction.

The drift is zero: log gap and body are centred, because a mean estimated on a few hundred bars is noise, and a
yardstick must not pretend to know a direction.

N series, T context, M = T - 1 bars with a predecessor, H horizon, S samples, Q levels, C channels.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

from forecasters.base import InvalidForecast
from forecasters.options import LEVELS, Levels
from forecasters.types import CLOSE, HIGH, LOW, OPEN, Context, Forecast, interpolate_ordered

DESCRIPTION = "adaptive volatility with jointly resampled bar shapes; no model, no checkpoint"
MODEL = "baseline@1"

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_BLOCK = 256  # series whose volatility is estimated at once
_CACHED_SAMPLES = 1 << 17  # bars sampled at once: larger arrays leave the processor's cache
_DAY_US = 86_400_000_000
_HOUR_US = 3_600_000_000
_AFTER_PAUSE = 24  # the cell after those of the hours
_CELLS = 25
_PROFILE_DAYS = 7  # an hour-of-day profile from fewer days would be a memory of those days
_PRIOR_BARS = 4.0  # a cell of the profile starts with this many bars at factor 1
_ENOUGH_AFTER_PAUSE = 20  # fewer bars after a pause are not resampled on their own
_WEIGHTS = np.array([0.35, 0.35, 0.30])  # short, medium, long
_FADE = 6.0  # a component's distance from the mean halves every _FADE x its half-life
_SPIKE = 25.0  # one bar counts for at most this many times the expected variance
_FLOOR = 0.02  # of the context's mean variance, so that the first move after a flat stretch is not infinite
_LARGEST_LOG_MOVE = 3.0  # keeps exp() finite; anything near it is refused by Forecast anyway


class Options(BaseModel):
    """Half-lives are in bars."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    samples: int = Field(default=256, ge=16, le=100_000)
    levels: Levels = LEVELS
    volatility_half_lives: tuple[float, float, float] = (3.0, 12.0, 72.0)
    residual_half_life: float = Field(default=200.0, gt=0)
    min_bars: int = Field(default=30, ge=30)
    max_bars: int = Field(default=1024, ge=30)
    seed: int = Field(default=0, ge=0)

    @field_validator("volatility_half_lives")
    @classmethod
    def _half_lives_are_positive(cls, half_lives: tuple[float, float, float]) -> tuple[float, float, float]:
        if min(half_lives) <= 0:
            raise ValueError("half-lives must be positive")
        return half_lives


def requires() -> Sequence[str]:
    return ()


def checkpoint(options: Options) -> None:
    """There is none: its forecasts come of its code and its options alone."""


def build(options: Options) -> Baseline:
    return Baseline(options)


class Baseline:
    """A Forecaster. The same seed, symbol and asof give the same forecast, whatever else is in the batch."""

    name = "baseline"

    def __init__(self, options: Options) -> None:
        self._options = options

    def warm_up(self) -> None:
        """Nothing to load."""

    def forecast(self, contexts: Sequence[Context]) -> Mapping[str, Forecast]:
        """Symbols with fewer than `min_bars` bars, or whose forecast would not be a valid one, are absent."""
        start = time.perf_counter()
        forecasts: dict[str, Forecast] = {}
        for block in _blocks(contexts, self._options):
            for context, paths, quantiles in _forecast_block(block, self._options):
                try:
                    forecasts[context.symbol] = self._value(context, paths, quantiles, time.perf_counter() - start)
                except InvalidForecast:  # a series so wild that its quantiles are absurd: no forecast of it
                    continue
        return forecasts

    def close(self) -> None:
        """Nothing to release."""

    def _value(self, context: Context, paths: Floats, quantiles: Floats, latency_s: float) -> Forecast:
        return Forecast(
            symbol=context.symbol,
            asof=context.asof,
            times=context.future_times,
            last_close=context.last_close,
            levels=np.array(self._options.levels),
            quantiles=quantiles,
            paths=paths,
            backend=self.name,
            model=MODEL,
            dtype="float32",
            compile_mode="eager",
            latency_s=latency_s,
        )


def _blocks(contexts: Sequence[Context], options: Options) -> Iterator[list[Context]]:
    """Contexts of equal shape, at most _BLOCK together."""
    groups: dict[tuple[int, int], list[Context]] = {}
    for context in contexts:
        if len(context) >= options.min_bars:
            shape = (min(len(context), options.max_bars), len(context.future_times))
            groups.setdefault(shape, []).append(context)
    for group in groups.values():
        for first in range(0, len(group), _BLOCK):
            yield group[first : first + _BLOCK]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cells:
    """Which bars are alike: `past` [N, M] and `future` [N, H] are an hour of the day, or _AFTER_PAUSE."""

    past: Integers
    future: Integers


def _forecast_block(block: list[Context], options: Options) -> Iterator[tuple[Context, Floats, Floats]]:
    """Yields paths [S, H, C] and quantiles [Q, H, C] of each context, quote currency."""
    bars = min(len(block[0]), options.max_bars)
    prices = np.log(np.stack([context.values[-bars:, :4] for context in block]))  # [N, T, 4]
    parts = _parts(prices)  # [4, N, M]
    cells = _cells(block, bars)
    variance = _bar_variance(prices, parts[0])  # [N, M]
    profile = _profile(variance, cells)  # [N, cells]
    past_factor = np.take_along_axis(profile, cells.past, axis=1)  # [N, M]
    expected, ahead = _volatility(variance / past_factor**2, cells.future.shape[1], options)
    residuals = _centred(parts / (expected * past_factor), options.residual_half_life).astype(np.float32)
    scale = (ahead * np.take_along_axis(profile, cells.future, axis=1)).astype(np.float32)  # [N, H]
    together = max(1, _CACHED_SAMPLES // (options.samples * scale.shape[1]))
    for first in range(0, len(block), together):
        rows = slice(first, first + together)
        picks = _picks(block[rows], cells.past[rows], cells.future[rows], options)
        yield from _sampled(block[rows], residuals[:, rows], picks, scale[rows], options)


def _sampled(
    block: list[Context],
    residuals: NDArray[np.float32],
    picks: Integers,
    scale: NDArray[np.float32],
    options: Options,
) -> Iterator[tuple[Context, Floats, Floats]]:
    relative = _bars(_draw(residuals, picks, scale))  # [N, H, C, S]
    quantiles = interpolate_ordered(np.sort(relative, axis=-1), np.array(options.levels))  # [N, H, C, Q]
    for context, paths, marks in zip(block, relative, quantiles, strict=True):
        yield context, _priced(paths, context.last_close), _priced(marks, context.last_close)


def _priced(relative: NDArray[np.floating], last_close: float) -> Floats:
    """[H, C, K] relative to the last close -> [K, H, C] in quote currency, read-only."""
    prices = np.empty((relative.shape[2], *relative.shape[:2]))
    np.multiply(np.moveaxis(relative, -1, 0), last_close, out=prices, dtype=np.float64)
    prices.flags.writeable = False  # nobody else holds it: Forecast need not copy it
    return prices


def _parts(prices: Floats) -> Floats:
    """[N, T, 4] log prices -> [4, N, M]: gap, body, upper and lower shadow of each bar but the first."""
    opens, high, low, closes = (prices[:, 1:, channel] for channel in (OPEN, HIGH, LOW, CLOSE))
    upper = np.maximum(high - np.maximum(opens, closes), 0.0)
    lower = np.maximum(np.minimum(opens, closes) - low, 0.0)
    return np.stack([opens - prices[:, :-1, CLOSE], closes - opens, upper, lower])


def _bar_variance(prices: Floats, gap: Floats) -> Floats:
    """[N, M] log variance of each bar: squared gap plus Garman and Klass (1980), which is never negative."""
    extent = prices[:, 1:, HIGH] - prices[:, 1:, LOW]
    body = prices[:, 1:, CLOSE] - prices[:, 1:, OPEN]
    variance: Floats = gap**2 + np.maximum(0.5 * extent**2 - (2 * np.log(2) - 1) * body**2, 0.0)
    return variance


def _cells(block: list[Context], bars: int) -> _Cells:
    """The hour of the day (of UTC), one cell for all where there is no profile, and one for bars after a pause."""
    past = np.stack([context.times[-bars:] for context in block]).astype(np.int64)  # [N, T]
    future = np.stack([context.future_times for context in block]).astype(np.int64)  # [N, H]
    step = np.minimum(np.diff(past, axis=1).min(axis=1), future[:, 0] - past[:, -1])[:, None]
    width = np.maximum(step, _HOUR_US)
    span = past[:, -1:] - past[:, :1]
    has_profile = (span >= _PROFILE_DAYS * _DAY_US) & (step < _DAY_US)
    starts = np.concatenate([past, future], axis=1)
    hour = np.where(has_profile, starts % _DAY_US // width, 0)[:, 1:]
    has_pause = np.diff(starts, axis=1) > step
    cell = np.where(has_pause, _AFTER_PAUSE, hour)
    return _Cells(past=cell[:, : bars - 1], future=cell[:, bars - 1 :])


def _profile(variance: Floats, cells: _Cells) -> Floats:
    """[N, cells] volatility of each cell over that of the whole, drawn to 1 where there are few bars."""
    volatility = np.sqrt(variance)
    mean = volatility.mean(axis=1, keepdims=True)
    ratio = np.divide(volatility, mean, out=np.ones_like(volatility), where=mean > 0)
    series = np.arange(len(variance))[:, None] * _CELLS
    flat = (series + cells.past).ravel()
    size = len(variance) * _CELLS
    total = np.bincount(flat, weights=ratio.ravel(), minlength=size)
    count = np.bincount(flat, minlength=size)
    factor = (total + _PRIOR_BARS) / (count + _PRIOR_BARS)
    return factor.reshape(len(variance), _CELLS)


def _volatility(variance: Floats, horizon: int, options: Options) -> tuple[Floats, Floats]:
    """Expected volatility of each past bar from those before it [N, M], and of the bars to come [N, H]."""
    half_lives = np.array(options.volatility_half_lives)
    gain = (1 - 0.5 ** (1 / half_lives))[:, None]
    mean = variance.mean(axis=1)  # [N]
    floor = np.where(mean > 0, _FLOOR * mean, 1.0)  # a flat series: anything but zero, since its parts are zero
    state = np.repeat(mean[None], len(half_lives), axis=0)  # [3, N]
    expected = np.empty_like(variance)
    for bar in range(variance.shape[1]):
        level = np.maximum(_mixed(state), floor)
        expected[:, bar] = level
        state += gain * (np.minimum(variance[:, bar], _SPIKE * level) - state)
    steps = np.arange(horizon)[:, None]
    fade = 0.5 ** (steps / (_FADE * half_lives))  # [H, 3]
    ahead = np.stack([_mixed(mean + keep[:, None] * (state - mean)) for keep in fade], axis=1)  # [N, H]
    return np.sqrt(expected), np.sqrt(np.where(mean[:, None] > 0, np.maximum(ahead, floor[:, None]), 0.0))


def _mixed(state: Floats) -> Floats:
    """[3, N] -> [N]. Written out: a matrix product may round differently with the size of the batch."""
    mixed: Floats = _WEIGHTS[0] * state[0] + _WEIGHTS[1] * state[1] + _WEIGHTS[2] * state[2]
    return mixed


def _centred(residuals: Floats, half_life: float) -> Floats:
    """[4, N, M] with the weighted mean of gap and body removed: no drift."""
    bars = residuals.shape[-1]
    weights = 0.5 ** (np.arange(bars)[::-1] / half_life)
    mean = (residuals[:2] * weights).sum(axis=-1, keepdims=True) / weights.sum()
    residuals[:2] -= mean
    return residuals


def _picks(block: list[Context], past: Integers, future: Integers, options: Options) -> Integers:
    """[N, H, S] which past bar each sample copies, newer ones more often. `past` and `future` are the cells.

    Bars after a pause copy only such bars where there are enough of them, and the others never do.
    """
    uniform = np.stack([_uniform(context, future.shape[1], options) for context in block])  # [N, H, S]
    bars = past.shape[1]
    has_pause = past == _AFTER_PAUSE  # [N, M]
    if not has_pause.any():
        oldest_first: Integers = bars - 1 - _rank(uniform, np.full((len(block), 1, 1), bars), bars, options)
        return oldest_first
    newest = np.arange(bars)[::-1]
    enough = has_pause.sum(axis=1, keepdims=True) >= _ENOUGH_AFTER_PAUSE
    kind = np.where(enough, has_pause, False)  # [N, M]
    after_pause_ahead = (future == _AFTER_PAUSE) & enough  # [N, H]
    picks = np.empty(uniform.shape, dtype=np.int64)
    for after_pause in (False, True):
        members = kind == after_pause
        count = np.maximum(members.sum(axis=1), 1)[:, None, None]
        order = np.argsort(np.where(members, newest, bars), axis=1, kind="stable")  # newest member first
        rank = _rank(uniform, count, bars, options)
        candidates = np.take_along_axis(order, rank.reshape(len(block), -1), axis=1).reshape(uniform.shape)
        picks = np.where((after_pause_ahead == after_pause)[:, :, None], candidates, picks)
    return picks


def _rank(uniform: NDArray[np.float32], count: Integers, bars: int, options: Options) -> Integers:
    """Inverse of the truncated geometric distribution: 0 is the newest of `count` bars."""
    half_life = options.residual_half_life * count / bars
    kept = (1 - 0.5 ** (count / half_life)).astype(np.float32)
    age = np.log2(1 - uniform * kept) * (-half_life).astype(np.float32)
    rank: Integers = np.minimum(age.astype(np.int64), count - 1)
    return rank


def _uniform(context: Context, horizon: int, options: Options) -> NDArray[np.float32]:
    """[H, S] in [0, 1), from the seed, the symbol and asof alone; the first step is stratified over its samples."""
    text = f"{options.seed}|{context.series}|{context.asof.isoformat()}"
    key = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little")
    uniform = np.random.Generator(np.random.Philox(key=key)).random((horizon, options.samples), dtype=np.float32)
    strata = np.arange(options.samples, dtype=np.float32)
    uniform[0] = (strata + uniform[0]) / options.samples
    return np.minimum(uniform, np.float32(1 - 2**-24), out=uniform)


def _draw(residuals: NDArray[np.float32], picks: Integers, scale: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """[4, N, M] standardised parts -> four of [N, H, S], in log units."""
    series, horizon, samples = picks.shape
    flat = picks.reshape(series, horizon * samples)
    return [
        np.take_along_axis(part, flat, axis=1).reshape(series, horizon, samples) * scale[:, :, None]
        for part in residuals
    ]


def _bars(parts: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Gap, body and shadows [N, H, S] -> bars relative to the last close [N, H, C, S]."""
    gap, body, upper, lower = parts
    closes = np.cumsum(gap + body, axis=1)
    opens = closes - body
    logs = np.stack([opens, np.maximum(opens, closes) + upper, np.minimum(opens, closes) - lower, closes], axis=2)
    bars: NDArray[np.float32] = np.exp(np.clip(logs, -_LARGEST_LOG_MOVE, _LARGEST_LOG_MOVE))
    # exp in single precision is not monotone to the last bit
    np.maximum(bars[:, :, HIGH], np.maximum(bars[:, :, OPEN], bars[:, :, CLOSE]), out=bars[:, :, HIGH])
    np.minimum(bars[:, :, LOW], np.minimum(bars[:, :, OPEN], bars[:, :, CLOSE]), out=bars[:, :, LOW])
    return bars
