"""One row for each cell: the original, ours eager and compiled, in float32 and bfloat16, all in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from forecasters.kronos import load_kronos
from forecasters.kronos.bench.cells import (
    HORIZON,
    NUCLEUS,
    Cell,
    Clock,
    forecast,
    interleaved,
    market,
    peak_mb,
    seconds,
)
from forecasters.kronos.bench.limit import ceiling, floor_seconds
from forecasters.kronos.bench.original import LATER, Original
from forecasters.kronos.generate import Kronos
from forecasters.kronos.sampling import Sampling

PATIENCE_S = 90.0  # a cell of the original that would take longer than this, repeats and all, is extrapolated


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    dtype: str
    compiled: bool
    noise: str = "exponential"

    @property
    def name(self) -> str:
        kind = "compiled" if self.compiled else "eager"
        return f"{kind} {self.dtype}" + ("" if self.noise == "exponential" else f" {self.noise}")

    @property
    def sampling(self) -> Sampling:
        return replace(NUCLEUS, noise="uniform") if self.noise == "uniform" else NUCLEUS


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """ways  what of ours is timed; clock, repeats  how; original  None where there is no checkout, else so often"""

    folder: Path
    ways: tuple[Way, ...]
    clock: Clock
    repeats: int
    device: str
    original: Original | None
    original_repeats: int

    def models(self) -> dict[Way, Kronos]:
        device, models = torch.device(self.device), {}
        for way in self.ways:
            dtype = "bfloat16" if way.dtype == "bfloat16" else "float32"
            models[way] = load_kronos(self.folder, way.compiled, dtype=dtype, device=device.type)  # type: ignore[arg-type]
        return models

    def row(self, cell: Cell, models: Mapping[Way, Kronos]) -> dict[str, object]:
        panel = market(cell.series)
        timer = partial(seconds, clock=self.clock)
        calls: dict[str, Callable[[], float]] = {}
        first: dict[str, float] = {}
        for way, kronos in models.items():
            run = partial(forecast, kronos, panel, way.sampling, samples=cell.samples)
            first[way.name] = round(seconds(run, "wall"), 2)
            calls[way.name] = partial(timer, run)
        row: dict[str, object] = {"size": cell.size, "series": cell.series, "samples": cell.samples}
        if self.original is not None:
            steps = self._steps(cell)
            calls["original"] = partial(self.original.seconds, timer, panel, cell.samples, steps)
            row |= {"original_extrapolated": steps != HORIZON}
            if cell.series == 1:
                row["difference_sd"] = self._difference(cell, models, steps)
        medians = interleaved(calls, self.repeats, {"original": self.original_repeats})
        row |= {"seconds": {name: round(duration, 4) for name, duration in medians.items()}, "first_call_s": first}
        row |= self._ratios(medians) | {
            "of_the_limit": self._shares(cell, medians, models),
            "peak_mb": round(peak_mb()),
        }
        return row

    def _steps(self, cell: Cell) -> int:
        assert self.original is not None
        started = time.perf_counter()
        self.original.mean_paths(market(cell.series), samples=cell.samples, steps=1)
        whole = (time.perf_counter() - started) * HORIZON * self.original_repeats
        return HORIZON if whole < PATIENCE_S else LATER

    def _difference(self, cell: Cell, models: Mapping[Way, Kronos], steps: int) -> float | None:
        """Of the mean path from the original's under the same seed, the largest, in standard deviations of the bars."""
        assert self.original is not None
        kronos = next((model for way, model in models.items() if way == Way(dtype="float32", compiled=False)), None)
        if kronos is None:
            return None
        played = market(cell.series)
        ours = forecast(kronos, played, NUCLEUS, samples=cell.samples, horizon=steps)[0].mean(axis=0)
        theirs = self.original.mean_paths(played, samples=cell.samples, steps=steps)[0]
        return float((np.abs(ours - theirs) / played.bars[0].std(axis=0)).max())

    def _ratios(self, medians: Mapping[str, float]) -> dict[str, object]:
        ratios: dict[str, object] = {}
        if "original" in medians:
            ratios["times_original"] = {
                name: round(medians["original"] / duration, 1)
                for name, duration in medians.items()
                if name != "original"
            }
        pairs = [(way, replace(way, compiled=False)) for way in self.ways if way.compiled]
        ratios["times_eager"] = {
            way.name: round(medians[plain.name] / medians[way.name], 2) for way, plain in pairs if plain.name in medians
        }
        return ratios

    def _shares(self, cell: Cell, taken: Mapping[str, float], models: Mapping[Way, Kronos]) -> dict[str, float]:
        exact = ceiling(torch.float32, torch.device(self.device), self.clock)
        half = ceiling(torch.bfloat16, torch.device(self.device), self.clock)
        return {
            way.name: round(
                floor_seconds(kronos, cell, exact, exact if way.dtype == "float32" else half) / taken[way.name], 4
            )
            for way, kronos in models.items()
        }
