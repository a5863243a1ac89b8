"""Bar and quote files, Parquet or CSV, as arrays. What can't be trusted is refused with one line that says why.

Times are int64 microseconds since 1970 UTC throughout; a time without a zone is UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trader.core.types import Timeframe
from trader.exchange.market.tables import TableError, read_table

if TYPE_CHECKING:
    import pyarrow as pa

Micros = NDArray[np.int64]
Floats = NDArray[np.float64]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

# what each column may be called, lower case, best name first
_TIME = (
    "timestamp",
    "time",
    "datetime",
    "date",
    "open_time",
    "open time",
    "opentime",
    "start",
    "unix",
    "ts",
    "t",
    "__index_level_0__",
)
_BAR_NAMES: Mapping[str, tuple[str, ...]] = {
    "open": ("open", "o"),
    "high": ("high", "h"),
    "low": ("low", "l"),
    "close": ("close", "c"),
    "volume": ("volume", "vol", "v"),
}
_QUOTE_NAMES: Mapping[str, tuple[str, ...]] = {
    "bid": ("bid", "bid_price", "bidprice", "bp"),
    "ask": ("ask", "ask_price", "askprice", "ap"),
    "bid_size": ("bid_size", "bidsize", "bid_qty", "bs"),
    "ask_size": ("ask_size", "asksize", "ask_qty", "as"),
}
_NOISE = 1e-9  # relative: a high below the close by less is the rounding of whoever wrote the file


class MarketError(Exception):
    """The market can't be opened. One line: which file or option, what is wrong, what would be right."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Columns:
    """Bars as arrays, oldest first.

    times [T] int64, each bar's start; open, high, low, close, volume [T] float64
    spread_bps [T] float64: the whole width of the book, where the bars come with one
    """

    times: Micros
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    spread_bps: Floats | None = None

    def __len__(self) -> int:
        return len(self.times)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QuoteColumns:
    """Recorded quotes, oldest first. known [T] int64: when each came to be known; a missing price or size is 0."""

    known: Micros
    bid: Floats
    ask: Floats
    bid_size: Floats
    ask_size: Floats


def to_micros(moment: datetime) -> int:
    return (moment - EPOCH) // _MICROSECOND


@lru_cache(maxsize=4096)  # each moment is asked about some times: when it comes, and of what plays then
def from_micros(micros: int) -> datetime:
    return EPOCH + timedelta(microseconds=micros)


def load_bars(path: Path) -> tuple[Columns, int, tuple[str, ...]]:
    """(bars, their spacing in microseconds, notes on what was repaired). Raises MarketError."""
    table = _read(path)
    times = _times(path, table)
    fields = {name: _floats(path, table, name, names) for name, names in _BAR_NAMES.items()}
    times, fields, notes = _in_order(path, times, fields)
    _refuse_bad_bars(path, times, fields)
    top = np.maximum(fields["open"], fields["close"])
    bottom = np.minimum(fields["open"], fields["close"])
    fields["high"] = np.maximum(fields["high"], top)
    fields["low"] = np.minimum(fields["low"], bottom)
    return Columns(times=times, **fields), _spacing(path, times), notes


def load_quotes(path: Path) -> tuple[QuoteColumns, tuple[str, ...]]:
    """(quotes, notes). A row is known one spacing after its time; in a file named `...__tick`, at once.

    Zero, crossed and missing prices are kept: they are what the venue sent. Raises MarketError.
    """
    table = _read(path)
    times = _times(path, table)
    fields = {name: _floats(path, table, name, names) for name, names in _QUOTE_NAMES.items()}
    for name, values in fields.items():
        finite = np.isfinite(values)
        if (values[finite] < 0).any():
            raise MarketError(f"{path}: column {name} has negative values; a missing one is 0 or empty")
        fields[name] = np.where(finite, values, 0.0)
    tick = path.stem.endswith("__tick")
    times, fields, notes = _in_order(path, times, fields, repeats=tick)
    known_at = times if tick else times + _spacing(path, times)
    return QuoteColumns(known=known_at, **fields), notes


def timeframe_of(path: Path, spacing_us: int) -> Timeframe:
    """What bars that far apart are called. Raises MarketError."""
    for unit, length_us in (("Day", 86_400_000_000), ("Hour", 3_600_000_000), ("Min", 60_000_000)):
        if spacing_us % length_us == 0:
            try:
                return Timeframe(spacing_us // length_us, unit)
            except ValueError:
                continue
    spacing = timedelta(microseconds=spacing_us)
    raise MarketError(f"{path}: rows are {spacing} apart; bars of 1Min to 59Min, 1Hour to 23Hour or 1Day can be played")


def _read(path: Path) -> pa.Table:
    try:
        return read_table(path)
    except TableError as problem:
        raise MarketError(str(problem)) from problem


def _column(path: Path, table: pa.Table, what: str, names: Iterable[str]) -> pa.ChunkedArray:
    positions = {
        str(name).strip().lower(): position for position, name in reversed(list(enumerate(table.column_names)))
    }
    for name in names:
        if name in positions:
            return table.column(positions[name])
    columns = ", ".join(map(str, table.column_names))
    raise MarketError(f"{path}: no column for {what} (one of {', '.join(names)}); it has: {columns}")


def _floats(path: Path, table: pa.Table, what: str, names: Iterable[str]) -> Floats:
    import pyarrow as pa

    column = _column(path, table, what, names)
    try:
        # a missing value becomes NaN, to be judged with the rest of its row
        return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)
    except (pa.ArrowException, ValueError, TypeError) as problem:
        raise MarketError(f"{path}: column {what} is not numeric: {str(problem).splitlines()[0]}") from problem


