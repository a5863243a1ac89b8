"""Bars to a group of series, and back. Numpy only.

The four prices of a bar are four variates that see each other, as percent of log price from the last close: the scaler
of Toto 1.0 adds a tenth to every variance, which would drown returns in natural units.

T context, H horizon, C channels, N quantile levels or samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecasters.types import CLOSE, Context

_PERCENT = 100.0
_LARGEST_LOG_MOVE = 20.0  # keeps exp() finite; a Forecast refuses anything near it

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Group:
    """What a model is asked with.

    series                  [C, T] float32, percent of log price from the last close
    mask                    [C, T] bool, True throughout: a context has no missing bars
    time_interval_seconds   a bar's real length; part of the published interface, though no network reads it
    """

    series: NDArray[np.float32]
    mask: NDArray[np.bool_]
    time_interval_seconds: int


def group_of(context: Context, bars: int) -> Group:
    """The newest `bars` of a context."""
    prices = context.values[-bars:, : CLOSE + 1]
    series = (_PERCENT * np.log(prices / context.last_close)).T.astype(np.float32)
    return Group(
        series=np.ascontiguousarray(series),
        mask=np.ones(series.shape, dtype=np.bool_),
        time_interval_seconds=int(context.step / np.timedelta64(1, "s")),
    )


def prices_of(found: NDArray[np.float32], last_close: float) -> Floats:
    """[N, C, H] percent -> [N, H, C] quote currency."""
    logs = np.clip(found.astype(np.float64) / _PERCENT, -_LARGEST_LOG_MOVE, _LARGEST_LOG_MOVE)
    prices: Floats = np.ascontiguousarray(last_close * np.exp(np.moveaxis(logs, 1, 2)))
    return prices
