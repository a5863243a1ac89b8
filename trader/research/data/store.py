"""Stored bars: one Parquet file a series, in the format that the simulated exchange replays.

    STATE_DIR/bars/BTC-USD__1Hour.parquet      timestamp (UTC, the bar's start), open, high, low, close, volume

Each file carries in its own metadata what it is of, where it came from, and a hash of its figures: a file that was
altered since is refused. A write replaces the whole file at once, so that a reader sees the old series or the new.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trader.core.market import Bars, to_datetime, to_datetime64
from trader.core.types import Symbol, Timeframe
from trader.errors import ConfigurationError
from trader.exchange.market.files import Columns, MarketError, from_micros, load_bars

if TYPE_CHECKING:
    from settings.schema import Settings

FOLDER = "bars"
_META = b"trader"
_FIELDS = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One stored series. `first` and `last` are starts of bars; `content_hash` is of the figures, not of the file."""

    symbol: Symbol
    timeframe: Timeframe
    path: Path
    rows: int
    first: datetime
    last: datetime
    content_hash: str
    source: str
    written_at: datetime


class BarStore:
    """Series by symbol and timeframe in one folder, which need not exist yet."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, symbol: Symbol, timeframe: Timeframe) -> Path | None:
        """The series' file, as `trader run --data` and the exchange read it; None where nothing is stored."""
        path = self._place(symbol, timeframe)
        return path if path.is_file() else None

    def series(
        self, symbol: Symbol, timeframe: Timeframe, start: datetime | None = None, end: datetime | None = None
    ) -> Bars:
        """The bars that start at or after `start` and have CLOSED by `end`.

        Raises ConfigurationError: nothing stored, altered since it was stored, or no bars in that span.
        """
        columns = self.columns(symbol, timeframe)
        bars = bars_of(symbol, timeframe, columns)
        keep = np.ones(len(bars), dtype=np.bool_)
        if start is not None:
            keep &= bars.times >= to_datetime64(start)
        if end is not None:
            keep &= bars.times <= to_datetime64(end - timeframe.duration)
        if not keep.any():
            raise ConfigurationError(
                f"the stored {timeframe} bars of {symbol} have none in that span: they run from "
                f"{to_datetime(bars.times[0]):%Y-%m-%d} to {to_datetime(bars.times[-1]):%Y-%m-%d}"
            )
        return Bars(symbol=symbol, timeframe=timeframe, times=bars.times[keep], values=bars.values[keep])

    def columns(self, symbol: Symbol, timeframe: Timeframe) -> Columns:
        """As they were written. Raises ConfigurationError."""
        path = self.path(symbol, timeframe)
        if path is None:
            raise ConfigurationError(
                f"no {timeframe} bars of {symbol} are stored in {self.root}: `trader data import FILE --symbol "
                f"{symbol}` or `trader data download` brings them"
            )
        try:
            columns, _, _ = load_bars(path)
        except MarketError as error:
            raise ConfigurationError(str(error)) from error
        if hash_of(columns) != _metadata(path)["content_hash"]:
            raise ConfigurationError(f"{path} was altered since it was stored: import or download it again")
        return columns

    def entry(self, symbol: Symbol, timeframe: Timeframe) -> Entry | None:
        path = self.path(symbol, timeframe)
        return None if path is None else _entry(path)

    def entries(self) -> list[Entry]:
        """All series, by symbol and length. Raises ConfigurationError where a file is none of ours."""
        entries = [_entry(path) for path in self.root.glob("*__*.parquet")]
        return sorted(entries, key=lambda entry: (entry.symbol, entry.timeframe.duration))

    def write(self, symbol: Symbol, timeframe: Timeframe, columns: Columns, *, source: str) -> Entry:
        """Put a series in the place of the one that may be there. Two bars at least, increasing in time."""
        if len(columns) < 2 or (np.diff(columns.times) <= 0).any():
            raise ConfigurationError(f"{symbol}: a series needs two bars at least, in the order of time")
        columns = _as_read(columns)
        about = {
            "symbol": str(symbol),
            "timeframe": str(timeframe),
            "rows": len(columns),
            "first": from_micros(int(columns.times[0])).isoformat(),
            "last": from_micros(int(columns.times[-1])).isoformat(),
            "content_hash": hash_of(columns),
            "source": source,
            "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        path = self._place(symbol, timeframe)
        self.root.mkdir(parents=True, exist_ok=True)
        _write(path, columns, about)
        return _entry(path)

    def _place(self, symbol: Symbol, timeframe: Timeframe) -> Path:
        return self.root / f"{str(symbol).replace('/', '-')}__{timeframe}.parquet"


def store_of(settings: Settings) -> BarStore:
    """The store in STATE_DIR."""
    return BarStore(settings.store.state_dir / FOLDER)


def bars_of(symbol: Symbol, timeframe: Timeframe, columns: Columns) -> Bars:
    """As a model reads them. The amount is the volume at the bar's mean price: the files have no traded value."""
    prices = [columns.open, columns.high, columns.low, columns.close]
    amount = columns.volume * np.mean(prices, axis=0)
    values = np.column_stack([*prices, columns.volume, amount])
    return Bars(symbol=symbol, timeframe=timeframe, times=columns.times.view("datetime64[us]"), values=values)


def bars_of_file(symbol: Symbol, path: Path, timeframe: Timeframe | None = None) -> Bars:
    """All bars of a Parquet or CSV file, or a ConfigurationError. `timeframe` None: as far apart as the rows are."""
    from trader.exchange.market.files import timeframe_of

    try:
        columns, spacing_us, _ = load_bars(path)
        found = timeframe_of(path, spacing_us)
    except MarketError as error:
        raise ConfigurationError(str(error)) from error
    if timeframe is not None and found != timeframe:
        raise ConfigurationError(f"{path}: its bars are of {found}, not of {timeframe}")
    return bars_of(symbol, found, columns)


def hash_of(columns: Columns) -> str:
    """Hex digest of times and figures, whatever file format they lie in."""
    arrays: list[NDArray[np.int64] | NDArray[np.float64]] = [columns.times]
    arrays += [getattr(columns, name) for name in _FIELDS]
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()


def _as_read(columns: Columns) -> Columns:
    """What the reader will make of it: a high or low inside the body by a rounding error is widened."""
    top, bottom = np.maximum(columns.open, columns.close), np.minimum(columns.open, columns.close)
    return replace(columns, high=np.maximum(columns.high, top), low=np.minimum(columns.low, bottom))


def _write(path: Path, columns: Columns, about: dict[str, object]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays = {"timestamp": pa.array(columns.times, type=pa.timestamp("us", "UTC"))}
    arrays |= {name: pa.array(getattr(columns, name), type=pa.float64()) for name in _FIELDS}
    table = pa.table(arrays).replace_schema_metadata({_META: json.dumps(about).encode()})
    write_atomically(path, lambda place: pq.write_table(table, place, compression="zstd", write_page_checksum=True))


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Have `write(place)` make the file beside `path`, then put it there: whole, on the disk, or not at all."""
    for leftover in path.parent.glob(f".{path.name}.*"):
        if not Path(f"/proc/{leftover.suffix[1:]}").exists():  # its writer was killed
            leftover.unlink(missing_ok=True)
    place = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(place)
        with place.open("rb") as file:
            os.fsync(file.fileno())
        place.replace(path)
    finally:
        place.unlink(missing_ok=True)


def _metadata(path: Path) -> dict[str, str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        found = (pq.read_schema(path).metadata or {}).get(_META)
        about = json.loads(found) if found else None
    except (OSError, pa.ArrowException, ValueError) as error:
        raise ConfigurationError(f"{path} can't be read ({str(error).splitlines()[0]}): import it again") from error
    if not isinstance(about, dict):
        raise ConfigurationError(f"{path} was not written by `trader data`: move it away and import it")
    return about


def _entry(path: Path) -> Entry:
    about = _metadata(path)
    try:
        return Entry(
            symbol=Symbol(about["symbol"]),
            timeframe=Timeframe.parse(about["timeframe"]),
            path=path,
            rows=int(about["rows"]),
            first=datetime.fromisoformat(about["first"]),
            last=datetime.fromisoformat(about["last"]),
            content_hash=about["content_hash"],
            source=about["source"],
            written_at=datetime.fromisoformat(about["written_at"]),
        )
    except (KeyError, ValueError) as error:
        raise ConfigurationError(f"{path} has incomplete metadata ({error}): import it again") from error
