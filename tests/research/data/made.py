"""Bars made for a test, and files of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trader.exchange.market.files import Columns


def columns_of(
    count: int, *, seed: int = 1, step_s: int = 3600, start: str = "2024-01-01", level: float = 100.0
) -> Columns:
    generator = np.random.default_rng(seed)
    closes = level * np.exp(np.cumsum(generator.normal(0, 0.005, count)))
    opens = np.concatenate([[level], closes[:-1]])
    times = np.datetime64(start, "us").astype(np.int64) + np.arange(count, dtype=np.int64) * step_s * 1_000_000
    return Columns(
        times=times,
        open=opens,
        high=np.maximum(opens, closes) * 1.001,
        low=np.minimum(opens, closes) * 0.999,
        close=closes,
        volume=generator.random(count) + 1,
    )


def csv_of(path: Path, lines: Sequence[str], header: str = "time,open,high,low,close,volume") -> Path:
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def good_lines(count: int = 6) -> list[str]:
    return [f"2024-01-01T{hour:02d}:00:00Z,10,12,9,11,{hour + 1}" for hour in range(count)]
