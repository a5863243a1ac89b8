"""Values to pandas frames, and frames to the files that the rest of the program reads.

Money and quantities become float64, unknown ones NaN; times are UTC timestamps; names and kinds are text.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

import pandas as pd

from forecasters.types import CHANNELS, Forecast
from trader.core.types import Symbol
from trader.errors import ConfigurationError

Bars = str | Path | pd.DataFrame
PRICES = ("open", "high", "low", "close", "volume")


def frame_of(kind: type[Any], rows: Sequence[Any], without: Sequence[str] = ()) -> pd.DataFrame:
    """One row a value of that dataclass, one column a field; the columns are there even where there is no row."""
    columns = [field.name for field in fields(kind) if field.name not in without]
    table = {name: [plain(getattr(row, name)) for row in rows] for name in columns}
    return pd.DataFrame(table, columns=columns)


def plain(value: object) -> object:
    """As a cell of a frame."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Symbol):
        return value.text
    if isinstance(value, datetime):
        return pd.Timestamp(value)
    return value


def quantiles_frame(forecast: Forecast) -> pd.DataFrame:
    """time (start of the bar), level, open, high, low, close."""
    times = pd.DatetimeIndex(forecast.times, tz="UTC")
    index = pd.MultiIndex.from_product([times, forecast.levels], names=["time", "level"])
    rows = forecast.quantiles.swapaxes(0, 1).reshape(-1, len(CHANNELS))  # [Q, H, C] -> [H x Q, C]
    return pd.DataFrame(rows, index=index, columns=list(CHANNELS)).reset_index()


@contextmanager
def as_files(data: Mapping[str, Bars]) -> Iterator[tuple[str, ...]]:
    """SYMBOL=FILE for each: frames stand in files for as long as the block lasts. Raises ConfigurationError."""
    with tempfile.TemporaryDirectory(prefix="trader-bars-") as folder:
        pairs = []
        for number, (symbol, bars) in enumerate(data.items()):
            path = Path(folder) / f"{number}.parquet" if isinstance(bars, pd.DataFrame) else Path(bars)
            if isinstance(bars, pd.DataFrame):
                _written(symbol, bars, path)
            pairs.append(f"{symbol}={path}")
        yield tuple(pairs)


def _written(symbol: str, bars: pd.DataFrame, path: Path) -> None:
    table = bars.rename(columns=str.lower)
    missing = [name for name in PRICES if name not in table]
    if missing:
        raise ConfigurationError(f"bars of {symbol}: no column {missing[0]}; right: {', '.join(PRICES)}")
    if "time" not in table and not isinstance(table.index, pd.DatetimeIndex):
        raise ConfigurationError(f"bars of {symbol}: no column time, and the index holds no times")
    try:
        starts = pd.DatetimeIndex(pd.to_datetime(table.get("time", table.index), utc=True))
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"bars of {symbol}: their times can't be read: {error}") from None
    out = table[list(PRICES)].astype("float64").reset_index(drop=True)
    out.insert(0, "timestamp", starts)
    out.to_parquet(path, index=False)
