"""What goes into a forecaster and what comes out: T context bars, H horizon, C channels, Q levels, S samples."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

CHANNELS = ("open", "high", "low", "close")
OPEN, HIGH, LOW, CLOSE = range(4)
COLUMNS = (*CHANNELS, "volume", "amount")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Context:
    """The closed bars that a forecast starts from.

    symbol        canonical name, as text
    times         [T]    datetime64[us] UTC, each bar's start, increasing
    values        [T, 6] float64: open, high, low, close in quote currency, volume in units, amount in quote currency
    future_times  [H]    datetime64[us] UTC, the starts of the bars to forecast
    """

    symbol: str
    times: NDArray[np.datetime64]
    values: NDArray[np.float64]
    future_times: NDArray[np.datetime64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Forecast:
    """The distribution of the next bars of one symbol.

    asof       when the last context bar had closed, aware UTC
    times      [H]       datetime64[us] UTC, the starts of the forecast bars
    last_close           quote currency
    levels     [Q]       increasing, in (0, 1)
    quantiles  [Q, H, C] float64, quote currency, non-decreasing in Q
    paths      [S, H, C] float64, or None where the model does not sample
    """

    symbol: str
    asof: datetime
    times: NDArray[np.datetime64]
    last_close: float
    levels: NDArray[np.float64]
    quantiles: NDArray[np.float64]
    paths: NDArray[np.float64] | None
    backend: str
    model: str  # name@revision
    dtype: str
    compile_mode: str  # "eager" or the torch.compile mode
    latency_s: float
