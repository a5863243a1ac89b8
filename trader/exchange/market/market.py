"""The market behind the simulated exchange: recorded bars and quotes, or generated ones, played phase by phase.

A market is a pure function of its options and its files: restarted at any moment it plays the same again. It holds
no clock; whoever asks says what time it is, and must not ask for `bars` or `quote` beyond that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np

from trader.core.types import AssetClass, Instrument, Quote, Symbol, Timeframe
from trader.exchange.engine.events import Tape
from trader.exchange.market.assets import LISTED, instrument_of
from trader.exchange.market.files import (
    Columns,
    MarketError,
    QuoteColumns,
    from_micros,
    load_bars,
    load_quotes,
    timeframe_of,
    to_micros,
)
from trader.exchange.market.fingerprint import fingerprint_of
from trader.exchange.market.generator import Generator
from trader.exchange.market.replay import Reel
from trader.exchange.market.series import BarRow, Series, length_of, on_ticks
from trader.exchange.market.sessions import DAY_US, Sessions, as_datetimes, playing_of

__all__ = ["BarRow", "Market", "MarketError", "MarketOptions", "open_market"]

DEFAULT_SYMBOLS = (Symbol("BTC/USD"), Symbol("ETH/USD"))
DEFAULT_TIMEFRAME = Timeframe(1, "Hour")
_ORIGIN = datetime(2024, 1, 8, tzinfo=UTC)  # a Monday: where generated markets begin unless told otherwise
_SCALE = 2.0  # recorded quotes may differ from their bars by no more than this factor


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

    def spread_of(self, symbol: Symbol) -> Decimal:
        return self.spread_bps if symbol.asset_class is AssetClass.CRYPTO else self.stock_spread_bps


class Market:
    """All listed instruments, and the playing of those that have bars.

    symbols      all that are listed; those in `quoted` have bars, the rest exist without a price
    timeframe    the length of the first symbol's bars; `bars` serves it and its multiples for every symbol
    start, end   where the clock starts, and where the first symbol's data end (None: never)
    fingerprint  of the options and the files' contents: a ledger belongs to one market
    notes        what was repaired in the files, one line each
    """

    def __init__(
        self,
        reels: Mapping[Symbol, Reel],
        listed: Iterable[Symbol],
        *,
        timeframe: Timeframe,
        start_us: int,
        end_us: int | None,
        fingerprint: str,
        sessions: Sessions,
        notes: tuple[str, ...] = (),
    ) -> None:
        self.symbols: tuple[Symbol, ...] = tuple(dict.fromkeys((*reels, *listed)))
        self.quoted: tuple[Symbol, ...] = tuple(reels)
        self.timeframe = timeframe
        self.start = from_micros(start_us)
        self.end = None if end_us is None else from_micros(end_us)
        self.fingerprint = fingerprint
        self.instruments: Mapping[Symbol, Instrument] = {symbol: instrument_of(symbol) for symbol in self.symbols}
        self.notes = notes
        self._reels = reels
        self._end_us = end_us
        self._sessions = sessions
        self._upcoming = (0, 0, self.start)  # from, until (microseconds), and the moment that is the next one then
        self._has_stocks = any(symbol.asset_class is AssetClass.STOCK for symbol in reels)

    def next_time(self, after: datetime) -> datetime | None:
        """The next moment later than `after` at which a symbol has a phase or a stock session opens or closes.

        None once the data are over. A phase may lie exactly at `start`: play `tapes(start)` first.
        """
        after_us = to_micros(after)
        if self._upcoming[0] <= after_us < self._upcoming[1]:  # asked again before it has come
            return self._upcoming[2]
        soonest = self._sessions.next_change(after_us) if self._has_stocks else None
        for reel in self._reels.values():
            moment = reel.series.next_moment(after_us)
            if moment is not None and (soonest is None or moment < soonest):
                soonest = moment
        if soonest is None or (self._end_us is not None and soonest > self._end_us):
            return None
        self._upcoming = after_us, soonest, from_micros(soonest)
        return self._upcoming[2]

    def last_time(self, after: datetime, until: datetime) -> datetime | None:
        """The first moment later than `after` at which a symbol has its last phase up to `until`, if there is one."""
        after_us, until_us = to_micros(after), to_micros(until)
        if self._end_us is not None:
            until_us = min(until_us, self._end_us)
        moments = [reel.series.last_moment(after_us, until_us) for reel in self._reels.values()]
        known = [moment for moment in moments if moment is not None]
        return from_micros(min(known)) if known else None

    def tapes(self, at: datetime, low_first: Callable[[Symbol], bool]) -> tuple[Tape, ...]:
        """The tape of every symbol that has a phase exactly at `at`. `low_first` is asked once a bar, at FIRST."""
        at_us = to_micros(at)
        return tuple([tape for reel in self._reels.values() if (tape := reel.tape(at_us, low_first)) is not None])

    def resume(self, tapes: Iterable[Tape]) -> None:
        """After a restart inside a bar: which extreme came first, from the last tapes that were played."""
        for tape in tapes:
            if tape.symbol in self._reels:
                self._reels[tape.symbol].resume(tape)

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
        if symbol not in self._reels:
            return []
        start_us = None if start is None else to_micros(start)
        series = self._reels[symbol].series
        return series.rows(timeframe, start_us=start_us, end_us=to_micros(end), limit=limit, newest=newest)

    def series(self, symbol: Symbol) -> Series | None:
        """The bars of one symbol, the future ones among them: whoever reads them in process keeps to his own time."""
        return self._reels[symbol].series if symbol in self._reels else None

    def quote(self, symbol: Symbol, at: datetime) -> Quote | None:
        """The book at that moment from the data alone, or None where there is none yet."""
        return self._reels[symbol].quote(to_micros(at)) if symbol in self._reels else None

    def sessions(self, start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
        """(open, close) of the stock sessions that overlap [start, end]."""
        return as_datetimes(*self._sessions.between(to_micros(start), to_micros(end)))

    def is_open(self, symbol: Symbol, at: datetime) -> bool:
        """Crypto always; stocks from their session's open until just before its close."""
        return symbol.asset_class is AssetClass.CRYPTO or self._sessions.is_open(to_micros(at))


