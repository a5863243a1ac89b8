"""How good a distribution was, once the bar had come; and whether one forecaster was better than another by more than
chance. Numpy only.

N origins, Q levels, S samples. Lower is better in every score.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from trader.research.intervals import Interval, mean_interval, usual_block

Floats = NDArray[np.float64]

Z95 = NormalDist().inv_cdf(0.975)
FEWEST = 30  # pairs; a verdict on fewer would be one on the sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """`hits` of `count`, with the Wilson interval of its probability (95%).

    together  how many of them share bars, and so count as one for the interval
    """

    hits: int
    count: int
    together: int = 1

    @property
    def value(self) -> float | None:
        return self.hits / self.count if self.count else None

    @property
    def interval(self) -> Interval | None:
        return wilson(self.hits / self.together, self.count / self.together) if self.count else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Mean of one forecaster's score less another's, over paired origins: below zero, the one is better.

    interval   moving-block bootstrap, 95%
    statistic  Diebold and Mariano's, with the HAC variance and the correction of Harvey, Leybourne and Newbold;
               None where the scores never differ
    p_value    two-sided, by the normal distribution
    """

    mean: float
    count: int
    interval: Interval
    statistic: float | None
    p_value: float | None

    @property
    def verdict(self) -> str:
        """In words: better, worse, or neither by more than chance."""
        if self.count < FEWEST:
            return f"too few ({self.count})"
        if self.p_value is None or 0.0 in self.interval or self.p_value > 0.05:
            return "no difference"
        return "better" if self.mean < 0 else "worse"


# ---- of one forecast ----


def pinball(actual: Floats, quantiles: Floats, levels: Floats) -> Floats:
    """[N], [N, Q], [Q] -> [N, Q]: what each quantile costs; its mean is least for the true one."""
    error = actual[:, None] - quantiles
    loss: Floats = np.maximum(levels * error, (levels - 1) * error)
    return loss


def quantile_score(actual: Floats, quantiles: Floats, levels: Floats) -> Floats:
    """[N]: twice the mean pinball loss, which tends to the CRPS as the levels grow dense."""
    score: Floats = 2 * pinball(actual, quantiles, levels).mean(axis=1)
    return score


def crps_of_paths(actual: Floats, paths: Floats) -> Floats:
    """[N], [N, S] -> [N]: E|X - y| - E|X - X'| / 2, unbiased in S (Gneiting and Raftery 2007, eq. 21; Ferro 2014)."""
    samples = paths.shape[1]
    if samples < 2:
        return np.abs(paths[:, 0] - actual)
    ordered = np.sort(paths, axis=1)
    weights = 2 * np.arange(1, samples + 1) - samples - 1  # the sum over pairs of |xi - xj|, from the sorted values
    spread = (ordered * weights).sum(axis=1) * 2 / (samples * (samples - 1))
    score: Floats = np.abs(paths - actual[:, None]).mean(axis=1) - spread / 2
    return score


def naive_scale(closes: Floats) -> float | None:
    """The mean absolute change from bar to bar: what an error is measured in (Hyndman and Koehler 2006). None if 0."""
    scale = float(np.abs(np.diff(closes)).mean()) if len(closes) > 1 else 0.0
    return scale if scale > 0 else None


# ---- calibration ----


def pit_counts(actual: Floats, quantiles: Floats) -> NDArray[np.int64]:
    """[Q + 1] how many fell below the lowest quantile, between each two, above the highest.

    The tails beyond the outermost levels are one cell each: nothing is made up there. A tie counts as below.
    """
    cells = (actual[:, None] > quantiles).sum(axis=1)
    return np.bincount(cells, minlength=quantiles.shape[1] + 1)


def below_each(actual: Floats, quantiles: Floats) -> Floats:
    """[Q] the share of the outcomes at or below each quantile: the levels themselves, where calibrated."""
    share: Floats = (actual[:, None] <= quantiles).mean(axis=0)
    return share


def covered(actual: Floats, low: Floats, high: Floats, *, together: int = 1) -> Share:
    hits = int(((actual >= low) & (actual <= high)).sum())
    return Share(hits=hits, count=actual.size, together=together)


def direction_hits(last: Floats, forecast: Floats, actual: Floats, *, together: int = 1) -> Share:
    """Up or down from the last close. Where either side says neither, there is nothing to be right about."""
    forecast_sign, actual_sign = np.sign(forecast - last), np.sign(actual - last)
    mask = (forecast_sign != 0) & (actual_sign != 0)
    return Share(hits=int((forecast_sign == actual_sign)[mask].sum()), count=int(mask.sum()), together=together)


def wilson(hits: float, count: float, z: float = Z95) -> Interval:
    """Of a probability, from `hits` of `count` > 0 (Wilson 1927)."""
    share = hits / count
    centre = share + z**2 / (2 * count)
    half = z * sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    scale = 1 + z**2 / count
    return Interval(low=max(0.0, (centre - half) / scale), high=min(1.0, (centre + half) / scale))


# ---- one against another ----


def compare(ours: Floats, theirs: Floats, *, overlap: int, seed: int = 0) -> Difference:
    """[N], [N]: paired scores in the order of time.

    overlap  how many origins ahead a forecast reaches: scores that far apart share bars
    """
    difference = ours - theirs
    lags = max(overlap, _usual_lags(len(difference)))
    statistic = diebold_mariano(difference, lags=lags, horizon=overlap + 1)
    return Difference(
        mean=float(difference.mean()),
        count=len(difference),
        interval=mean_interval(difference, max(lags + 1, usual_block(len(difference))), seed=seed),
        statistic=statistic,
        p_value=None if statistic is None else 2 * NormalDist().cdf(-abs(statistic)),
    )


def diebold_mariano(difference: Floats, *, lags: int, horizon: int = 1) -> float | None:
    """[N] -> the statistic, near standard normal where the true mean is zero; None where there is no variance."""
    count = len(difference)
    variance = hac_variance(difference, lags)
    if count < 2 or variance <= 0:
        return None
    corrected = max((count + 1 - 2 * horizon + horizon * (horizon - 1) / count) / count, 0.0)
    return float(difference.mean() / sqrt(variance / count) * sqrt(corrected))


def hac_variance(values: Floats, lags: int) -> float:
    """Long-run variance with Bartlett's weights (Newey and West 1987), which is never negative."""
    centred = values - values.mean()
    count = len(values)
    total = float(centred @ centred) / count
    for lag in range(1, min(lags, count - 1) + 1):
        total += 2 * (1 - lag / (lags + 1)) * float(centred[lag:] @ centred[:-lag]) / count
    return total


def _usual_lags(count: int) -> int:
    return math.floor(4 * math.pow(count / 100, 2 / 9))
