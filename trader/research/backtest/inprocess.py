"""The venue's ports in process: what the Alpaca adapters give over HTTP, given straight from a simulated venue.

The values are those that came over the wire, to the last digit: numbers without trailing zeros, money to nine
decimals, mean prices to twelve, quotes and bars through floats. So a decision here is byte for byte the daemon's.
No call shows anything later than the venue's own now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import cast

import numpy as np
from numpy.typing import NDArray

from trader.adapters.alpaca.convert import instrument_of
from trader.core.fees import fee_of, schedule_for
from trader.core.market import Bars
from trader.core.postings import Activities, Posting
from trader.core.types import (
    ZERO,
    Account,
    AssetClass,
    Execution,
    Instrument,
    Order,
    OrderClass,
    OrderIntent,
    OrderSide,
    Position,
    Quote,
    Symbol,
    Timeframe,
)
from trader.core.values import maker
from trader.exchange.api import wire
from trader.exchange.engine.accounting import AccountFigures, open_books, worth_the_same
from trader.exchange.engine.answers import VenueRefusal
from trader.exchange.engine.events import Books, MatchingRules, SimOrder
from trader.exchange.engine.requests import NewOrder
from trader.exchange.ledger.memory import MemoryLedger
from trader.exchange.ledger.sqlite import Ledger
from trader.exchange.market.files import Columns, to_micros
from trader.exchange.market.market import Market
from trader.exchange.venue import Venue
from trader.trading.ports import Accepted, Opaque, Refused, Session, Submission

_new_account = maker(Account)
_new_position = maker(Position)
_new_quote = maker(Quote)
_new_order = maker(Order)
_new_new_order = maker(NewOrder)
_DUPLICATE_ID = 40010001


def open_in_memory(market: Market, *, cash: Decimal, rules: MatchingRules | None = None) -> tuple[Venue, MemoryLedger]:
    """A new venue with `cash` USD at the market's start, and the ledger that it writes to."""
    ledger = MemoryLedger()
    books = open_books(cash, market.instruments, rules=rules)
    return Venue.begin(market, cast(Ledger, ledger), books), ledger


class VenueClock:
    """The venue's time. `wait_until` returns at the moment, at the first fill, or at the end: of the data or `end`."""

    def __init__(self, venue: Venue, end: datetime | None = None) -> None:
        self._venue = venue
        self._end = end
        self._woken = False
        self._began = venue.now
        self._seconds = (venue.now, 0.0)  # the moment that was asked about last, and its answer
        self.ended = False

    def now(self) -> datetime:
        return self._venue.now

    def monotonic(self) -> float:
        now = self._venue.now
        if now is not self._seconds[0]:
            self._seconds = now, (now - self._began).total_seconds()
        return self._seconds[1]

    def wait_until(self, moment: datetime) -> datetime:
        if not self._woken and self._venue.now < moment and not self.ended:
            beyond = self._end is not None and moment > self._end
            done = self._venue.advance(self._end if self._end is not None and beyond else moment)
            self.ended = done.reason == "end" or (beyond and done.reason == "time")
        self._woken = False
        return self._venue.now

    def wake(self) -> None:
        self._woken = True


