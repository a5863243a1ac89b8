"""forecast: one forecast of one series."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from forecasters.base import ForecastError
from forecasters.types import Forecast
from trader.core.types import Symbol
from trader.daemon.forecaster import check_backend
from trader.errors import ConfigurationError
from trader.library.frames import Bars, as_files, quantiles_frame
from trader.library.settings import NONE, Changes, load_settings
from trader.research.data.newest_bars import newest_bars
from trader.research.forecasts.one import Seen, forecast_of


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OneForecast:
    """`quantiles`: time (start of the bar), level, open, high, low, close."""

    forecast: Forecast
    quantiles: pd.DataFrame


def forecast(symbol: str, bars: Bars, changes: Changes = NONE) -> OneForecast:
    """The bars after the last one, by the configured backend in a process of its own; as `trader forecast --data`.

    bars  a file, or a frame with time, open, high, low, close and volume; the last CONTEXT of them are used
    Raises ConfigurationError.
    """
    settings = load_settings({**changes, "symbols": symbol}).settings
    check_backend(settings)
    with as_files({symbol: bars}) as (pair,):
        path = Path(pair.partition("=")[2])
        series, sessions = newest_bars(Symbol(symbol), path, settings.trading.context)
    try:
        made = forecast_of(settings, Seen(bars=series, sessions=sessions))
    except ForecastError as error:
        raise ConfigurationError(f"no forecast: {error}") from error
    return OneForecast(forecast=made, quantiles=quantiles_frame(made))
