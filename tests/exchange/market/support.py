"""Bar files made for a test, and where real ones may lie."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trader.core.types import Symbol, Timeframe
from trader.exchange.engine.events import Tape
from trader.exchange.market.market import Market, MarketOptions, open_market

BTC, ETH, SPY, AAPL = (Symbol(text) for text in ("BTC/USD", "ETH/USD", "SPY", "AAPL"))
HOUR, FIVE, DAY = (Timeframe.parse(text) for text in ("1Hour", "5Min", "1Day"))
HOUR_US = 3_600_000_000


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def real_data(name: str) -> Path:
    """A file of the real data; skips the test where it is absent."""
    default = Path(__file__).resolve().parents[3].parent / "shared" / "data"
    path = Path(os.environ.get("TRADER_DATA", default)) / name
    if not path.exists():
        pytest.skip(f"no real data at {path} (set TRADER_DATA)")
    return path


def random_bars(
    count: int, *, start: str = "2024-03-01", step_us: int = HOUR_US, seed: int = 0
) -> dict[str, np.ndarray]:
    """Plausible bars on cents: timestamp [T] datetime64[us], open, high, low, close, volume."""
    draw = np.random.default_rng(seed)
    close = 1000 * np.exp(np.cumsum(draw.normal(0, 0.01, count)))
    open_ = np.concatenate([[1000.0], close[:-1]]) * np.exp(draw.normal(0, 0.001, count))
    high = np.maximum(open_, close) * np.exp(np.abs(draw.normal(0, 0.004, count)))
    low = np.minimum(open_, close) * np.exp(-np.abs(draw.normal(0, 0.004, count)))
    first = np.datetime64(start, "us").astype(np.int64)
    times = (first + np.arange(count, dtype=np.int64) * step_us).astype("datetime64[us]")
    prices = {"open": open_, "high": high, "low": low, "close": close}
    rounded = {name: np.round(values, 2) for name, values in prices.items()}
    return {"timestamp": times, **rounded, "volume": np.round(draw.gamma(2.0, 50.0, count), 3)}


def write(path: Path, columns: dict[str, np.ndarray]) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def quote_rows(times: list[str], bid: list[float], ask: list[float]) -> dict[str, np.ndarray]:
    count = len(times)
    return {
        "timestamp": np.array(times, dtype="datetime64[us]"),
        "bid": np.array(bid, dtype=float),
        "ask": np.array(ask, dtype=float),
        "bid_size": np.full(count, 3.0),
        "ask_size": np.full(count, 4.0),
    }


def replay(path: Path, symbol: Symbol = BTC, *, quotes: Path | None = None, context: int = 2) -> Market:
    books = {} if quotes is None else {symbol: quotes}
    return open_market(MarketOptions(data={symbol: path}, quotes=books, context=context))


def played(market: Market, steps: int, low_first: Callable[[Symbol], bool] = lambda _: True) -> list[Tape]:
    """The tapes of the first moments from the start on."""
    tapes: list[Tape] = []
    moment: datetime | None = market.start
    while moment is not None and steps > 0:
        tapes += market.tapes(moment, low_first)
        moment, steps = market.next_time(moment), steps - 1
    return tapes