def open_market(options: MarketOptions) -> Market:
    """The market of these options. Raises MarketError."""
    if options.context < 1:
        raise MarketError(f"context of {options.context} bars: at least 1 must lie before the start")
    if options.bars is not None and options.bars < 1:
        raise MarketError(f"{options.bars} bars: generate at least 1, or leave it out for an endless market")
    if min(options.spread_bps, options.stock_spread_bps) < 0:
        raise MarketError("a spread below 0 bps is a crossed book; 20 is what crypto shows at the venue")
    if options.start is not None and options.start.tzinfo is None:
        raise MarketError(f"start {options.start} has no time zone; write it as {options.start.isoformat()}Z")
    strangers = [str(symbol) for symbol in options.quotes if symbol not in options.data]
    if strangers:
        raise MarketError(f"quotes without bars for {', '.join(strangers)}; give their bar file too")
    return _replayed(options) if options.data else _generated(options)


# ---- from files ----


def _replayed(options: MarketOptions) -> Market:
    sessions = Sessions()
    notes, reels = list[str](), dict[Symbol, Reel]()
    for symbol, path in options.data.items():
        columns, spacing_us, bar_notes = load_bars(path)
        notes += bar_notes
        series = Series(
            symbol,
            timeframe_of(path, spacing_us),
            on_ticks(columns, instrument_of(symbol)),
            playing=playing_of(symbol, spacing_us, sessions),
        )
        quotes, quote_notes = _quotes_of(symbol, series.columns, options)
        notes += quote_notes
        reels[symbol] = _reel(series, options, sessions, quotes=quotes, source="model")
        if not series.columns.volume.any():
            notes.append(f"{path}: no volumes: how much an order fills is not capped by them")
    first, path = next(iter(options.data.items()))
    clock = reels[first].series
    start_us = _start_in(path, clock, options)
    for symbol, reel in reels.items():
        _refuse_coarser(options.data[symbol], reel.series, clock, path)
        _refuse_disjoint(options.data[symbol], reel.series, start_us, clock.end_us, path)
    return Market(
        reels,
        (*options.symbols, *LISTED),
        timeframe=clock.timeframe,
        start_us=start_us,
        end_us=clock.end_us,
        fingerprint=_fingerprint(options, start_us, clock.timeframe),
        sessions=sessions,
        notes=tuple(notes),
    )


