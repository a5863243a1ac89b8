"""Bars and quotes over the venue's REST. One call for each asset class, whatever the number of symbols.

Bars are kept between calls: a cycle asks only for what is new, with an overlap that must agree with what was kept.
Where it does not (a correction, a split), everything is fetched again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trader.adapters.alpaca.clients import AlpacaClients
from trader.adapters.alpaca.convert import Malformed, mapping, moment, quote_of, shown
from trader.core.market import Bars, to_datetime
from trader.core.types import AssetClass, Quote, Symbol, Timeframe
from trader.errors import Rejected, Transient

_PAGE = 10_000  # the venue's largest
_MOST_PAGES = 1_000
_SYMBOLS_PER_CALL = 200  # keeps the URL short
_OVERLAP = 3  # bars asked for again, to notice a correction
_SESSION_SHARE = 6.5 / 24 * 5 / 7  # of all hours, those in which stocks trade
_HOLIDAYS = timedelta(days=5)
_REACH = (1.1, 4.0)  # how much further back than `count` bars: gaps; then once more where that was too short


@dataclass(frozen=True, slots=True)
class _Kept:
    bars: Bars
    count: int  # how many had been asked for


class AlpacaMarketData:
    """The MarketData port. Not for two threads at once.

    on_problem  told (kind, detail) of each item that could not be read; that symbol is then absent
    """

    def __init__(self, clients: AlpacaClients, on_problem: Callable[[str, str], None] | None = None) -> None:
        self._clients = clients
        self._on_problem = on_problem or (lambda kind, detail: None)
        self._kept: dict[tuple[Symbol, Timeframe], _Kept] = {}

    def bars(
        self, symbols: Sequence[Symbol], timeframe: Timeframe, *, end: datetime, count: int
    ) -> Mapping[Symbol, Bars]:
        series: dict[Symbol, Bars] = {}
        for asset_class, group in _by_class(symbols):
            kept_symbols = [s for s in group if self._usable(s, timeframe, end, count)]
            series |= self._newer(asset_class, kept_symbols, timeframe, end, count)
            other_symbols = [s for s in group if s not in series]
            series |= self._all(asset_class, other_symbols, timeframe, end, count)
        return {symbol: series[symbol] for symbol in symbols if symbol in series}

    def quotes(self, symbols: Sequence[Symbol]) -> Mapping[Symbol, Quote]:
        found: dict[Symbol, Quote] = {}
        for asset_class, group in _by_class(symbols):
            source = "alpaca:us" if asset_class is AssetClass.CRYPTO else f"alpaca:{self._clients.endpoints.feed}"
            for symbol, raw in self._latest_quotes(asset_class, group).items():
                try:
                    found[symbol] = quote_of(symbol, raw, source)
                except Malformed as error:
                    self._on_problem("quote", f"{symbol}: {error}")
        return {symbol: found[symbol] for symbol in symbols if symbol in found}

    # ---- bars ----

    def _usable(self, symbol: Symbol, timeframe: Timeframe, end: datetime, count: int) -> bool:
        kept = self._kept.get((symbol, timeframe))
        return kept is not None and kept.count >= count and kept.bars.last_start + timeframe.duration <= end

    def _newer(
        self, asset_class: AssetClass, symbols: Sequence[Symbol], timeframe: Timeframe, end: datetime, count: int
    ) -> dict[Symbol, Bars]:
        """What is kept, brought up to date. A symbol whose overlap disagrees is forgotten and absent."""
        if not symbols:
            return {}
        starts = [_tail_start(self._kept[s, timeframe].bars) for s in symbols]
        tails = self._fetch(asset_class, symbols, timeframe, min(starts), end)
        series = {}
        for symbol in symbols:
            bars = _join(self._kept[symbol, timeframe].bars, tails.get(symbol))
            if bars is None:
                del self._kept[symbol, timeframe]
            else:
                series[symbol] = self._keep(bars, self._kept[symbol, timeframe].count, count)
        return series

    def _all(
        self, asset_class: AssetClass, symbols: Sequence[Symbol], timeframe: Timeframe, end: datetime, count: int
    ) -> dict[Symbol, Bars]:
        series: dict[Symbol, Bars] = {}
        symbols_left = list(symbols)
        for reach in _REACH:
            if not symbols_left:
                break
            start = end - _span(asset_class, timeframe, count) * reach
            for symbol, bars in self._fetch(asset_class, symbols_left, timeframe, start, end).items():
                series[symbol] = self._keep(bars, count, count)
            symbols_left = [s for s in symbols_left if s in series and len(series[s]) < count]
        return series

    def _keep(self, bars: Bars, kept_count: int, count: int) -> Bars:
        newest = _tail(bars, kept_count)
        self._kept[bars.symbol, bars.timeframe] = _Kept(newest, kept_count)
        return _tail(newest, count)

    def _fetch(
        self, asset_class: AssetClass, symbols: Sequence[Symbol], timeframe: Timeframe, start: datetime, end: datetime
    ) -> dict[Symbol, Bars]:
        """Closed bars from `start` on. A symbol whose bars can't be read is absent, and reported."""
        last_start = end - timeframe.duration
        params = {
            "timeframe": str(timeframe),
            "start": _stamp(start),
            "end": _stamp(last_start),
            "limit": str(_PAGE),
            "sort": "asc",
        }
        if asset_class is AssetClass.STOCK:
            params |= {"feed": self._clients.endpoints.feed, "adjustment": "split"}
        path = "/crypto/us/bars" if asset_class is AssetClass.CRYPTO else "/stocks/bars"
        series: dict[Symbol, Bars] = {}
        for symbol, rows in self._pages(asset_class, path, symbols, params).items():
            try:
                bars = _bars_of(symbol, timeframe, rows)
            except Malformed as error:
                self._on_problem("bars", f"{symbol}: {error}")
                continue
            is_closed = bars.times <= np.datetime64(last_start.astimezone(UTC).replace(tzinfo=None), "us")
            if is_closed.any():
                series[symbol] = _cut(bars, is_closed)
        return series

    def _pages(
        self, asset_class: AssetClass, path: str, symbols: Sequence[Symbol], params: Mapping[str, str]
    ) -> dict[Symbol, list[Any]]:
        rows: dict[Symbol, list[Any]] = {}
        for group in _chunks(symbols):
            token = ""
            for _ in range(_MOST_PAGES):
                query = {**params, "symbols": ",".join(s.text for s in group)} | (
                    {"page_token": token} if token else {}
                )
                body = self._get(asset_class, path, query)
                for symbol, part in self._of_symbols(body, "bars", group).items():
                    if isinstance(part, list):
                        rows.setdefault(symbol, []).extend(part)
                    else:
                        self._on_problem("bars", f"{symbol}: {shown(part)}")
                token = body.get("next_page_token") or ""
                if not isinstance(token, str):
                    raise Transient(f"{path}: a page token of {shown(token)}")
                if not token:
                    break
        return rows

    # ---- quotes ----

    def _latest_quotes(self, asset_class: AssetClass, symbols: Sequence[Symbol]) -> dict[Symbol, Any]:
        crypto = asset_class is AssetClass.CRYPTO
        path = "/crypto/us/latest/quotes" if crypto else "/stocks/quotes/latest"
        params = {} if crypto else {"feed": self._clients.endpoints.feed}
        found: dict[Symbol, Any] = {}
        for group in _chunks(symbols):
            body = self._get(asset_class, path, {**params, "symbols": ",".join(s.text for s in group)})
            found |= self._of_symbols(body, "quotes", group)
        return found

    def _get(self, asset_class: AssetClass, path: str, params: Mapping[str, str]) -> Mapping[str, Any]:
        fetch = self._clients.crypto_data if asset_class is AssetClass.CRYPTO else self._clients.stock_data
        try:
            return mapping(fetch(path, params), path)
        except Rejected as error:
            raise Transient(f"{error} (a data plan without recent SIP needs ALPACA_FEED=iex)") from error
        except Malformed as error:
            raise Transient(str(error)) from error

    def _of_symbols(self, body: Mapping[str, Any], name: str, symbols: Sequence[Symbol]) -> dict[Symbol, Any]:
        part = body.get(name)
        if part is None:
            return {}
        try:
            by_name = mapping(part, name)
        except Malformed as error:
            raise Transient(str(error)) from error
        return {symbol: by_name[symbol.text] for symbol in symbols if by_name.get(symbol.text) is not None}


