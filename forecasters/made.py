"""Bars that were never recorded, from a seed: what a contract asks with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from forecasters.types import CLOSE, HIGH, LOW, OPEN, Context

_HOUR = np.timedelta64(3600, "s")
_START = np.datetime64("2024-03-04T00:00:00", "us")


def made_context(symbol: str, seed: int, last_close: float = 100.0, *, bars: int = 200, horizon: int = 3) -> Context:
    """Hourly bars of a random walk with shadows, ending at `last_close`."""
    times = hours(bars + horizon)
    return Context(
        symbol=symbol,
        times=times[:bars],
        values=made_bars(bars, seed=seed, last_close=last_close),
        future_times=times[bars:],
    )


def hours(count: int) -> NDArray[np.datetime64]:
    times: NDArray[np.datetime64] = _START + np.arange(count) * _HOUR
    return times.astype("datetime64[us]")


def made_bars(count: int, *, seed: int, last_close: float = 100.0, volatility: float = 0.004) -> NDArray[np.float64]:
    """[T, 6]"""
    random = np.random.default_rng(seed)
    closes = np.cumsum(random.standard_t(4, count) * volatility)
    opens = np.concatenate([[0.0], closes[:-1]]) + random.normal(0, volatility / 20, count)
    high = np.maximum(opens, closes) + random.exponential(volatility / 2, count)
    low = np.minimum(opens, closes) - random.exponential(volatility / 2, count)
    prices = np.exp(np.column_stack([opens, high, low, closes]) - closes[-1]) * last_close
    prices[:, HIGH] = prices[:, [OPEN, HIGH, CLOSE]].max(axis=1)
    prices[:, LOW] = prices[:, [OPEN, LOW, CLOSE]].min(axis=1)
    volume = random.lognormal(3, 1, count)
    return np.column_stack([prices, volume, volume * prices[:, CLOSE]])
