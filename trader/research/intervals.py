"""Confidence intervals by resampling: of figures that come one after another, as their neighbours are alike.

What is resampled are blocks of neighbours on a ring (Politis and Romano, 1992). The same seed and length draw the same
places, so that two series that are to be compared are resampled as pairs. How long a block is follows from how long
the figures remember (`automatic_block`). Numpy only.

N values, R resamples.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CONFIDENCE = 0.95
RESAMPLES = 2000
_SEED = 7
_LEAST = 4  # values, and blocks: of fewer nothing is known of how they scatter
_ENOUGH = 3  # times the automatic length: that one serves the estimate of a variance, an interval that is to cover more


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """`low` to `high` hold the figure with `confidence`."""

    low: float
    high: float
    confidence: float = CONFIDENCE

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """A ratio as measured, and the interval that holds the true one with CONFIDENCE. All NaN where there is none."""

    middle: float
    low: float
    high: float


def usual_block(count: int) -> int:
    """The cube root of the count, as for means of series that depend weakly on their past."""
    return max(1, round(math.cbrt(count)))


def mean_interval(values: Floats, block: int, *, resamples: int = RESAMPLES, seed: int = _SEED) -> Interval:
    """Of the mean of values [N]."""
    (sums,), size = _drawn_sums([values], block, resamples, seed)
    return _between(sums / size)


def sum_interval(values: Floats, block: int) -> Interval:
    """Of the sum of values [N]."""
    (sums,), size = _drawn_sums([values], block, RESAMPLES, _SEED)
    return _between(sums * (len(values) / size))


def ratio_of_sums(top: Floats, bottom: Floats) -> Ratio:
    """Of positive values [N], [N], resampled as pairs."""
    return _ratio(top, bottom, lambda drawn: drawn.sum(axis=-1), lambda values: values / values.mean())


def ratio_of_quantiles(top: Floats, bottom: Floats, level: float) -> Ratio:
    """Of the quantile of positive values [N] to that of others [N], resampled as pairs."""

    def pull(values: Floats) -> Floats:
        aside = min(level, 1 - level) / 2
        low, middle, high = np.quantile(values, [level - aside, level, level + aside])
        pulls: Floats = (values > middle) * float((high - low) / (2 * aside * middle))
        return pulls

    return _ratio(top, bottom, lambda drawn: np.quantile(drawn, level, axis=-1), pull)


def sharpe_interval(returns: Floats, a_year: float, block: int, *, resamples: int = RESAMPLES) -> Interval | None:
    """Of the annual Sharpe ratio of returns [N], `a_year` of them a year. None where most resamples never move."""
    return _most(_ratios([returns], a_year, block, resamples)[0])


def sharpe_change_interval(first: Floats, second: Floats, a_year: float) -> Interval | None:
    """Of the second's annual Sharpe ratio less the first's, paired [N]. None where most resamples never move."""
    before, after = _ratios([first, second], a_year, automatic_block(second - first), RESAMPLES)
    return _most(after - before)


# ---- how long a block is ----


def automatic_block(values: Floats) -> int:
    """From values [N]: as many neighbours as remember each other, and three times that.

    The length that makes the variance of a mean most exact (Politis and White, 2004: "Automatic block-length selection
    for the dependent bootstrap"; corrected by Patton, Politis and White, 2009), for blocks on a ring: the cube root of
    2 N (G / g)^2 / (4 / 3), g the sum of the autocovariances and G that of them times their lags, both through a
    flat-topped window that ends at twice the last lag that is told from chance. An interval from blocks of that length
    covers too little where memory is long; from three times as long ones it covers 92% and more of the true figures in
    simulations, and where there is no memory it hardly widens.
    """
    count, apart = len(values), values - values.mean()
    most = max(1, count // _LEAST)
    if count < 2 * _LEAST or not np.any(np.abs(apart) > 1e-12 * np.abs(values).max()):
        return 1
    in_a_row = max(5, math.ceil(math.sqrt(math.log10(count))))
    lags = min(count - 1, math.ceil(math.sqrt(count)) + in_a_row)
    covariances = np.array([apart[: count - lag] @ apart[lag:] for lag in range(lags + 1)]) / count
    by_chance = np.abs(covariances / covariances[0]) < 2 * math.sqrt(math.log10(count) / count)
    last = next((lag for lag in range(lags - in_a_row) if by_chance[lag + 1 :][:in_a_row].all()), lags - in_a_row)
    lag = np.arange(1, min(2 * max(last, 1), lags) + 1)
    seen = np.minimum(2 * (1 - lag / len(lag)), 1) * covariances[lag]
    whole = covariances[0] + 2 * seen.sum()
    if whole <= 0:  # each makes up for the one before: blocks of one say rather too much
        return 1
    length = math.cbrt(2 * count * (2 * (lag * seen).sum() / whole) ** 2 / (4 / 3))
    return min(max(1, math.ceil(_ENOUGH * length)), most)


def _ratio(top: Floats, bottom: Floats, figure: Callable[[Floats], Floats], pull: Callable[[Floats], Floats]) -> Ratio:
    """Of a figure of each. `pull`: how far each value pulls at the figure's logarithm, [N] up to a common factor.

    The blocks are as long as the two pulls together remember: what moves both by the same moves no ratio.
    """
    count = len(top)
    if count < _LEAST:
        return Ratio(middle=math.nan, low=math.nan, high=math.nan)
    block = automatic_block(pull(top) - pull(bottom))
    starts = _starts(count, block, RESAMPLES, _SEED)
    places = ((starts[:, :, None] + np.arange(block)) % count).reshape(RESAMPLES, -1)[:, :count]
    middle = math.log(float(figure(top) / figure(bottom)))
    found = _between(np.log(figure(top[places]) / figure(bottom[places])))
    wider = _wider(count / block)
    low, high = middle - wider * (middle - found.low), middle + wider * (found.high - middle)
    return Ratio(middle=math.exp(middle), low=math.exp(min(low, middle)), high=math.exp(max(high, middle)))


def _wider(blocks: float) -> float:
    """How much wider an interval is whose scatter is known from so few: Student's t by its series in 1 / freedom."""
    z, freedom = NormalDist().inv_cdf((1 + CONFIDENCE) / 2), max(blocks - 1, _LEAST - 1)
    t = (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )
    return t / z * math.sqrt((freedom + 1) / freedom)


# ---- the resampling ----


def _ratios(series: list[Floats], a_year: float, block: int, resamples: int) -> list[Floats]:
    """[R] each, NaN where nothing moves. Of a block, the sum and the sum of squares are all that a ratio needs."""
    sums, size = _drawn_sums([values for one in series for values in (one, one**2)], block, resamples, _SEED)
    ratios = []
    for total, squares in zip(sums[::2], sums[1::2], strict=True):
        mean = total / size
        variance = (squares - size * mean**2) / (size - 1)
        ratio = np.divide(mean, np.sqrt(np.maximum(variance, 0)), out=np.full(resamples, np.nan), where=variance > 0)
        ratios.append(ratio * math.sqrt(a_year))
    return ratios


def _drawn_sums(series: list[Floats], block: int, resamples: int, seed: int) -> tuple[list[Floats], int]:
    """The sum of each resample of each series [N], at the same places, and how many values a resample has."""
    count = len(series[0])
    length = min(max(block, 1), count)
    starts = _starts(count, length, resamples, seed)
    found = []
    for values in series:
        sums = np.cumsum(np.concatenate([[0.0], values, values[: length - 1]]))
        found.append((sums[starts + length] - sums[starts]).sum(axis=1))
    return found, starts.shape[1] * length


def _starts(count: int, block: int, resamples: int, seed: int) -> NDArray[np.int64]:
    """[R, pieces] where the blocks begin."""
    return np.random.default_rng(seed).integers(0, count, size=(resamples, math.ceil(count / block)))


def _most(found: Floats) -> Interval | None:
    usable = found[np.isfinite(found)]
    return _between(usable) if len(usable) >= len(found) // 2 else None


def _between(found: Floats) -> Interval:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(found, [tail, 1 - tail])
    return Interval(low=float(low), high=float(high))