class VenueBroker:
    """The Broker port. `ledger` is the venue's own."""

    def __init__(self, venue: Venue, ledger: MemoryLedger) -> None:
        self._venue = venue
        self._ledger = ledger
        self._account_id = str(venue.account_id)
        self._figures: tuple[Books, AccountFigures] | None = None
        self._orders: dict[str, tuple[SimOrder, tuple[SimOrder, ...], Order]] = {}  # as last shown
        self._fills: dict[str, Execution] = {}
        self._monies: tuple[AccountFigures | None, tuple[Decimal, Decimal, Decimal]] = (None, (ZERO, ZERO, ZERO))

    # ---- the account ----

    def account(self) -> Account:
        figures, venue = self._now(), self._venue
        if figures is not self._monies[0]:
            told = (_money(figures.equity), _money(figures.cash), _money(figures.buying_power))
            self._monies = (figures, told)
        equity, cash, buying_power = self._monies[1]
        return _new_account(
            id=self._account_id,
            status="ACTIVE",
            currency="USD",
            equity=equity,
            cash=cash,
            buying_power=buying_power,
            trading_blocked=bool(venue.configuration["suspend_trade"]),
            shorting_enabled=not venue.configuration["no_shorting"],
            at=venue.now,
        )

    def positions(self) -> Sequence[Position]:
        return [
            _new_position(
                symbol=each.symbol,
                qty=plain(each.qty),
                qty_available=abs(plain(each.qty_available)),
                avg_entry_price=_mean_price(each.avg_entry_price),
                mark=_mean_price(each.mark if each.mark is not None else each.avg_entry_price),
            )
            for each in self._now().positions
        ]

    def _now(self) -> AccountFigures:
        """Kept as long as nothing can have changed them: books are never written to, each change makes new ones."""
        books, known = self._venue.books, self._figures
        if known is None or not (known[0] is books or worth_the_same(known[0], books)):
            known = (books, self._venue.figures())
        self._figures = (books, known[1])
        return known[1]

    # ---- orders ----

    def open_orders(self) -> Sequence[Order]:
        """An open leg is shown inside its parent, or by itself where the parent is not open any more."""
        books = self._venue.books.orders
        outermost = [order for order in books.values() if order.parent_id is None or order.parent_id not in books]
        orders = [self._order(order) for order in outermost]
        return orders if len(orders) < 2 else sorted(orders, key=lambda order: (order.submitted_at, order.id))

    def opaque(self) -> Sequence[Opaque]:
        return ()

    def order_by_client_id(self, client_order_id: str) -> Order | None:
        found = self._ledger.order_by_client_id(client_order_id)
        return None if found is None else self._order(found)

    def order(self, order_id: str) -> Order | None:
        found = self._venue.order(order_id)
        return None if found is None else self._order(found)

    def submit(self, intent: OrderIntent) -> Submission:
        try:
            order = self._venue.submit(_request(intent))
        except VenueRefusal as no:
            refusal = no.refusal
            message = refusal.message.lower()
            about_id = refusal.code == _DUPLICATE_ID or "client_order_id" in refusal.message
            says_taken = any(hint in message for hint in ("unique", "duplicate", "already exist"))
            return Refused(
                reason=refusal.message,
                code=refusal.code,
                status=refusal.status,
                duplicate=refusal.status == 422 and about_id and says_taken,
            )
        return Accepted(order=self._order(order))

    def cancel(self, order_id: str) -> bool:
        try:
            self._venue.cancel(order_id)
        except VenueRefusal:
            return False
        return True

    def _order(self, item: SimOrder) -> Order:
        legs = tuple(self._ledger.legs(item.id)) if item.leg_ids else ()
        known = self._orders.get(item.id)
        if known is not None and known[0] is item and known[1] == legs:
            return known[2]
        order = order_of(item, tuple(order_of(leg, ()) for leg in legs))
        self._orders[item.id] = (item, legs, order)
        return order

    # ---- history, assets, calendar ----

    def venue_time(self) -> datetime:
        return self._venue.now

    def activities(self, after: datetime) -> Activities:
        return Activities(executions=self.executions(after), postings=self.postings(after))

    def postings(self, after: datetime) -> Sequence[Posting]:
        return tuple(
            Posting(
                id=each.id, kind=each.kind, day=each.day, cash=each.cash, symbol=each.symbol, qty=each.units,
                price=each.price, detail=each.description,
            )
            for each in self._ledger.posted
            if each.listed_at <= self._venue.now and each.day >= after.date()
        )  # fmt: skip

    def executions(self, after: datetime) -> Sequence[Execution]:
        fills = [self._fill(fill) for fill in self._ledger.fills_since(after)]
        return tuple(sorted(fills, key=lambda fill: (fill.at, fill.id)))

    def _fill(self, execution: Execution) -> Execution:
        if execution.id not in self._fills:
            self._fills[execution.id] = fill_of(execution)
        return self._fills[execution.id]

    def instruments(self, symbols: Sequence[Symbol], *, fresh: bool = False) -> Mapping[Symbol, Instrument]:
        listed = self._venue.market.instruments
        return {symbol: instrument_of(symbol, wire.asset(listed[symbol])) for symbol in symbols if symbol in listed}

    def sessions(self, start: datetime, end: datetime) -> Sequence[Session]:
        return tuple(Session(open=opens, close=closes) for opens, closes in self._venue.market.sessions(start, end))


class VenueData:
    """The MarketData port."""

    def __init__(self, venue: Venue, feed: str = "iex") -> None:
        self._venue = venue
        self._feed = feed
        self._quotes: dict[Symbol, tuple[Quote, Quote]] = {}  # as last shown
        self._wholes: dict[tuple[Symbol, Timeframe], tuple[Columns, Bars]] = {}

    def bars(
        self, symbols: Sequence[Symbol], timeframe: Timeframe, *, end: datetime, count: int
    ) -> Mapping[Symbol, Bars]:
        bars = {}
        end_us = to_micros(min(end, self._venue.now))
        for symbol in symbols:
            series = self._venue.market.series(symbol)
            if series is None:
                continue
            columns, stop = series.closed(timeframe, end_us=end_us)
            if stop:
                bars[symbol] = self._whole(symbol, timeframe, columns).piece(max(0, stop - count), stop)
        return bars

    def quotes(self, symbols: Sequence[Symbol]) -> Mapping[Symbol, Quote]:
        found: dict[Symbol, Quote] = {}
        for symbol in symbols:
            quote, at = self._venue.book(symbol)
            if quote is not None:
                found[symbol] = self._shown(quote, at)
        return found

    def _shown(self, quote: Quote, at: datetime) -> Quote:
        """The one that was made before, where it is of the same book and moment. A book is never written to."""
        known = self._quotes.get(quote.symbol)
        if known is None or known[0] is not quote or known[1].at != at:
            known = self._quotes[quote.symbol] = (quote, self._as_shown(quote, at))
        return known[1]

    def _as_shown(self, quote: Quote, at: datetime) -> Quote:
        crypto = quote.symbol.asset_class is AssetClass.CRYPTO
        return _new_quote(
            symbol=quote.symbol,
            bid=_through_float(quote.bid),
            ask=_through_float(quote.ask),
            bid_size=_through_float(quote.bid_size),
            ask_size=_through_float(quote.ask_size),
            at=at,
            source="alpaca:us" if crypto else f"alpaca:{self._feed}",
            synthetic=quote.synthetic,
        )

    def _whole(self, symbol: Symbol, timeframe: Timeframe, columns: Columns) -> Bars:
        """All bars, made anew where the series has grown."""
        known = self._wholes.get((symbol, timeframe))
        if known is None or known[0] is not columns:
            known = self._wholes[symbol, timeframe] = (columns, whole_of(symbol, timeframe, columns))
        return known[1]


