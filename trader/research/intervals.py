"""Confidence intervals by resampling: of figures that come one after another, as their neighbours are alike.

What is resampled are blocks of neighbours on a ring (Politis and Romano, 1992). The same seed and length draw the same
places, so that two series that are to be compared are resampled as pairs. Numpy only.

N values, R resamples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CONFIDENCE = 0.95
RESAMPLES = 2000
_SEED = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """`low` to `high` hold the figure with `confidence`."""

    low: float
    high: float
    confidence: float = CONFIDENCE

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


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


def median_interval(values: Floats) -> Interval:
    """Of the median of values [N]."""
    count, block = len(values), usual_block(len(values))
    starts = _starts(count, block, RESAMPLES, _SEED)
    places = (starts[:, :, None] + np.arange(block)) % count  # [R, pieces, block]
    return _between(np.median(values[places.reshape(RESAMPLES, -1)[:, :count]], axis=1))


def sharpe_interval(returns: Floats, a_year: float, block: int, *, resamples: int = RESAMPLES) -> Interval | None:
    """Of the annual Sharpe ratio of returns [N], `a_year` of them a year. None where most resamples never move."""
    return _most(_ratios([returns], a_year, block, resamples)[0])


def sharpe_change_interval(first: Floats, second: Floats, a_year: float) -> Interval | None:
    """Of the second's annual Sharpe ratio less the first's, paired [N]. None where most resamples never move."""
    before, after = _ratios([first, second], a_year, usual_block(len(first)), RESAMPLES)
    return _most(after - before)


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