def _reel(
    series: Series, options: MarketOptions, sessions: Sessions, *, quotes: QuoteColumns | None, source: str
) -> Reel:
    return Reel(
        series,
        instrument_of(series.symbol),
        quotes=quotes,
        spread_bps=options.spread_of(series.symbol),
        source=source,
        uncapped=source == "model" and not series.columns.volume.any(),
        is_open=sessions.is_open if series.symbol.asset_class is AssetClass.STOCK else None,
    )


def _quotes_of(symbol: Symbol, columns: Columns, options: MarketOptions) -> tuple[QuoteColumns | None, tuple[str, ...]]:
    """The recorded quotes of a symbol, if any; refused where they can't be of the same market as its bars."""
    if symbol not in options.quotes:
        return None, ()
    path = options.quotes[symbol]
    quotes, notes = load_quotes(path)
    place = np.searchsorted(columns.times, quotes.known, side="right") - 1
    usable = (place >= 0) & (quotes.bid > 0) & (quotes.ask > quotes.bid) & (quotes.known <= columns.times[-1] + DAY_US)
    if not usable.any():
        raise MarketError(
            f"{path}: no two-sided quote lies in the time of {options.data[symbol]}; give a pair of files"
        )
    ratio = float(np.median((quotes.bid[usable] + quotes.ask[usable]) / 2 / columns.close[place[usable]]))
    if not 1 / _SCALE < ratio < _SCALE:
        raise MarketError(
            f"{path}: its prices are {ratio:.3g} times those of {options.data[symbol]}: another symbol's quotes?"
        )
    return quotes, notes


def _start_in(path: Path, clock: Series, options: MarketOptions) -> int:
    """Where the clock starts: far enough in for the context."""
    length = _context_length(path, clock, options)
    earliest_us = clock.closed_after(length, options.context)
    bars = clock.closed_before(length, clock.end_us)
    if earliest_us is None or earliest_us >= clock.end_us:
        raise MarketError(
            f"{path}: has {bars} bars of {length}; a context of {options.context} needs at least {options.context + 1}:"
            " give a longer file or a shorter context"
        )
    if options.start is None:
        return earliest_us
    start_us = to_micros(options.start)
    if not earliest_us <= start_us < clock.end_us:
        raise MarketError(
            f"{path}: start {options.start:%Y-%m-%d %H:%M}Z must lie from {from_micros(earliest_us):%Y-%m-%d %H:%M}Z"
            f" (with {options.context} bars before it) to {from_micros(clock.end_us):%Y-%m-%d %H:%M}Z"
        )
    return start_us


def _context_length(path: Path, clock: Series, options: MarketOptions) -> Timeframe:
    wanted = options.timeframe or clock.timeframe
    if length_of(wanted) % clock.length_us:
        raise MarketError(
            f"{path}: has {clock.timeframe} bars, of which no {wanted} bars can be made; use a finer file"
        )
    return wanted


def _refuse_coarser(path: Path, series: Series, clock: Series, first: Path) -> None:
    """Every symbol has bars of the market's timeframe: the first file's, made of finer ones where need be."""
    if clock.length_us % series.length_us:
        raise MarketError(
            f"{path}: has {series.timeframe} bars, of which no {clock.timeframe} bars can be made as {first} has them;"
            " give the coarsest file first"
        )


