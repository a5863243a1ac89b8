"""Recorded quotes: one Parquet file a symbol, in the format that the simulated exchange replays.

STATE_DIR/quotes/BTC-USD__tick.parquet      timestamp (UTC, when it was quoted), bid, ask, bid_size, ask_size
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trader.core.types import Symbol
from trader.errors import ConfigurationError
from trader.exchange.market.files import from_micros
from trader.research.data.store import write_atomically

if TYPE_CHECKING:
    from settings.schema import Settings

FOLDER = "quotes"
_FIELDS = ("bid", "ask", "bid_size", "ask_size")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QuoteRows:
    """Quotes in the order of time: times [T] int64 microseconds, prices in quote currency, sizes in units.

    0 is a price or size that was not there.
    """

    times: NDArray[np.int64]
    bid: NDArray[np.float64]
    ask: NDArray[np.float64]
    bid_size: NDArray[np.float64]
    ask_size: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.times)


class QuoteStore:
    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, symbol: Symbol) -> Path | None:
        """As `trader run --quotes` reads it; None where nothing is stored."""
        path = self._place(symbol)
        return path if path.is_file() else None

    def entries(self) -> list[tuple[Symbol, Path]]:
        names = [(path.name.partition("__")[0].replace("-", "/"), path) for path in self.root.glob("*__tick.parquet")]
        return sorted((Symbol(name), path) for name, path in names)

    def span(self, symbol: Symbol) -> tuple[datetime, datetime] | None:
        """When the first and the last of them were; None where there are none. Raises as `rows`."""
        rows = self.rows(symbol)
        if rows is None or not len(rows):
            return None
        return from_micros(int(rows.times[0])), from_micros(int(rows.times[-1]))

    def rows(self, symbol: Symbol) -> QuoteRows | None:
        """All of them, or None. Raises ConfigurationError where the file can't be read."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self.path(symbol)
        if path is None:
            return None
        try:
            table = pq.read_table(path, page_checksum_verification=True, partitioning=None)
            times = table.column("timestamp").to_numpy().astype("datetime64[us]").astype(np.int64)
            return QuoteRows(times=times, **{name: table.column(name).to_numpy() for name in _FIELDS})
        except (OSError, pa.ArrowException, KeyError) as error:
            reason = str(error).splitlines()[0]
            raise ConfigurationError(f"{path} can't be read ({reason}): move it away and download it again") from error

    def write(self, symbol: Symbol, before: QuoteRows | None, fresh: Sequence[QuoteRows]) -> QuoteRows:
        """What was there and what is new, as one file in the place of the old. Returns what it holds."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        parts = [*([] if before is None else [before]), *fresh]
        rows = QuoteRows(
            times=np.concatenate([part.times for part in parts]),
            **{name: np.concatenate([getattr(part, name) for part in parts]) for name in _FIELDS},
        )
        arrays = {"timestamp": pa.array(rows.times, type=pa.timestamp("us", "UTC"))}
        arrays |= {name: pa.array(getattr(rows, name), type=pa.float64()) for name in _FIELDS}
        self.root.mkdir(parents=True, exist_ok=True)
        table = pa.table(arrays)
        options = {"use_dictionary": False, "write_page_checksum": True}  # a dictionary would be outside the checksums
        write_atomically(self._place(symbol), lambda place: pq.write_table(table, place, **options))
        return rows

    def _place(self, symbol: Symbol) -> Path:
        return self.root / f"{str(symbol).replace('/', '-')}__tick.parquet"


def quotes_of(settings: Settings) -> QuoteStore:
    """The store in STATE_DIR."""
    return QuoteStore(settings.store.state_dir / FOLDER)
