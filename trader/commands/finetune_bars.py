"""What `trader finetune` learns from: bars of files, of the store, or of markets that were never recorded."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trader.core.types import AssetClass, Symbol, Timeframe
from trader.errors import ConfigurationError
from trader.exchange.market.files import Columns, to_micros

if TYPE_CHECKING:
    from forecasters.kronos.training.windows import TrainingSeries
    from settings.schema import Settings
    from trader.exchange.market.sessions import Sessions

# Symbol and bar length of each market, in turn: hours above all, since that is what the daemon trades by default.
_PLAYED = (
    ("BTC/USD", "1Hour"),
    ("SPY", "1Hour"),
    ("ETH/USD", "1Hour"),
    ("AAPL", "1Hour"),
    ("SOL/USD", "1Hour"),
    ("BTC/USD", "15Min"),
    ("MSFT", "1Hour"),
    ("DOGE/USD", "1Hour"),
    ("QQQ", "5Min"),
    ("LTC/USD", "1Hour"),
    ("ETH/USD", "5Min"),
    ("QQQ", "1Hour"),
    ("UNI/USD", "4Hour"),
    ("SPY", "15Min"),
    ("BTC/USD", "1Day"),
    ("ETH/USD", "1Hour"),
)
_ORIGIN = datetime(2015, 1, 5, tzinfo=UTC)
_APART_DAYS = 97  # from one market's beginning to the next one's, so that they differ in their months, too


def from_file(symbol: Symbol, file: Path) -> TrainingSeries:
    """Raises ConfigurationError for a file that can't be trusted."""
    from trader.exchange.market.files import MarketError, load_bars

    try:
        columns, _, _ = load_bars(file)
    except MarketError as error:
        raise ConfigurationError(f"--data: {error}") from error
    return series_of(f"{symbol} {file.name}", columns, str(symbol))


def generated(seed: int, markets: int, bars: int) -> list[TrainingSeries]:
    """`bars` bars of each of so many generated markets; the same for the same seed."""
    tables = generated_columns(seed, markets, bars)
    names = (f"{' '.join(_PLAYED[number % len(_PLAYED)])} {seed}/{number}" for number in range(markets))
    return [series_of(name, columns) for name, columns in zip(names, tables, strict=True)]


def generated_columns(seed: int, markets: int, bars: int) -> list[Columns]:
    """The same, with prices as the simulated venue can trade them."""
    from trader.exchange.market.sessions import Sessions

    sessions = Sessions()
    return [_generated(seed, number, bars, sessions) for number in range(markets)]


def _generated(seed: int, number: int, bars: int, sessions: Sessions) -> Columns:
    from trader.exchange.market.assets import instrument_of
    from trader.exchange.market.generator import Generator
    from trader.exchange.market.series import joined, on_ticks

    name, length = _PLAYED[number % len(_PLAYED)]
    symbol = Symbol(name)
    source = Generator(
        symbol,
        Timeframe.parse(length),
        seed=seed * 1_000_003 + number,
        origin_us=to_micros(_ORIGIN) + (number * _APART_DAYS % 2000) * 86_400_000_000,
        spread_bps=20.0 if symbol.asset_class is AssetClass.CRYPTO else 2.0,
        sessions=sessions,
    )
    columns = source.next_chunk()
    while len(columns) < bars:
        columns = joined(columns, source.next_chunk())
    return on_ticks(_first(columns, bars), instrument_of(symbol))


def _first(columns: Columns, count: int) -> Columns:
    spread = columns.spread_bps
    return Columns(
        times=columns.times[:count],
        open=columns.open[:count],
        high=columns.high[:count],
        low=columns.low[:count],
        close=columns.close[:count],
        volume=columns.volume[:count],
        spread_bps=None if spread is None else spread[:count],
    )


def series_of(name: str, columns: Columns, symbol: str = "") -> TrainingSeries:
    """The amount is the volume at the bar's mean price. `symbol`: of recorded bars."""
    from forecasters.kronos.training.windows import training_series

    prices = (columns.open, columns.high, columns.low, columns.close)
    values = np.column_stack([*prices, columns.volume, columns.volume * np.mean(prices, axis=0)])
    return training_series(name, values, columns.times.view("datetime64[us]"), symbol)


def parsed(data: Sequence[str]) -> list[tuple[Symbol, Path]]:
    """SYM=FILE each. Raises ConfigurationError."""
    found = []
    for text in data:
        name, _, file = text.partition("=")
        if not file:
            raise ConfigurationError(f"--data {text}: write SYMBOL=FILE")
        found.append((_symbol(name), Path(file)))
    return found


def symbols_of(text: str | None) -> list[Symbol]:
    """A comma list, each once. Raises ConfigurationError."""
    return list(dict.fromkeys(_symbol(name) for name in (text or "").split(",") if name.strip()))


def of_store(settings: Settings, symbols: Sequence[Symbol]) -> list[TrainingSeries]:
    """Bars of TIMEFRAME that `trader data` has stored. Raises ConfigurationError."""
    from trader.research.data.store import store_of

    store, timeframe = store_of(settings), Timeframe.parse(str(settings.trading.timeframe))
    return [
        series_of(f"{symbol} {timeframe} stored", store.columns(symbol, timeframe), str(symbol)) for symbol in symbols
    ]


def _symbol(text: str) -> Symbol:
    try:
        return Symbol.parse(text)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
