"""What is measured: cells of a table, ways to compute each, and the clock."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from forecasters.kronos.generate import Kronos, Series
from forecasters.kronos.sampling import Sampling

CONTEXT, HORIZON, SEED = 400, 24, 1
NUCLEUS = Sampling(top_p=0.9)

Floats = NDArray[np.float32]
Clock = Literal["wall", "cpu"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    size: str
    series: int
    samples: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Market:
    """Made-up bars [T, 6] of each series, and the times [T + H] of all."""

    bars: list[Floats]
    times: NDArray[np.datetime64]

    def asked(self, horizon: int) -> list[Series]:
        count = len(self.bars[0])
        future = self.times[count : count + horizon]
        return [
            Series(bars=bars, times=self.times[:count], future_times=future, seed=SEED + index)
            for index, bars in enumerate(self.bars)
        ]


def market(series: int, count: int = CONTEXT, ahead: int = HORIZON) -> Market:
    random = np.random.default_rng(7)
    bars = []
    for _ in range(series):
        close = 100 * np.exp(np.cumsum(0.01 * random.standard_normal(count + 1)))
        open_, close = close[:-1], close[1:]
        high = np.maximum(open_, close) * (1 + 0.003 * random.random(count))
        low = np.minimum(open_, close) * (1 - 0.003 * random.random(count))
        volume = 100 * np.exp(random.standard_normal(count))
        columns = [open_, high, low, close, volume]
        amount = volume * np.mean(columns[:4], axis=0)
        bars.append(np.stack([*columns, amount], axis=1).astype(np.float32))
    times = np.datetime64("2024-01-01T00:00:00", "s") + np.arange(count + ahead) * np.timedelta64(3600, "s")
    return Market(bars=bars, times=times)


def seconds(call: Callable[[], object], clock: Clock) -> float:
    """Of one call; cpu is that of all threads together."""
    now = time.perf_counter if clock == "wall" else time.process_time
    started = now()
    call()
    return now() - started


def interleaved(
    calls: Mapping[str, Callable[[], float]], repeats: int, fewer: Mapping[str, int] | None = None
) -> dict[str, float]:
    """The median of each, all in turn, so that what else the machine does falls on all alike.

    fewer  of some, how often they are called where that is not `repeats`
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(repeats):
        for name, call in calls.items():
            if turn < (fewer or {}).get(name, repeats):
                seconds[name].append(call())
    return {name: statistics.median(durations) for name, durations in seconds.items()}


def forecast(
    kronos: Kronos, given: Market, sampling: Sampling, *, samples: int, horizon: int = HORIZON
) -> list[Floats]:
    return kronos.generate_batch(given.asked(horizon), sampling, samples=samples)


def resident_mb() -> float:
    """Of this process, now."""
    with open("/proc/self/statm", encoding="ascii") as file:
        pages = int(file.read().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def peak_mb() -> float:
    """The most that this process has held."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
