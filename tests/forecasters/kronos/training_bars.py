"""Bars to train on: a random walk whose volatility comes and goes, quick to make."""

from __future__ import annotations

import numpy as np

from forecasters.kronos.features import Floats

HOUR = np.timedelta64(3600, "s")
START = np.datetime64("2024-01-01T00:00:00", "us")


def hourly(count: int) -> np.ndarray:
    return START + np.arange(count) * HOUR


def walk(count: int, seed: int = 0, price: float = 100.0) -> Floats:
    """[count, 6] float32, possible bars throughout."""
    random = np.random.default_rng(seed)
    swing = 0.004 * np.exp(0.5 * np.sin(np.arange(count) / 20))
    closes = price * np.exp(np.cumsum(swing * random.standard_normal(count)))
    opens = np.concatenate([[price], closes[:-1]])
    reach = price * swing[:, None] * np.abs(random.standard_normal((count, 2)))
    highs, lows = np.maximum(opens, closes) + reach[:, 0], np.minimum(opens, closes) - reach[:, 1]
    volume = np.exp(random.standard_normal(count)) * swing / 0.004
    return np.column_stack([opens, highs, lows, closes, volume, volume * closes]).astype(np.float32)
