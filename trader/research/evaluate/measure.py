"""Forecasts against the bars that came: every figure of an evaluation, by arm and symbol.

N origins, H horizon, R ruler levels, C channels open, high, low, close.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecasters.types import CHANNELS, CLOSE, HIGH, LOW, OPEN, Context, Forecast
from trader.core.market import Bars
from trader.core.types import Symbol
from trader.research.data.windows import Calendar, Window, actual_rows, context_at
from trader.research.evaluate.scores import (
    Difference,
    Share,
    below_each,
    compare,
    covered,
    crps_of_paths,
    direction_hits,
    naive_scale,
    pit_counts,
    quantile_score,
)

Floats = NDArray[np.float64]
Times = NDArray[np.datetime64]

RULER = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])  # every arm is measured at these, and only there
_LOWEST, _MEDIAN, _HIGHEST = 0, 4, 8
SCORED = {"close": CLOSE, "high": HIGH, "low": LOW}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Truth:
    """What came, at the origins of one symbol that leave nothing open.

    origins [N] indices into the bars      asof [N] when each context had closed
    actual  [N, H, C]   last [N] the last closes   scale [N, C] the context's mean absolute change, bar to bar
    overlap  how many origins ahead a horizon reaches
    skipped  origins whose forecast bars are not all there, or whose context never moves
    """

    bars: Bars
    origins: tuple[int, ...]
    asof: Times
    actual: Floats
    last: Floats
    scale: Floats
    overlap: int
    skipped: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RuledForecast:
    """One forecast at the ruler's levels: quantiles [R, H, C]; path_score [H] is the CRPS of the close, from paths."""

    quantiles: Floats
    path_score: Floats | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Figures:
    """One arm on one symbol; by "close", "high" and "low" where there is a mapping. Errors are of the median.

    mae         quote currency              mase  over the context's mean absolute change
    score       twice the mean pinball loss over the ruler's levels, scaled like mase; near the CRPS
    path_score  the CRPS of the close from the paths, scaled; None without paths
    coverage    of the interval from 10% to 90%
    pit         [R + 1] counts of the close between the ruler's quantiles
    below       [R] share of closes at or below each
    hits        direction of the close at the end of the horizon
    by_origin   [N] score of the close: what arms are compared by         errors_by_origin  [N] the same of mase
    """

    arm: str
    symbol: Symbol
    count: int
    mae: Mapping[str, float]
    mase: Mapping[str, float]
    score: Mapping[str, float]
    path_score: float | None
    coverage: Mapping[str, Share]
    pit: NDArray[np.int64]
    below: Floats
    hits: Share
    by_origin: Floats
    errors_by_origin: Floats
    asof: Times


def truth_of(bars: Bars, origins: Sequence[int], window: Window) -> Truth:
    """Looks up what came at each origin."""
    calendar = Calendar()
    kept: list[tuple[int, Context, Floats, list[float | None]]] = []
    for origin in origins:
        context = context_at(bars, origin, window, calendar)
        actual = actual_rows(bars, context)
        scale = [naive_scale(context.values[:, channel]) for channel in range(len(CHANNELS))]
        if actual is not None and all(scale):
            kept.append((origin, context, actual[:, : len(CHANNELS)], scale))
    spacing = float(np.median(np.diff([row[0] for row in kept]))) if len(kept) > 1 else 1.0
    return Truth(
        bars=bars,
        origins=tuple(row[0] for row in kept),
        asof=np.array([np.datetime64(row[1].asof.replace(tzinfo=None), "us") for row in kept], dtype="datetime64[us]"),
        actual=np.array([row[2] for row in kept]).reshape(-1, window.horizon, len(CHANNELS)),
        last=np.array([row[1].last_close for row in kept]),
        scale=np.array([row[3] for row in kept], dtype=np.float64).reshape(-1, len(CHANNELS)),
        overlap=int(np.ceil(window.horizon / spacing)) - 1,
        skipped=len(origins) - len(kept),
    )


def at_ruler_levels(forecast: Forecast, actual: Floats) -> RuledForecast | None:
    """At the ruler's levels, between the forecast's own by straight lines; None where they do not reach that far."""
    levels = forecast.levels
    if levels[0] > RULER[0] + 1e-9 or levels[-1] < RULER[-1] - 1e-9:
        return None
    flat = forecast.quantiles.reshape(len(levels), -1)
    ruled = np.stack([np.interp(RULER, levels, column) for column in flat.T], axis=1)
    paths = forecast.paths
    score = None if paths is None else crps_of_paths(actual[:, CLOSE], paths[:, :, CLOSE].T)
    return RuledForecast(quantiles=ruled.reshape(len(RULER), *forecast.quantiles.shape[1:]), path_score=score)