_Table = tuple[NDArray[np.datetime64], NDArray[np.float64]]  # [T] starts, [T, 6] values


def table_of(columns: Columns) -> _Table:
    """As the data API's rows become arrays: the amount is the volume at the bar's mean price."""
    o, h, low, c, v = columns.open, columns.high, columns.low, columns.close, columns.volume
    values = np.column_stack([o, h, low, c, v, v * ((o + h + low + c) / 4)])
    return columns.times.view("datetime64[us]"), values


def whole_of(symbol: Symbol, timeframe: Timeframe, columns: Columns) -> Bars:
    """The future ones among them: to be shown by pieces only."""
    times, values = table_of(columns)
    times.flags.writeable = values.flags.writeable = False
    return Bars(symbol=symbol, timeframe=timeframe, times=times, values=values)


def order_of(item: SimOrder, legs: tuple[Order, ...]) -> Order:
    """An order with a quantity; one by notional is never placed here. ValueError."""
    if item.notional is not None:
        raise ValueError(f"{item.client_order_id}: orders by notional are not shown in process")
    average = item.filled_avg_price
    return _new_order(
        id=item.id,
        client_order_id=item.client_order_id,
        symbol=item.symbol,
        side=item.side,
        type=item.type,
        tif=item.tif,
        qty=plain(item.qty),
        filled_qty=plain(item.filled_qty),
        status=item.status,
        submitted_at=item.submitted_at,
        updated_at=item.updated_at,
        filled_avg_price=None if average is None else _mean_price(average),
        limit_price=None if item.limit_price is None else plain(item.limit_price),
        stop_price=None if item.stop_price is None else plain(item.stop_price),
        order_class=item.order_class,
        legs=legs,
    )


def fill_of(execution: Execution) -> Execution:
    """With the fee that the venue posts; where it posts none for a coin, our schedule's, and marked so."""
    symbol, qty, price = execution.symbol, plain(execution.qty), plain(execution.price)
    fee, currency, estimated = Decimal(0), symbol.currency, False
    if symbol.asset_class is AssetClass.CRYPTO and execution.fee:
        in_coin = execution.side is OrderSide.BUY and execution.fee_currency == symbol.base
        fee, currency = plain(execution.fee), symbol.base if in_coin else symbol.currency
    elif symbol.asset_class is AssetClass.CRYPTO:
        bps = schedule_for(AssetClass.CRYPTO).taker_bps
        (fee, currency), estimated = fee_of(symbol, execution.side, qty, price, bps), True
    return Execution(
        id=execution.id,
        order_id=execution.order_id,
        symbol=symbol,
        side=execution.side,
        qty=qty,
        price=price,
        at=execution.at,
        fee=fee,
        fee_currency=currency,
        fee_estimated=estimated,
    )


def _request(intent: OrderIntent) -> NewOrder:
    oco = intent.order_class is OrderClass.OCO
    limit = None if intent.limit_price is None else plain(intent.limit_price)
    stop = None if intent.stop_price is None else plain(intent.stop_price)
    return _new_new_order(
        symbol=intent.symbol.text,
        side=intent.order_side,
        type=intent.type,
        tif=intent.tif,
        qty=plain(intent.qty),
        limit_price=None if oco else limit,
        stop_price=None if oco else stop,
        client_order_id=intent.client_order_id,
        order_class=intent.order_class,
        take_profit=limit if oco else None,
        stop_loss=stop if oco else None,
    )


@lru_cache(maxsize=4096)  # a few numbers come again and again; equal ones are the same text
def plain(value: Decimal) -> Decimal:
    """As it is after a journey as text: no exponent, no trailing zeros."""
    return Decimal(wire.number(value))


@lru_cache(maxsize=256)
def _money(value: Decimal) -> Decimal:
    return Decimal(wire.money(value))


@lru_cache(maxsize=256)
def _mean_price(value: Decimal) -> Decimal:
    return Decimal(wire.price_text(value))


@lru_cache(maxsize=1024)
def _through_float(value: Decimal) -> Decimal:
    return Decimal(str(float(value)))
