"""The venue's ports with a scenario's troubles: what Alpaca's adapters would make of each, without HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from tests.chaos.active import Active
from tests.chaos.scenario import Trouble
from trader.adapters.alpaca.convert import instrument_of
from trader.core.market import Bars
from trader.core.types import (
    ZERO,
    Account,
    Execution,
    Instrument,
    Order,
    OrderIntent,
    Position,
    Quote,
    Symbol,
    Timeframe,
)
from trader.errors import KeysDoubted, Transient
from trader.exchange.api import wire
from trader.exchange.api.lag import Past
from trader.exchange.engine.answers import VenueRefusal
from trader.exchange.ledger.memory import MemoryLedger
from trader.exchange.market.listings import Listing
from trader.exchange.venue import Venue
from trader.research.backtest.inprocess import VenueBroker, VenueData, _request, fill_of, plain
from trader.trading.ports import Accepted, Refused, Session, Submission, Undetermined

_DAY = timedelta(days=1)
_STALE = timedelta(minutes=20)


class Line:
    """The way to the venue. `boundary`: between two effects, where a crash may come; `lapse`: let seconds pass."""

    def __init__(self, active: Active, boundary: Callable[[], None], lapse: Callable[[float], None]) -> None:
        self.active = active
        self.boundary = boundary
        self.lapse = lapse

    def ask(self, endpoint: str) -> None:
        """Raises Transient where no answer comes."""
        self.boundary()
        self.wait(endpoint)
        if self.active.hit(f"keys {endpoint}", "keys venue"):
            raise KeysDoubted(f"{endpoint}: 401")
        if self.active.hit(f"fail {endpoint}", "fail venue"):
            raise Transient(f"{endpoint}: 502")

    def wait(self, endpoint: str) -> None:
        slow = self.active.hit(f"slow {endpoint}")
        if slow is not None:
            self.lapse(float(slow.value))


class FaultyBroker(VenueBroker):
    def __init__(self, venue: Venue, ledger: MemoryLedger, line: Line, past: Past, late_fees: bool) -> None:
        super().__init__(venue, ledger)
        self._line, self._past, self._late_fees = line, past, late_fees
        self._assets: dict[Symbol, tuple[datetime, Instrument]] = {}

    # ---- reads ----

    def account(self) -> Account:
        self._line.ask("account")
        told = super().account()
        for name in ("equity", "cash"):
            odd = self._line.active.hit(f"figure {name}")
            if odd is not None:
                told = replace(told, **{name: _number(odd, getattr(told, name), "account")})
        return told

    def positions(self) -> Sequence[Position]:
        self._line.ask("positions")
        source = self._then("lag positions")
        found = []
        for each in VenueBroker.positions(source) if source else super().positions():
            if self._line.active.hit("lack positions", symbol=each.symbol.text) is None:
                found.append(self._odd(each))
        return found

    def _odd(self, position: Position) -> Position:
        name = position.symbol.text
        odd = self._line.active.hit("figure qty", symbol=name)
        if odd is not None:
            qty = _number(odd, position.qty, "positions")
            position = replace(position, qty=qty, qty_available=abs(qty))
        odd = self._line.active.hit("figure mark", symbol=name)
        if odd is not None:
            mark = None if odd.value == "nan" or position.mark is None else position.mark * Decimal(odd.value)
            position = replace(position, mark=mark)
        return position

    def open_orders(self) -> Sequence[Order]:
        self._line.ask("orders")
        source = self._then("lag orders")
        found = list(VenueBroker.open_orders(source) if source else super().open_orders())
        lacking = self._line.active.hit("lack orders")
        return [each for each in found if lacking is None or each.symbol.text != lacking.symbol]

    def _then(self, what: str) -> VenueBroker | None:
        late = self._line.active.hit(what)
        if late is None:
            return None
        then = self._past.venue_at(self._venue.now - timedelta(seconds=float(late.value)))
        return VenueBroker(then, then.ledger)  # type: ignore[arg-type]  # it answers as the memory ledger does

    def order_by_client_id(self, client_order_id: str) -> Order | None:
        self._line.ask("lookup")
        return super().order_by_client_id(client_order_id)

    def order(self, order_id: str) -> Order | None:
        self._line.ask("order")
        return super().order(order_id)

    def executions(self, after: datetime) -> Sequence[Execution]:
        self._line.ask("activities")
        late = self._line.active.hit("lag activities")
        seen = self._venue.now - timedelta(seconds=float(late.value) if late is not None else 0)
        lacking = self._line.active.hit("lack activities")
        found = [
            self._told(each)
            for each in self._ledger.fills_since(after)
            if each.at <= seen and (lacking is None or each.symbol.text != lacking.symbol)
        ]
        return tuple(sorted(found, key=lambda fill: (fill.at, fill.id)))

    def _told(self, execution: Execution) -> Execution:
        """The venue posts a coin's fee when the day is over."""
        if self._late_fees and execution.at.date() == self._venue.now.date():
            return fill_of(replace(execution, fee=ZERO))
        return self._fill(execution)

    def instruments(self, symbols: Sequence[Symbol], *, fresh: bool = False) -> Mapping[Symbol, Instrument]:
        self._line.ask("instruments")
        now = self._venue.now
        for symbol in symbols:
            known = self._assets.get(symbol)
            if symbol in self._venue.market.instruments and (fresh or known is None or now - known[0] >= _DAY):
                listed = self._venue.books.instruments.get(symbol, self._venue.market.instruments[symbol])
                self._assets[symbol] = now, instrument_of(symbol, wire.asset(listed))
        return {symbol: self._assets[symbol][1] for symbol in symbols if symbol in self._assets}

    def sessions(self, start: datetime, end: datetime) -> Sequence[Session]:
        self._line.ask("sessions")
        return super().sessions(start, end)

    # ---- what changes something ----

    def submit(self, intent: OrderIntent) -> Submission:
        self._line.boundary()
        self._line.wait("submit")
        whose = "exit" if intent.purpose.reduces else "entry"
        if self._line.active.hit("submit unsent", f"submit unsent {whose}"):
            return Undetermined(reason="connection refused", sent=False)
        if self._line.active.hit("keys venue", "fail venue"):
            return Undetermined(reason="502")
        refusal = self._line.active.hit("submit refuse", f"submit refuse {whose}")
        if refusal is not None:
            status, code = map(int, refusal.value.split())
            return Refused(reason="refused for a while", code=code, status=status)
        answer = self._taken(intent, self._line.active.hit("submit reject", f"submit reject {whose}"))
        self._line.boundary()
        if self._line.active.hit("submit lost", f"submit lost {whose}"):
            return Undetermined(reason="connection reset")
        return answer

    def _taken(self, intent: OrderIntent, rejection: Trouble | None) -> Submission:
        odd = rejection or self._line.active.hit("accept slow")
        if odd is None:
            return super().submit(intent)
        reason = "rejected a moment later" if rejection is not None else ""
        try:
            order = self._venue.submit(_request(intent), accept_s=Decimal(odd.value), rejected=reason)
        except VenueRefusal:
            return super().submit(intent)  # refused once more, and told as such
        return Accepted(order=self._order(order))

    def cancel(self, order_id: str) -> bool:
        self._line.boundary()
        self._line.wait("cancel")
        if self._line.active.hit("cancel unsent", "fail venue", "keys venue"):
            raise Transient("cancel: connection refused")
        slow = self._line.active.hit("cancel slow")
        done = super().cancel(order_id) if slow is None else self._cancel_slowly(order_id, Decimal(slow.value))
        self._line.boundary()
        if self._line.active.hit("cancel lost"):
            raise Transient("cancel: connection reset")
        return done

    def _cancel_slowly(self, order_id: str, seconds: Decimal) -> bool:
        try:
            self._venue.cancel(order_id, cancel_s=seconds)
        except VenueRefusal:
            return False
        return True