def figures_of(arm: str, truth: Truth, reads: Mapping[int, RuledForecast], common: Sequence[int]) -> Figures:
    """Over `common`, the origins at which every arm has a forecast."""
    rows = np.searchsorted(truth.origins, common)
    forecasts = [reads[origin] for origin in common]
    quantiles = np.stack([forecast.quantiles for forecast in forecasts])  # [N, R, H, C]
    actual, last, scale = truth.actual[rows], truth.last[rows], truth.scale[rows]
    horizon = actual.shape[1]
    errors = np.abs(quantiles[:, _MEDIAN] - actual)  # [N, H, C]
    scores = np.stack([_scores(actual[:, h], quantiles[:, :, h]) for h in range(horizon)], axis=1)  # [N, H, C]
    scaled_errors, scaled_scores = errors / scale[:, None], scores / scale[:, None]
    alike = horizon * (truth.overlap + 1)
    closes = actual[:, :, CLOSE].reshape(-1)
    marks = np.moveaxis(quantiles[..., CLOSE], 1, 2).reshape(-1, len(RULER))  # [N x H, R]
    return Figures(
        arm=arm,
        symbol=truth.bars.symbol,
        count=len(common),
        mae={name: float(errors[..., c].mean()) for name, c in SCORED.items()},
        mase={name: float(scaled_errors[..., c].mean()) for name, c in SCORED.items()},
        score={name: float(scaled_scores[..., c].mean()) for name, c in SCORED.items()},
        path_score=_path_score(forecasts, scale[:, CLOSE]),
        coverage={
            name: covered(actual[..., c], quantiles[:, _LOWEST, :, c], quantiles[:, _HIGHEST, :, c], together=alike)
            for name, c in SCORED.items()
        },
        pit=pit_counts(closes, marks),
        below=below_each(closes, marks),
        hits=direction_hits(last, quantiles[:, _MEDIAN, -1, CLOSE], actual[:, -1, CLOSE], together=truth.overlap + 1),
        by_origin=scaled_scores[..., CLOSE].mean(axis=1),
        errors_by_origin=scaled_errors[..., CLOSE].mean(axis=1),
        asof=truth.asof[rows],
    )


def _scores(actual: Floats, quantiles: Floats) -> Floats:
    """[N, C], [N, R, C] -> [N, C]"""
    return np.stack([quantile_score(actual[:, c], quantiles[:, :, c], RULER) for c in range(OPEN, CLOSE + 1)], axis=1)


def _path_score(reads: Sequence[RuledForecast], scale: Floats) -> float | None:
    scores = [each.path_score for each in reads]
    if any(score is None for score in scores):
        return None
    return float((np.stack([score for score in scores if score is not None]) / scale[:, None]).mean())


def difference(ours: Figures, theirs: Figures, overlap: int) -> Difference:
    """By the score of the close; both over the same origins."""
    return compare(ours.by_origin, theirs.by_origin, overlap=overlap)


def pooled_difference(ours: Sequence[Figures], theirs: Sequence[Figures], overlap: int) -> Difference:
    """Over all symbols. Those of one moment move together: they count once, as their mean.

    overlap  how many of a symbol's own origins ahead a horizon reaches
    """
    moments = np.concatenate([figures.asof for figures in ours])
    first, second = (np.concatenate([figures.by_origin for figures in side]) for side in (ours, theirs))
    times, place = np.unique(moments, return_inverse=True)
    counts = np.bincount(place)
    means = [np.bincount(place, weights=scores, minlength=len(times)) / counts for scores in (first, second)]
    overlap_in_all = max(_reached(figures.asof, times, overlap) for figures in ours)
    return compare(means[0], means[1], overlap=overlap_in_all)


def _reached(own: Times, all_of_them: Times, overlap: int) -> int:
    """How many of all moments ahead a horizon reaches: more than of a symbol's own where others' lie between these."""
    if len(own) <= overlap + 1:
        return overlap
    place = np.searchsorted(all_of_them, own)
    return int(np.ceil(np.median(place[overlap + 1 :] - place[: -overlap - 1]))) - 1