def _refuse_disjoint(path: Path, series: Series, start_us: int, end_us: int, clock: Path) -> None:
    begin_us = int(series.columns.times[0])
    if begin_us >= end_us or series.end_us <= start_us:
        raise MarketError(
            f"{path}: lies from {from_micros(begin_us):%Y-%m-%d} to {from_micros(series.end_us):%Y-%m-%d}, but the"
            f" clock (set by {clock}) runs from {from_micros(start_us):%Y-%m-%d} to {from_micros(end_us):%Y-%m-%d}"
        )


# ---- generated ----


def _generated(options: MarketOptions) -> Market:
    symbols = options.symbols or DEFAULT_SYMBOLS
    timeframe = options.timeframe or DEFAULT_TIMEFRAME
    length_us, sessions = length_of(timeframe), Sessions()
    if DAY_US % length_us:
        raise MarketError(
            f"generated bars of {timeframe} do not divide a day; use for example 5Min, 15Min, 1Hour or 1Day"
        )
    stocks = any(symbol.asset_class is AssetClass.STOCK for symbol in symbols)
    before_us = _history_us(options.context, length_us, stocks)
    start_us = to_micros(_ORIGIN) + options.context * length_us if options.start is None else to_micros(options.start)
    reels = {
        symbol: _reel(
            _grown(symbol, timeframe, start_us - before_us, options, sessions),
            options,
            sessions,
            quotes=None,
            source="generator",
        )
        for symbol in symbols
    }
    clock = reels[symbols[0]].series
    end_us = None if options.bars is None else _end_after(clock, start_us, options.bars)
    return Market(
        reels,
        LISTED,
        timeframe=timeframe,
        start_us=start_us,
        end_us=end_us,
        fingerprint=_fingerprint(options, start_us, timeframe),
        sessions=sessions,
    )


def _history_us(context: int, length_us: int, stocks: bool) -> int:
    """The time that holds `context` bars. A stock trades at least 5 of 24 hours, 4 of 7 days (with holidays)."""
    if not stocks:
        return context * length_us
    sparse = 7 / 4 * (1 if length_us >= DAY_US else 24 / 5)
    return int(context * length_us * sparse) + 10 * DAY_US


def _grown(symbol: Symbol, timeframe: Timeframe, origin_us: int, options: MarketOptions, sessions: Sessions) -> Series:
    generator = Generator(
        symbol,
        timeframe,
        seed=options.seed,
        origin_us=origin_us,
        spread_bps=float(options.spread_of(symbol)),
        sessions=sessions,
    )
    instrument = instrument_of(symbol)

    def chunk() -> Columns:
        return on_ticks(generator.next_chunk(), instrument)

    return Series(symbol, timeframe, chunk(), playing=playing_of(symbol, length_of(timeframe), sessions), grow=chunk)


def _end_after(clock: Series, start_us: int, bars: int) -> int:
    """When `bars` bars that start at or after the start have closed."""
    clock.reach(start_us)
    first = int(clock.columns.times.searchsorted(start_us))
    while len(clock.columns) < first + bars:
        clock.reach(clock.end_us)
    return int(clock.columns.times[first + bars - 1]) + clock.length_us


# ---- identity ----


def _fingerprint(options: MarketOptions, start_us: int, timeframe: Timeframe) -> str:
    """What decides how the market plays, and nothing else."""
    parts = [timeframe, start_us, options.spread_bps.normalize(), options.stock_spread_bps.normalize()]
    if not options.data:
        # the length of the history decides where the generated prices begin
        parts += [options.seed, options.bars, options.context, *(options.symbols or DEFAULT_SYMBOLS)]
    return fingerprint_of(parts, [*options.data.items(), *options.quotes.items()])
