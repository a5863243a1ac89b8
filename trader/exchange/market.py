"""The market behind the simulated exchange: recorded bars and quotes, or generated ones, played phase by phase.

A market is a pure function of its options and its files: restarted at any moment it plays the same again. It holds
no clock; whoever asks says what time it is, and must not ask for `bars` or `quote` beyond that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from trader.core.types import Instrument, Quote, Symbol, Timeframe
from trader.exchange.events import Tape

DEFAULT_SYMBOLS = (Symbol("BTC/USD"), Symbol("ETH/USD"))


class MarketError(Exception):
    """The market can't be opened. One line: which file or option, what is wrong, what would be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketOptions:
    """What the market is made of.

    data, quotes      bar and quote files by symbol; the first of `data` sets the clock; none: a generated market
    symbols           the instruments of a generated market; in a replay, further ones that exist, unquoted
    start             where the clock starts; None: where `context` bars lie before it
    context           bars (of `timeframe` where it is coarser than the file's) that lie before the start
    timeframe         the generated bars' length (default 1Hour); a replay takes it from the first file's spacing
    bars              how many bars after the start are generated; None: endless
    spread_bps        modelled spread of crypto, whole width; stock_spread_bps that of stocks
    """

    data: Mapping[Symbol, Path] = field(default_factory=dict)
    quotes: Mapping[Symbol, Path] = field(default_factory=dict)
    symbols: tuple[Symbol, ...] = ()
    start: datetime | None = None
    context: int = 600
    seed: int = 1
    spread_bps: Decimal = Decimal(20)
    stock_spread_bps: Decimal = Decimal(2)
    timeframe: Timeframe | None = None
    bars: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BarRow:
    """One closed bar as the data API tells it: prices in quote currency, volume in units, `trades` a count."""

    start: datetime
    open: float
    high: float
    low: float
    close: float
    volume: float
    trades: int
    vwap: float


class Market:
    """All listed instruments, and the playing of those that have bars."""

    symbols: tuple[Symbol, ...]
    timeframe: Timeframe
    start: datetime
    end: datetime | None
    fingerprint: str
    instruments: Mapping[Symbol, Instrument]

    def next_time(self, after: datetime) -> datetime | None:
        """The next moment later than `after` at which a symbol has a phase or a stock session opens or closes.

        None once the data are over.
        """
        raise NotImplementedError

    def tapes(self, at: datetime, low_first: Callable[[Symbol], bool]) -> tuple[Tape, ...]:
        """The tape of every symbol that has a phase exactly at `at`. `low_first` is asked once a bar, at FIRST."""
        raise NotImplementedError

    def resume(self, tapes: Iterable[Tape]) -> None:
        """After a restart inside a bar: which extreme came first, from the last tapes that were played."""
        raise NotImplementedError

    def bars(
        self,
        symbol: Symbol,
        timeframe: Timeframe,
        *,
        start: datetime | None,
        end: datetime,
        limit: int,
        newest: bool = False,
    ) -> list[BarRow]:
        """Bars with `start` <= their start, closed at or before `end` (at most now), oldest first.

        The first `limit` of them, or the last where `newest`. A symbol without bars has none.
        Raises ValueError for a timeframe that is not a multiple of the symbol's own bars.
        """
        raise NotImplementedError

    def quote(self, symbol: Symbol, at: datetime) -> Quote | None:
        """The book at that moment from the data alone, or None where there is none yet."""
        raise NotImplementedError

    def sessions(self, start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
        """(open, close) of the stock sessions that overlap [start, end]."""
        raise NotImplementedError

    def is_open(self, symbol: Symbol, at: datetime) -> bool:
        """Crypto always; stocks from their session's open until just before its close."""
        raise NotImplementedError


def open_market(options: MarketOptions) -> Market:
    """The market of these options. Raises MarketError."""
    raise NotImplementedError
