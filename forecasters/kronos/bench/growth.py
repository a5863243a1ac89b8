"""Memory over many forecasts: what is still growing after a thousand of them is a leak."""

from __future__ import annotations

from dataclasses import dataclass

from forecasters.kronos.bench.cells import Market, forecast, peak_mb, resident_mb
from forecasters.kronos.generate import Kronos
from forecasters.kronos.sampling import Sampling

_SETTLING = 0.1  # of the forecasts, before the first look: allocators take their time


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """Megabytes resident: after the first tenth of the forecasts, at the end, at most."""

    forecasts: int
    settled_mb: float
    end_mb: float
    peak_mb: float

    @property
    def growth_mb(self) -> float:
        return self.end_mb - self.settled_mb


def growth(kronos: Kronos, market: Market, sampling: Sampling, *, forecasts: int, samples: int, horizon: int) -> Growth:
    settled_mb = 0.0
    for index in range(forecasts):
        if index == int(_SETTLING * forecasts):
            settled_mb = resident_mb()
        forecast(kronos, market, sampling, samples=samples, horizon=horizon)
    end = resident_mb()
    return Growth(forecasts=forecasts, settled_mb=settled_mb, end_mb=end, peak_mb=max(end, peak_mb()))
