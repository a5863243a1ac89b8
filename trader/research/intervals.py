"""Confidence intervals by resampling blocks of what was measured one after another, since neighbours are alike."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from trader.research.figures import CONFIDENCE, RESAMPLES, Interval

Floats = NDArray[np.float64]
_SEED = 11


def blocks_of(values: Floats) -> int:
    """The length of a block: the cube root of the count, as for means of series that depend weakly on their past."""
    return max(1, round(math.cbrt(len(values))))


def resampled(values: Floats, length: int, resamples: int = RESAMPLES) -> Floats:
    """[resamples, about N] circular blocks of `length` of the values [N]."""
    count = len(values)
    blocks = math.ceil(count / length)
    starts = np.random.default_rng(_SEED).integers(0, count, size=(resamples, blocks, 1))
    places = (starts + np.arange(length)) % count
    found: Floats = values[places.reshape(resamples, -1)[:, :count]]
    return found


def median_interval(values: Floats) -> Interval:
    """Of the median."""
    return _interval(np.median(resampled(values, blocks_of(values)), axis=1))


def sum_interval(values: Floats, length: int) -> Interval:
    """Of the sum."""
    return _interval(resampled(values, length).sum(axis=1))


def sharpe_change_interval(first: Floats, second: Floats, a_year: float) -> Interval | None:
    """Of the second's annual Sharpe ratio less the first's, paired; None where too many resamples have no variance.

    a_year  returns in a year
    """
    length = blocks_of(first)
    ratios = []
    for returns in (first, second):
        drawn = resampled(returns, length)  # the same places of both: the seed is
        deviation = drawn.std(axis=1, ddof=1)
        ratios.append(np.divide(drawn.mean(axis=1), deviation, out=np.full(len(drawn), np.nan), where=deviation > 0))
    change = (ratios[1] - ratios[0]) * math.sqrt(a_year)
    usable = change[np.isfinite(change)]
    return _interval(usable) if len(usable) >= RESAMPLES // 2 else None


def _interval(found: Floats) -> Interval:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(found, [tail, 1 - tail])
    return Interval(low=float(low), high=float(high))
