"""The market-data API: /v1beta3/crypto/us and /v2/stocks. Nothing later than the venue's now is ever told."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from trader.core.types import AssetClass, Quote, Symbol, Timeframe
from trader.exchange.api import parse, wire_data
from trader.exchange.api.call import Call, Handler, Reply
from trader.exchange.api.parse import BadRequest
from trader.exchange.api.quote_faults import spoiled
from trader.exchange.api.wire import Json, stamp
from trader.exchange.market.market import BarRow

CRYPTO, STOCKS = "/v1beta3/crypto/us", "/v2/stocks"
_INSTANT = timedelta(microseconds=1)
_Row = tuple[datetime, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    """Rows with `start` <= their time <= `end`, at most `limit`, from the end backwards where `newest`."""

    start: datetime
    end: datetime
    limit: int
    newest: bool


_Source = Callable[[Symbol, _Window], list[_Row]]


# ---- history ----


def bars(call: Call, kind: AssetClass) -> Reply:
    try:
        frame = Timeframe.parse(call.params.get("timeframe") or "1Min")
    except ValueError as error:
        raise BadRequest(f"invalid timeframe: {error}", status=400, code=40010000) from None

    def source(symbol: Symbol, window: _Window) -> list[_Row]:
        # a bar is asked for by its start, but known only once it has closed
        end = min(window.end + frame.duration, call.venue.now)
        rows = _bar_rows(call, symbol, frame, start=window.start, end=end, limit=window.limit, newest=window.newest)
        return [(row.start, wire_data.bar(row)) for row in rows]

    return _paged(call, kind, "bars", source)


def quotes(call: Call, kind: AssetClass) -> Reply:
    """One at the end of each bar: the data hold no more than that for certain."""

    def source(symbol: Symbol, window: _Window) -> list[_Row]:
        closes = (close for close, _ in _closes(call, symbol, window))
        found = ((close, call.venue.market.quote(symbol, close)) for close in closes)
        return [(close, wire_data.quote(quote)) for close, quote in found if quote is not None]

    return _paged(call, kind, "quotes", source)


def trades(call: Call, kind: AssetClass) -> Reply:
    """The last one of each bar."""

    def source(symbol: Symbol, window: _Window) -> list[_Row]:
        return [(close, _trade(row, close, kind)) for close, row in _closes(call, symbol, window)]

    return _paged(call, kind, "trades", source)


def _closes(call: Call, symbol: Symbol, window: _Window) -> list[tuple[datetime, BarRow]]:
    """(close time, bar) of the bars that closed within the window."""
    frame, now = call.venue.market.timeframe, call.venue.now
    rows = _bar_rows(
        call,
        symbol,
        frame,
        start=window.start - frame.duration,
        end=min(window.end, now),
        limit=window.limit,
        newest=window.newest,
    )
    return [(row.start + frame.duration, row) for row in rows]


def _bar_rows(
    call: Call, symbol: Symbol, frame: Timeframe, *, start: datetime | None, end: datetime, limit: int, newest: bool
) -> list[BarRow]:
    try:
        rows = call.venue.market.bars(symbol, frame, start=start, end=end, limit=limit, newest=newest)
    except ValueError as error:
        raise BadRequest(f"invalid timeframe: {error}", status=400, code=40010000) from None
    return rows[::-1] if newest else rows


def _trade(row: BarRow, at: datetime, kind: AssetClass) -> Json:
    return wire_data.trade(row, stamp(at), int(at.timestamp()), crypto=kind is AssetClass.CRYPTO)


def _paged(call: Call, kind: AssetClass, key: str, source: _Source) -> Reply:
    """Symbol after symbol; `limit` counts over all of them."""
    params, now = call.params, call.venue.now
    symbols = sorted(_symbols(call, kind))
    newest = parse.choice(params, "sort", ("asc", "desc")) == "desc"
    room = parse.whole(params, "limit", 1000, 10_000)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    start, end = parse.moment(params, "start") or midnight, parse.moment(params, "end") or now
    resume = _token(params)
    found: dict[str, list[Json]] = {}
    for symbol in symbols:
        low, high = start, min(end, now)
        if resume is not None and symbol.text < resume[0]:
            continue
        if resume is not None and symbol.text == resume[0]:
            low, high = (low, resume[1] - _INSTANT) if newest else (resume[1] + _INSTANT, high)
        rows = source(symbol, _Window(start=low, end=high, limit=room + 1, newest=newest)) if low <= high else []
        if rows:
            found[symbol.text] = [body for _, body in rows[:room]]
        if len(rows) > room:
            last = rows[room - 1][0] if room else (low - _INSTANT if not newest else high + _INSTANT)
            if not room:
                del found[symbol.text]
            return Reply(body={key: found, "next_page_token": _next(symbol, last)})
        room -= len(rows)
    return Reply(body={key: found, "next_page_token": None})


def _next(symbol: Symbol, last: datetime) -> str:
    return base64.urlsafe_b64encode(f"{symbol}|{last.isoformat()}".encode()).decode()


def _token(params: Mapping[str, str]) -> tuple[str, datetime] | None:
    raw = params.get("page_token")
    if not raw:
        return None
    try:
        symbol, _, moment = base64.urlsafe_b64decode(raw.encode()).decode().partition("|")
        return symbol, datetime.fromisoformat(moment).astimezone(UTC)
    except (binascii.Error, ValueError, OverflowError):
        raise BadRequest("invalid page_token", status=400, code=40010000) from None


# ---- latest ----


def latest_bars(call: Call, kind: AssetClass) -> Reply:
    rows = ((symbol, _last_bar(call, symbol)) for symbol in _symbols(call, kind))
    return Reply(body={"bars": {symbol.text: wire_data.bar(row) for symbol, row in rows if row is not None}})


def latest_quotes(call: Call, kind: AssetClass) -> Reply:
    found = ((symbol, _quote(call, symbol)) for symbol in _symbols(call, kind))
    return Reply(body={"quotes": {symbol.text: wire_data.quote(q) for symbol, q in found if q is not None}})


def latest_trades(call: Call, kind: AssetClass) -> Reply:
    found = ((symbol, _last_trade(call, symbol)) for symbol in _symbols(call, kind))
    return Reply(body={"trades": {symbol.text: trade for symbol, trade in found if trade is not None}})


def latest_orderbooks(call: Call, kind: AssetClass) -> Reply:
    found = ((symbol, _quote(call, symbol)) for symbol in _symbols(call, kind))
    return Reply(body={"orderbooks": {symbol.text: wire_data.orderbook(q) for symbol, q in found if q is not None}})


def snapshots(call: Call, kind: AssetClass) -> Reply:
    bodies = {symbol.text: _snapshot(call, symbol) for symbol in _symbols(call, kind)}
    nonempty = {name: body for name, body in bodies.items() if any(part is not None for part in body.values())}
    return Reply(body=nonempty if kind is AssetClass.STOCK else {"snapshots": nonempty})


def _snapshot(call: Call, symbol: Symbol) -> Json:
    quote, last = _quote(call, symbol), _last_bar(call, symbol)
    midnight = call.venue.now.replace(hour=0, minute=0, second=0, microsecond=0)
    today, yesterday = (_day(call, symbol, midnight - timedelta(days=n)) for n in (0, 1))
    return wire_data.snapshot(
        {
            "latestTrade": _last_trade(call, symbol),
            "latestQuote": None if quote is None else wire_data.quote(quote),
            "minuteBar": None if last is None else wire_data.bar(last),
            "dailyBar": today,
            "prevDailyBar": yesterday,
        }
    )


def _day(call: Call, symbol: Symbol, midnight: datetime) -> Json | None:
    """The bar of that UTC day, as far as it is known."""
    end = min(midnight + timedelta(days=1), call.venue.now)
    frame = call.venue.market.timeframe
    rows = _bar_rows(call, symbol, frame, start=midnight, end=end, limit=100_000, newest=False)
    return wire_data.bar(_joined(rows, midnight)) if rows else None


def _joined(rows: Sequence[BarRow], start: datetime) -> BarRow:
    volume = sum(row.volume for row in rows)
    worth = sum(row.volume * row.vwap for row in rows)
    return BarRow(
        start=start,
        open=rows[0].open,
        high=max(row.high for row in rows),
        low=min(row.low for row in rows),
        close=rows[-1].close,
        volume=volume,
        trades=sum(row.trades for row in rows),
        vwap=worth / volume if volume else rows[-1].close,
    )


def _last_bar(call: Call, symbol: Symbol) -> BarRow | None:
    frame = call.venue.market.timeframe
    rows = _bar_rows(call, symbol, frame, start=None, end=call.venue.now, limit=1, newest=True)
    return rows[0] if rows else None


def _last_trade(call: Call, symbol: Symbol) -> Json | None:
    tape = call.venue.books.tapes.get(symbol)
    if tape is None:
        row = _last_bar(call, symbol)
        return (
            None if row is None else _trade(row, row.start + call.venue.market.timeframe.duration, symbol.asset_class)
        )
    price = float(tape.last)
    row = BarRow(
        start=tape.at, open=price, high=price, low=price, close=price, volume=float(tape.volume), trades=1, vwap=price
    )
    return _trade(row, tape.at, symbol.asset_class)


def _quote(call: Call, symbol: Symbol) -> Quote | None:
    quote = call.venue.quote(symbol)
    for fired in call.faults:
        if quote is not None and fired.rule.action == "quote":
            quote = spoiled(quote, fired, call.venue.quote)
    return quote


def _symbols(call: Call, kind: AssetClass) -> list[Symbol]:
    """Those that exist, in the order asked; the others are simply absent from the answer."""
    names = parse.names(call.params, "symbols", required=True)
    found = (call.venue.find(name) for name in names)
    return [s for s in dict.fromkeys(found) if s is not None and s.asset_class is kind]


_DataHandler = Callable[[Call, AssetClass], Reply]


def _for(handler: _DataHandler, kind: AssetClass) -> Handler:
    return lambda call: handler(call, kind)


def _routes() -> list[tuple[str, str, Handler]]:
    paths: tuple[tuple[str, str, AssetClass, Any], ...] = (
        *((CRYPTO, f"/latest/{name}", AssetClass.CRYPTO, handler) for name, handler in _LATEST.items()),
        *((CRYPTO, f"/{name}", AssetClass.CRYPTO, handler) for name, handler in _HISTORY.items()),
        *((STOCKS, f"/{name}/latest", AssetClass.STOCK, _LATEST[name]) for name in ("quotes", "bars", "trades")),
        *((STOCKS, f"/{name}", AssetClass.STOCK, handler) for name, handler in _HISTORY.items()),
    )
    return [("GET", prefix + path, _for(handler, kind)) for prefix, path, kind, handler in paths]


_LATEST: dict[str, _DataHandler] = {
    "quotes": latest_quotes,
    "bars": latest_bars,
    "trades": latest_trades,
    "orderbooks": latest_orderbooks,
}
_HISTORY: dict[str, _DataHandler] = {"bars": bars, "quotes": quotes, "trades": trades, "snapshots": snapshots}
ROUTES: tuple[tuple[str, str, Handler], ...] = tuple(_routes())