def _times(path: Path, table: pa.Table) -> Micros:
    import pyarrow as pa

    column = _column(path, table, "the time", _TIME)
    if column.null_count:
        raise MarketError(f"{path}: {column.null_count} of the rows have no time")
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _from_epoch(path, np.asarray(column.to_numpy(), dtype=np.float64), column)
    try:
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            column = _parsed(column)
        stamps = column.cast(pa.timestamp("ns")) if pa.types.is_date(kind) else column
        nanos = stamps.to_numpy().astype("datetime64[ns]").astype(np.int64)
    except (pa.ArrowException, ValueError, TypeError) as problem:
        reason = str(problem).splitlines()[0]
        raise MarketError(f"{path}: times are neither ISO 8601 nor epoch numbers: {reason}") from problem
    return np.asarray(-(-nanos // 1000), dtype=np.int64)  # up: never known before it happened


def _parsed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """ISO 8601 texts, with a zone or without."""
    import pyarrow as pa

    try:
        return column.cast(pa.timestamp("ns", "UTC"))
    except pa.ArrowInvalid:
        return column.cast(pa.timestamp("ns"))


def _from_epoch(path: Path, values: Floats, column: pa.ChunkedArray) -> Micros:
    """Seconds, milli-, micro- or nanoseconds, told apart by their size: 2001 in seconds is 1970 in milliseconds."""
    if not np.isfinite(values).all():
        raise MarketError(f"{path}: {int((~np.isfinite(values)).sum())} of the rows have no time")
    largest = float(np.abs(values).max())
    if largest < 1e11:
        return np.round(values * 1e6).astype(np.int64)
    if largest < 1e14:
        return np.round(values * 1e3).astype(np.int64)
    exact: Micros = np.asarray(column.to_numpy()).astype(np.int64)
    return exact if largest < 1e17 else -(-exact // 1000)


def _in_order(
    path: Path, times: Micros, fields: dict[str, Floats], *, repeats: bool = False
) -> tuple[Micros, dict[str, Floats], tuple[str, ...]]:
    """Newest-first files are turned round, identical repeats dropped; both are noted. Anything else is refused."""
    notes: list[str] = []
    if len(times) > 1 and times[0] > times[-1] and (np.diff(times) <= 0).all():
        times, fields = times[::-1], {name: values[::-1] for name, values in fields.items()}
        notes.append(f"{path}: newest first, turned round")
    steps = np.diff(times)
    _refuse(path, times[1:], steps < 0, "earlier than the row before; sort the file by time")
    if not repeats and (steps == 0).any():
        same = np.logical_and.reduce([values[1:] == values[:-1] for values in fields.values()])
        _refuse(path, times[1:], (steps == 0) & ~same, "at the same time as the row before, with other figures")
        keep = np.concatenate([[True], steps > 0])
        times, fields = times[keep], {name: values[keep] for name, values in fields.items()}
        notes.append(f"{path}: {int((~keep).sum())} repeated rows dropped")
    return times, {name: np.ascontiguousarray(values) for name, values in fields.items()}, tuple(notes)


def _refuse_bad_bars(path: Path, times: Micros, fields: Mapping[str, Floats]) -> None:
    o, h, low, c, volume = (fields[name] for name in _BAR_NAMES)
    finite = np.logical_and.reduce([np.isfinite(values) for values in fields.values()])
    _refuse(path, times, ~finite, "with a missing, NaN or infinite figure")
    _refuse(path, times, np.minimum.reduce([o, h, low, c]) <= 0, "with a price of zero or less")
    _refuse(path, times, h < low, "with high below low")
    _refuse(path, times, h < np.maximum(o, c) * (1 - _NOISE), "with high below open or close")
    _refuse(path, times, low > np.minimum(o, c) * (1 + _NOISE), "with low above open or close")
    _refuse(path, times, volume < 0, "with a negative volume")


def _refuse(path: Path, times: Micros, bad: NDArray[np.bool_], what: str) -> None:
    if bad.any():
        first, count = from_micros(int(times[int(bad.argmax())])), int(bad.sum())
        rows = "1 row" if count == 1 else f"{count} rows"
        raise MarketError(f"{path}: {rows} {what}; the first is {first:%Y-%m-%d %H:%M:%S}Z; correct or remove them")


def _spacing(path: Path, times: Micros) -> int:
    """The usual distance of two rows. At least half of the rows must keep it, else what is known when is a guess."""
    if len(times) < 2:
        raise MarketError(f"{path}: one row is too few to tell how long a bar is")
    steps, counts = np.unique(np.diff(times), return_counts=True)
    usual = int(steps[counts.argmax()])
    if counts.max() * 2 < counts.sum():
        raise MarketError(
            f"{path}: rows keep no usual distance (even the commonest, {timedelta(microseconds=usual)}, is not"
            " that of half of them); quotes that are known at their own time belong in a file named ...__tick"
        )
    return usual