class FaultyData(VenueData):
    def __init__(self, venue: Venue, line: Line) -> None:
        super().__init__(venue)
        self._line = line
        self._frozen: dict[Trouble, Quote] = {}

    def bars(
        self, symbols: Sequence[Symbol], timeframe: Timeframe, *, end: datetime, count: int
    ) -> Mapping[Symbol, Bars]:
        self._line.ask("bars")
        found = super().bars(symbols, timeframe, end=end, count=count)
        lacking = self._line.active.hit("lack bars")
        return {each: bars for each, bars in found.items() if lacking is None or each.text != lacking.symbol}

    def quotes(self, symbols: Sequence[Symbol]) -> Mapping[Symbol, Quote]:
        self._line.ask("quotes")
        found = {}
        for symbol, quote in super().quotes(symbols).items():
            told = self._odd(quote)
            if told is not None:
                found[symbol] = told
        return found

    def _odd(self, quote: Quote) -> Quote | None:
        active, name = self._line.active, quote.symbol.text
        if active.hit("lack quotes", symbol=name):
            return None
        frozen = active.hit("quote frozen", symbol=name)
        if frozen is not None:
            quote = self._frozen.setdefault(frozen, quote)
        if active.hit("quote stale", symbol=name):
            quote = replace(quote, at=quote.at - _STALE)
        if active.hit("quote crossed", symbol=name):
            quote = replace(quote, bid=quote.ask, ask=quote.bid)
        if active.hit("quote swapped", symbol=name):
            others = [each for each in self._venue.market.quoted if each != quote.symbol]
            other = self._venue.book(others[0])[0] if others else None
            quote = quote if other is None else replace(quote, bid=other.bid, ask=other.ask)
        for figure, sides in (("bid", ("bid",)), ("ask", ("ask",)), ("quote", ("bid", "ask"))):
            odd = active.hit(f"figure {figure}", symbol=name)
            if odd is not None and odd.value == "nan":
                return None  # the adapter drops what is no number
            if odd is not None:
                quote = replace(quote, **{side: plain(getattr(quote, side) * Decimal(odd.value)) for side in sides})
        return quote


def _number(odd: Trouble, true: Decimal, what: str) -> Decimal:
    """The adapter takes nothing for a number that is none: then the whole answer can't be read."""
    if odd.value == "nan":
        raise Transient(f"{what}: NaN")
    return plain(true * Decimal(odd.value))


def listings(troubles: Sequence[Trouble], venue: Venue) -> dict[Symbol, Listing]:
    """What these make of the venue's assets."""
    found: dict[Symbol, Listing] = {}
    for each in troubles:
        symbol = Symbol(each.symbol) if each.symbol else None
        if symbol is None:
            continue
        usual, known = venue.market.instruments[symbol], found.get(symbol, Listing())
        if each.what == "asset tick":
            found[symbol] = replace(known, tick=usual.tick * 10)
        if each.what == "asset lot":
            found[symbol] = replace(known, lot=usual.lot * 10, min_size=max(usual.min_qty, usual.lot * 10))
        if each.what == "asset untradable":
            found[symbol] = replace(known, tradable=False)
    return found
