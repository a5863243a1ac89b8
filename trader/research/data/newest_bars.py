"""Bars of a file, as a model reads them: for looking at one forecast without a venue."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from trader.core.market import Bars
from trader.core.types import AssetClass, Symbol, Timeframe
from trader.errors import ConfigurationError

SESSIONS_AHEAD = timedelta(days=30)


def newest_bars(symbol: Symbol, path: Path, count: int) -> tuple[Bars, list[tuple[datetime, datetime]]]:
    """The last `count` bars of a Parquet or CSV file, and the stock sessions from then on (none for crypto).

    The amount is the volume at the bar's mean price. Raises ConfigurationError.
    """
    from trader.exchange.market.files import MarketError, load_bars
    from trader.exchange.market.sessions import Sessions, as_datetimes

    try:
        columns, spacing_us, _ = load_bars(path)
        timeframe = Timeframe.of(timedelta(microseconds=spacing_us))
    except (MarketError, ValueError) as error:
        raise ConfigurationError(f"--data: {error}") from error
    prices = [column[-count:] for column in (columns.open, columns.high, columns.low, columns.close)]
    volume = columns.volume[-count:]
    values = np.column_stack([*prices, volume, volume * np.mean(prices, axis=0)])
    bars = Bars(symbol=symbol, timeframe=timeframe, times=columns.times[-count:].view("datetime64[us]"), values=values)
    if symbol.asset_class is AssetClass.CRYPTO:
        return bars, []
    end_us = int(columns.times[-1]) + spacing_us
    ahead_us = int(SESSIONS_AHEAD / timedelta(microseconds=1))
    return bars, as_datetimes(*Sessions().between(end_us, end_us + ahead_us))
