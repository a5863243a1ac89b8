"""Made-up bars of the shapes that will be asked for: what a model is compiled and first compared on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from forecasters.types import Context

_START = np.datetime64("2024-01-01T00:00:00", "us")
_HOUR = np.timedelta64(3600, "s")
_MOVE = 0.005  # of an hour, about a coin's


def trial_contexts(*, bars: int, horizons: Sequence[int]) -> list[Context]:
    """Random walks of hourly bars, one for each horizon, always the same, each symbol at a price of its own."""
    return [_walk(number, bars, horizon) for number, horizon in enumerate(horizons)]


def _walk(number: int, bars: int, horizon: int) -> Context:
    random = np.random.default_rng(number)
    closes = np.cumsum(random.normal(0, _MOVE, bars))
    opens = np.concatenate([[0.0], closes[:-1]])
    shadows = random.exponential(_MOVE / 2, (2, bars))
    high, low = np.maximum(opens, closes) + shadows[0], np.minimum(opens, closes) - shadows[1]
    prices = 100.0 * 10.0 ** (number % 5) * np.exp(np.column_stack([opens, high, low, closes]))
    volume = random.lognormal(3, 1, bars)
    times = (_START + np.arange(bars + horizon) * _HOUR).astype("datetime64[us]")
    return Context(
        symbol=f"TRIAL{number}",
        times=times[:bars],
        values=np.column_stack([prices, volume, volume * prices[:, 3]]),
        future_times=times[bars:],
    )
