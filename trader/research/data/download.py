"""Bars and quotes from Alpaca's data API into the store, page by page: stop it at any time, and it goes on there.

Crypto needs no keys. Requests keep to REQUESTS_PER_MINUTE; what has come is written as it grows, so that an end in the
middle costs little. What lies before the stored series is asked for newest first, so that it grows without a hole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from settings.schema import DATA_URL, Settings
from trader.adapters.alpaca.clients import AlpacaClients, AlpacaEndpoints, RequestLimiter, build_clients
from trader.adapters.clock import RealClock
from trader.core.types import AssetClass, Symbol, Timeframe
from trader.errors import ConfigurationError, Rejected, Transient, VenueUnreachable
from trader.exchange.market.files import Columns, from_micros
from trader.research.data.importing import BadRow, judge_rows, merged
from trader.research.data.quote_store import QuoteRows, QuoteStore
from trader.research.data.store import BarStore
from trader.research.data.table_reading import FIELDS, NO_TIME, RawBars

PAGE = 10_000  # the venue's largest
_INSTANT = timedelta(microseconds=1)
_SAVE_EVERY = 50_000  # rows, and more the more there are: each save writes the whole series
_OVERLAP = 3  # bars asked for again: a correction, or a split since, is noticed


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadRange:
    """What is asked for: from `start` (included) to `end` (what has closed by then)."""

    symbol: Symbol
    timeframe: Timeframe
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Downloaded:
    """`rows` are new ones; `bad` were sent by the venue and left out."""

    symbol: Symbol
    what: str
    rows: int
    resumed_at: datetime | None
    bad: tuple[BadRow, ...] = ()


Listener = Callable[[str, float], None]  # what, and the share of its span that has come


def data_clients(settings: Settings, symbols: Sequence[Symbol]) -> AlpacaClients:
    """For the data API, with our own pace. Raises ConfigurationError where a stock is wanted and there are no keys."""
    key = settings.venue.alpaca_api_key_id.get_secret_value()
    stocks = [symbol for symbol in symbols if symbol.asset_class is AssetClass.STOCK]
    if stocks and not key:
        raise ConfigurationError(
            f"{stocks[0]} is a stock, whose data needs keys: set ALPACA_API_KEY_ID and ALPACA_API_SECRET_KEY"
        )
    url = settings.venue.alpaca_data_url or DATA_URL
    endpoints = AlpacaEndpoints(
        key=key,
        secret=settings.venue.alpaca_api_secret_key.get_secret_value(),
        trading_url=url,
        data_url=url,
        trade_stream_url="",
        feed=settings.venue.alpaca_feed,
    )
    return build_clients(endpoints)


class Downloader:
    """`adjustment` is the venue's word for a stock's prices: split, as the daemon asks for, raw, or all."""

    def __init__(self, clients: AlpacaClients, *, per_minute: int, adjustment: str = "split", page: int = PAGE) -> None:
        self._clients = clients
        self._pace = RequestLimiter(per_minute, RealClock())
        self._adjustment = adjustment
        self._page = page

    def bars(
        self, store: BarStore, wanted: DownloadRange, listener: Listener | None = None, *, anew: bool = False
    ) -> Downloaded:
        """Into the store, around what it has; `anew`: in its place, once all has come.

        Raises VenueUnreachable, ConfigurationError, CredentialsRefused.
        """
        is_stored = not anew and store.path(wanted.symbol, wanted.timeframe) is not None
        have = store.columns(wanted.symbol, wanted.timeframe) if is_stored else None
        spans, resumed_at = _missing_spans(wanted, have)
        before = 0 if have is None else len(have)
        bars_so_far = _BarsSoFar(store=store, wanted=wanted, columns=have)
        params = {"timeframe": str(wanted.timeframe)} | self._of_class(wanted.symbol, adjusted=True)
        try:
            bars_so_far.holds = anew
            for place, (start, end) in enumerate(spans):
                backwards = place + 1 < len(spans)
                for rows in self._pages("bars", wanted.symbol, params, start, end, backwards=backwards):
                    bars_so_far.add(rows)
                    so_far = start + (end - bars_so_far.first) if backwards else bars_so_far.reached
                    _tell(listener, f"{wanted.symbol} {wanted.timeframe}", wanted, so_far)
            bars_so_far.holds = False
        finally:
            bars_so_far.save()
        columns = bars_so_far.columns
        return Downloaded(
            symbol=wanted.symbol,
            what=f"{wanted.timeframe} bars",
            rows=(0 if columns is None else len(columns)) - before,
            resumed_at=resumed_at,
            bad=tuple(bars_so_far.bad),
        )

    def quotes(
        self, store: QuoteStore, wanted: DownloadRange, listener: Listener | None = None, *, anew: bool = False
    ) -> Downloaded:
        """Each change of the best bid and ask, into the store, around what it has; `anew`: in its place, once complete.

        `wanted.timeframe` is not used.
        """
        have = None if anew else store.rows(wanted.symbol)
        quotes_so_far = _QuotesSoFar(store=store, symbol=wanted.symbol, rows=have, holds=anew)
        what, params = f"{wanted.symbol} quotes", self._of_class(wanted.symbol)
        first, last = (None, None) if have is None else _ends_of(have)
        try:
            if first is not None and wanted.start < first:
                end = first - _INSTANT
                for rows in self._pages("quotes", wanted.symbol, params, wanted.start, end, backwards=True):
                    if oldest := quotes_so_far.before(_quote_rows(rows)):
                        _tell(listener, what, wanted, wanted.start + (first - oldest))
            start = wanted.start if last is None else max(wanted.start, last + _INSTANT)
            for rows in self._pages("quotes", wanted.symbol, params, start, wanted.end):
                if newest := quotes_so_far.after(_quote_rows(rows)):
                    _tell(listener, what, wanted, newest)
            quotes_so_far.holds = False
        finally:
            quotes_so_far.save()
        return Downloaded(symbol=wanted.symbol, what="quotes", rows=quotes_so_far.count, resumed_at=last)

    def _of_class(self, symbol: Symbol, *, adjusted: bool = False) -> dict[str, str]:
        if symbol.asset_class is AssetClass.CRYPTO:
            return {}
        feed = {"feed": self._clients.endpoints.feed}
        return feed | {"adjustment": self._adjustment} if adjusted else feed

    def _pages(
        self,
        what: str,
        symbol: Symbol,
        params: Mapping[str, str],
        start: datetime,
        end: datetime,
        *,
        backwards: bool = False,
    ) -> Iterator[list[Any]]:
        """Each page that has rows, the oldest first, or the newest; in a page always the oldest row first."""
        if end < start:
            return
        crypto = symbol.asset_class is AssetClass.CRYPTO
        path = f"/crypto/us/{what}" if crypto else f"/stocks/{what}"
        fetch = self._clients.crypto_data if crypto else self._clients.stock_data
        query = {"symbols": str(symbol), "start": _stamp(start), "end": _stamp(end), "limit": str(self._page)}
        query |= {"sort": "desc" if backwards else "asc", **params}
        while True:
            self._pace()
            try:
                body = fetch(path, query)
            except (Transient, Rejected) as error:
                raise VenueUnreachable(f"{symbol}: {error}; what has come is kept: run it again to go on") from error
            rows = _rows_of(body, what, symbol)
            if rows:
                yield _turned(rows, what, symbol) if backwards else rows
            token = body.get("next_page_token")
            if not token:
                return
            query["page_token"] = str(token)


@dataclass(slots=True, kw_only=True)
class _BarsSoFar:
    """What has come of one series. Mutable on purpose: it grows page by page.

    holds  nothing is written yet: it would replace a whole series with a part
    """

    store: BarStore
    wanted: DownloadRange
    columns: Columns | None
    holds: bool = False
    unsaved: int = 0
    bad: list[BadRow] = field(default_factory=list)

    @property
    def first(self) -> datetime:
        return self.wanted.start if not self.columns else from_micros(int(self.columns.times[0]))

    @property
    def reached(self) -> datetime:
        return self.wanted.start if not self.columns else from_micros(int(self.columns.times[-1]))

    def add(self, rows: Sequence[Any]) -> None:
        judged = judge_rows(_raw(rows), self.wanted.symbol, self.wanted.timeframe, self.wanted.end)
        columns = judged.columns
        self.bad += judged.bad
        self.columns = columns if not self.columns else merged(self.columns, columns)
        self.unsaved += len(rows)
        if self.unsaved >= max(_SAVE_EVERY, len(self.columns) // 2):
            self.save()

    def save(self) -> None:
        if self.unsaved and not self.holds and self.columns is not None and len(self.columns) > 1:
            self.store.write(self.wanted.symbol, self.wanted.timeframe, self.columns, source="alpaca")
            self.unsaved = 0


@dataclass(slots=True, kw_only=True)
class _QuotesSoFar:
    """The quotes of one symbol. Mutable on purpose: they grow page by page, at both ends.

    holds  nothing is written yet: it would replace a whole series with a part
    """

    store: QuoteStore
    symbol: Symbol
    rows: QuoteRows | None
    holds: bool
    count: int = 0
    saved: int = 0
    earlier: list[QuoteRows] = field(default_factory=list)  # not written yet, the newest page first
    later: list[QuoteRows] = field(default_factory=list)  # likewise, the oldest first

    def before(self, part: QuoteRows) -> datetime | None:
        """When the first of them was; None where there is none."""
        return self._add(self.earlier, part, 0)

    def after(self, part: QuoteRows) -> datetime | None:
        """When the last of them was; None where there is none."""
        return self._add(self.later, part, -1)

    def _add(self, parts: list[QuoteRows], part: QuoteRows, place: int) -> datetime | None:
        if not len(part):
            return None
        parts.append(part)
        self.count += len(part)
        if self.count - self.saved >= max(_SAVE_EVERY, self.saved):
            self.save()
        return from_micros(int(part.times[place]))

    def save(self) -> None:
        if self.holds or not (self.earlier or self.later):
            return
        stored = [] if self.rows is None else [self.rows]
        self.rows = self.store.write(self.symbol, None, [*reversed(self.earlier), *stored, *self.later])
        self.earlier, self.later, self.saved = [], [], self.count


def _quote_rows(rows: Sequence[Any]) -> QuoteRows:
    """A missing price or size is 0: that is how the exchange reads a side that is not there. Bad times are left out."""
    times = _moments([str(_field(row, "t")) for row in rows])
    known = times != NO_TIME
    columns = [np.nan_to_num(_numbers([_field(row, name) for row in rows])) for name in ("bp", "ap", "bs", "as")]
    bid, ask, bid_size, ask_size = (np.maximum(column[known], 0.0) for column in columns)
    return QuoteRows(times=times[known], bid=bid, ask=ask, bid_size=bid_size, ask_size=ask_size)


def _missing_spans(
    wanted: DownloadRange, have: Columns | None
) -> tuple[list[tuple[datetime, datetime]], datetime | None]:
    """Starts of bars, from and to, that are to be asked for; and where what is stored ends."""
    last_start = wanted.end - wanted.timeframe.duration
    if have is None:
        return [(wanted.start, last_start)], None
    first, last = from_micros(int(have.times[0])), from_micros(int(have.times[-1]))
    before = [(wanted.start, first - wanted.timeframe.duration)] if wanted.start < first else []
    return [*before, (from_micros(int(have.times[-min(_OVERLAP, len(have))])), last_start)], last


def _raw(rows: Sequence[Any]) -> RawBars:
    texts = tuple(str(_field(row, "t")) for row in rows)
    fields = {name: _numbers([_field(row, name[0]) for row in rows]) for name in FIELDS}
    return RawBars(times=_moments(texts), texts=texts, fields=fields, names={}, notes=())


def _field(row: Any, name: str) -> Any:
    return row.get(name) if isinstance(row, Mapping) else None


def _numbers(values: Sequence[Any]) -> NDArray[np.float64]:
    """What is no number becomes NaN, to be judged with its row."""
    return np.array([v if isinstance(v, (int, float)) and not isinstance(v, bool) else np.nan for v in values], float)


def _moments(texts: Sequence[str]) -> NDArray[np.int64]:
    """Up to nanoseconds, as the venue writes them: rounded up, so that nothing is known before it happened."""
    found = np.full(len(texts), NO_TIME)
    for n, text in enumerate(texts):
        try:
            nanos = np.datetime64(text.removesuffix("Z"), "ns").astype(np.int64)
        except ValueError:
            continue
        found[n] = -(-nanos // 1000)
    return found


def _rows_of(body: Any, what: str, symbol: Symbol) -> list[Any]:
    by_symbol = body.get(what) if isinstance(body, Mapping) else None
    rows = by_symbol.get(str(symbol)) if isinstance(by_symbol, Mapping) else None
    if rows is not None and not isinstance(rows, list):
        raise VenueUnreachable(f"{symbol}: the venue's {what} are not a list: {str(rows)[:80]}")
    return rows or []


def _ends_of(rows: QuoteRows) -> tuple[datetime, datetime]:
    return from_micros(int(rows.times[0])), from_micros(int(rows.times[-1]))


def _turned(rows: list[Any], what: str, symbol: Symbol) -> list[Any]:
    """The oldest first. Of a page that is in any other order nobody knows what lies between it and the next one."""
    times = _moments([str(_field(row, "t")) for row in rows])
    if (np.diff(times[times != NO_TIME]) > 0).any():
        raise VenueUnreachable(f"{symbol}: the venue's {what} are not the newest first, as they were asked for")
    return rows[::-1]


def _tell(listener: Listener | None, what: str, span_wanted: DownloadRange, at: datetime) -> None:
    if listener is not None:
        span = (span_wanted.end - span_wanted.start) / timedelta(seconds=1)
        listener(what, min(max((at - span_wanted.start) / timedelta(seconds=1) / max(span, 1.0), 0.0), 1.0))


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
