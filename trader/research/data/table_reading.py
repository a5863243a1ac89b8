"""A file of bars as raw columns: which one is which, and every cell as a number or NaN, none of them lost.

Times are int64 microseconds since 1970 UTC; `NO_TIME` stands for one that can't be read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from trader.errors import ConfigurationError
from trader.exchange.market.tables import TableError, read_table

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Micros = NDArray[np.int64]
Floats = NDArray[np.float64]

NO_TIME = np.iinfo(np.int64).min
FIELDS = ("open", "high", "low", "close", "volume")
# lower case without spaces and marks, best name first
NAMES: Mapping[str, tuple[str, ...]] = {
    "time": (
        "timestamp", "time", "datetime", "date", "opentime", "starttime", "start", "begin", "unix", "ts", "t",
        "localtime", "gmttime", "datetimeutc", "indexlevel0", "index", "",
    ),
    "open": ("open", "openprice", "priceopen", "o", "first"),
    "high": ("high", "highprice", "pricehigh", "h", "max"),
    "low": ("low", "lowprice", "pricelow", "l", "min"),
    "close": ("close", "closeprice", "priceclose", "last", "c", "price"),
    "volume": ("volume", "vol", "volumebtc", "basevolume", "v", "qty", "quantity"),
}  # fmt: skip
_EPOCHS = ((1e11, "s", 1_000_000.0), (1e14, "ms", 1_000.0), (1e17, "us", 1.0), (np.inf, "ns", 0.001))
_ZONED = re.compile(r"(?:Z|UTC|GMT|[+-]\d\d:?\d\d)$")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RawBars:
    """Rows as the file has them, in its order.

    times   [R] int64 or NO_TIME       texts   [R] each time as it stands in the file
    fields  name -> [R] float64, NaN where a cell is empty or no number
    names   which column was taken for what
    notes   what was assumed
    """

    times: Micros
    texts: tuple[str, ...]
    fields: Mapping[str, Floats]
    names: Mapping[str, str]
    notes: tuple[str, ...]


def read_raw(
    path: Path, *, names: Mapping[str, str], zone: ZoneInfo | None = None, time_format: str | None = None
) -> RawBars:
    """Parquet or CSV. `names` fixes columns that would be guessed wrongly. Raises ConfigurationError."""
    table = _read(path)
    chosen = guess(path, list(map(str, table.column_names)), names)
    frame = {what: table.column(name) for what, name in chosen.items()}
    times, texts, notes = _times(path, frame["time"], zone, time_format)
    fields = {name: _floats(frame[name]) for name in FIELDS if name in frame}
    if "volume" not in fields:
        fields["volume"] = np.zeros(len(times))
        notes += ["no column of volumes: all are 0"]
    return RawBars(times=times, texts=texts, fields=fields, names=chosen, notes=tuple(notes))


def guess(path: Path, columns: list[str], named: Mapping[str, str]) -> dict[str, str]:
    """Column by field; only the volume may be missing. Raises ConfigurationError."""
    for what, name in named.items():
        if what not in NAMES:
            raise ConfigurationError(f"--column {what}=...: the fields are {', '.join(NAMES)}")
        if name not in columns:
            raise ConfigurationError(f"--column {what}={name}: {path} has {', '.join(columns)}")
    simple = {_simple(name): name for name in reversed(columns) if name not in named.values()}
    fields = dict(named)
    for what, candidates in NAMES.items():
        column = next((simple[spelling] for spelling in candidates if spelling in simple), None)
        if what not in fields and column is not None:
            fields[what] = column
    missing = [what for what in NAMES if what not in fields and what != "volume"]
    if missing:
        raise ConfigurationError(
            f"{path}: which column is the {missing[0]}? Say it with --column {missing[0]}=NAME; "
            f"there are: {', '.join(columns)}"
        )
    return fields


def _simple(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _read(path: Path) -> pa.Table:
    try:
        # a CSV as texts: a cell that is no number must be shown, not end the reading
        return read_table(path, as_texts=True)
    except TableError as problem:
        raise ConfigurationError(str(problem)) from problem


def _floats(column: pa.ChunkedArray) -> Floats:
    import pandas as pd

    numbers = pd.to_numeric(pd.Series(column.to_pandas()), errors="coerce")
    return np.asarray(numbers.to_numpy(dtype=np.float64, na_value=np.nan))


def _times(
    path: Path, column: pa.ChunkedArray, zone: ZoneInfo | None, time_format: str | None
) -> tuple[Micros, tuple[str, ...], list[str]]:
    import pandas as pd
    import pyarrow as pa

    series = pd.Series(column.to_pandas())
    texts = tuple("" if text is None else str(text) for text in column.to_pylist())
    kind = column.type
    numbers = pd.to_numeric(series, errors="coerce") if not pa.types.is_temporal(kind) and not time_format else None
    if numbers is not None and numbers.notna().mean() > 0.5:
        return *_epochs(numbers.to_numpy(dtype=np.float64, na_value=np.nan), texts), []
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return _micros(series.dt.tz_convert("UTC")), texts, []
    if pa.types.is_temporal(kind):
        return _micros(_in_zone(pd.to_datetime(series), zone)), texts, [_assumed(zone)]
    zoned = series.str.strip().str.contains(_ZONED, na=False)
    layout = time_format or "ISO8601"
    moments = pd.Series(pd.NaT, index=series.index, dtype="datetime64[ns, UTC]")
    moments[zoned] = pd.to_datetime(series[zoned], errors="coerce", utc=True, format=layout)
    moments[~zoned] = _in_zone(pd.to_datetime(series[~zoned], errors="coerce", format=layout), zone)
    if moments.isna().all():
        raise ConfigurationError(
            f"{path}: times like {texts[0]!r} are neither ISO 8601 nor epoch numbers; --time-format '%d/%m/%Y %H:%M' "
            "says how to read them"
        )
    return _micros(moments), texts, [] if zoned.all() else [_assumed(zone)]


def _assumed(zone: ZoneInfo | None) -> str:
    return f"times without a zone: read as {zone}" if zone else "times without a zone: taken for UTC (else say --zone)"


def _in_zone(naive: pd.Series[pd.Timestamp], zone: ZoneInfo | None) -> pd.Series[pd.Timestamp]:
    """An hour that the clocks skip, or pass twice, is no time."""
    local = naive.dt.tz_localize(zone or "UTC", ambiguous="NaT", nonexistent="NaT")
    return local.dt.tz_convert("UTC")


def _epochs(values: Floats, texts: tuple[str, ...]) -> tuple[Micros, tuple[str, ...]]:
    """Seconds to nanoseconds, told apart by size."""
    present = np.isfinite(values)
    largest = float(np.abs(values[present]).max())
    scale = next(scale for bound, _, scale in _EPOCHS if largest < bound)
    times = np.full(len(values), NO_TIME)
    times[present] = np.round(values[present] * scale).astype(np.int64)
    return times, texts


def _micros(moments: pd.Series[pd.Timestamp]) -> Micros:
    stamps = moments.dt.tz_localize(None).to_numpy(dtype="datetime64[us]")
    return np.asarray(stamps.astype(np.int64))  # NaT is the smallest int64, as NO_TIME