def _bars_of(symbol: Symbol, timeframe: Timeframe, rows: Sequence[Any]) -> Bars:
    try:
        times = _times([row["t"] for row in rows])
        values = np.empty((len(rows), 6))
        for column, name in enumerate("ohlcv"):
            values[:, column] = [row[name] for row in rows]
        means = values[:, :4].mean(axis=1)
        weighted = np.array([math.nan if row.get("vw") is None else row["vw"] for row in rows], dtype=np.float64)
        values[:, 5] = values[:, 4] * np.where(np.isnan(weighted), means, weighted)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise Malformed(f"bars: {type(error).__name__} {error}") from error
    return Bars(symbol=symbol, timeframe=timeframe, times=times, values=values)


def _times(stamps: Sequence[str]) -> NDArray[np.datetime64]:
    if all(stamp.endswith("Z") for stamp in stamps):
        return np.array([stamp[:-1] for stamp in stamps], dtype="datetime64[us]")
    parsed = [moment({"t": stamp}, "t").replace(tzinfo=None) for stamp in stamps]
    return np.array(parsed, dtype="datetime64[us]")


def _join(kept: Bars, newer: Bars | None) -> Bars | None:
    """`kept` followed by what is new, or None where they disagree on the bars that both have."""
    if newer is None:
        return None
    in_both = kept.times >= newer.times[0]
    overlap = int(in_both.sum())
    agrees = (
        1 <= overlap <= len(newer)
        and np.array_equal(kept.times[in_both], newer.times[:overlap])
        and np.array_equal(kept.values[in_both], newer.values[:overlap])
    )
    if not agrees:
        return None
    return Bars(
        symbol=kept.symbol,
        timeframe=kept.timeframe,
        times=np.concatenate([kept.times, newer.times[overlap:]]),
        values=np.concatenate([kept.values, newer.values[overlap:]]),
    )


