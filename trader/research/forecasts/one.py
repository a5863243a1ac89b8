"""One forecast of one series, by the configured backend in a process of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from forecasters.base import ForecastError
from forecasters.types import Context, Forecast
from settings.schema import Settings
from trader.core.days import starts_ahead
from trader.core.market import Bars
from trader.daemon.forecaster import open_backend


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is forecast: the newest bars, and when a stock trades after them (open, close)."""

    bars: Bars
    sessions: Sequence[tuple[datetime, datetime]] = ()


def forecast_of(settings: Settings, seen: Seen) -> Forecast:
    """By the configured backend, in its own process. Raises ForecastError."""
    bars = seen.bars
    after = bars.last_start + bars.timeframe.duration
    future = starts_ahead(bars.symbol, bars.times, bars.timeframe, settings.trading.horizon, after, seen.sessions)
    context = Context(symbol=str(bars.symbol), times=bars.times, values=bars.values, future_times=future)
    worker = open_backend(settings, lambda line: None)
    try:
        worker.warm_up()
        answer = worker.forecast([context])
        if context.symbol not in answer:
            raise ForecastError(worker.refusals.get(context.symbol, "the backend gave none (too few bars?)"))
        return answer[context.symbol]
    finally:
        worker.close()