def _tail_start(bars: Bars) -> datetime:
    return to_datetime(bars.times[-min(_OVERLAP, len(bars))])


def _tail(bars: Bars, count: int) -> Bars:
    return bars if len(bars) <= count else _cut(bars, slice(len(bars) - count, None))


def _cut(bars: Bars, part: slice | NDArray[np.bool_]) -> Bars:
    return Bars(symbol=bars.symbol, timeframe=bars.timeframe, times=bars.times[part], values=bars.values[part])


def _span(asset_class: AssetClass, timeframe: Timeframe, count: int) -> timedelta:
    """Calendar time that holds about `count` bars."""
    span = timeframe.duration * (count + 2)
    if asset_class is AssetClass.CRYPTO:
        return span
    if timeframe.unit == "Day":
        return span * (7 / 5) + _HOLIDAYS
    return span / _SESSION_SHARE + _HOLIDAYS


def _by_class(symbols: Iterable[Symbol]) -> list[tuple[AssetClass, list[Symbol]]]:
    groups: dict[AssetClass, list[Symbol]] = {}
    for symbol in dict.fromkeys(symbols):
        groups.setdefault(symbol.asset_class, []).append(symbol)
    return list(groups.items())


def _chunks(symbols: Sequence[Symbol]) -> list[Sequence[Symbol]]:
    return [symbols[i : i + _SYMBOLS_PER_CALL] for i in range(0, len(symbols), _SYMBOLS_PER_CALL)]


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
