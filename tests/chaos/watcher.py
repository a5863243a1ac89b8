"""Looks at the venue's books while a scenario runs: what must hold at each moment, and whether a person was told."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from tests.chaos.checks import (
    demand,
    exits_at_rest,
    held,
    invariants_hold,
    is_protected,
    moment,
    nothing_short,
    purpose_of,
    within_caps,
)
from tests.chaos.journal import ChaosJournal
from tests.chaos.people import People
from tests.chaos.reserve import ChaosReserve
from trader.core.types import AssetClass, Purpose, Symbol
from trader.exchange.engine.events import OrderEvent
from trader.exchange.ledger.memory import MemoryLedger
from trader.exchange.venue import Venue
from trader.research.backtest.inprocess import VenueBroker

TOLD_WITHIN = timedelta(seconds=120)  # of something held without an exit at rest: a minute, and the way there
_ALARMS = ("unprotected", "unwatched")
_FEE_ROOM = Decimal("0.0025")  # what a buy may have paid: an exit for units that may be gone would be refused whole


class Watcher:
    """alive  whether a daemon runs: none can tell anything while there is none
    on     alarms that have begun and are not over, by kind and symbol
    shut   gates that a person was told of, and not yet that they are open again
    """

    def __init__(self, venue: Venue, ledger: MemoryLedger, journal: ChaosJournal, reserve: ChaosReserve,
                 people: People) -> None:  # fmt: skip
        self._venue, self._journal, self._people = venue, journal, people
        self._reserve = reserve
        self._digest = hashlib.sha256()
        self._since: dict[Symbol, datetime] = {}  # unprotected, and the daemon there to say so
        self._broker = VenueBroker(venue, ledger)  # one that nothing goes wrong with
        self._books: object = None
        self._looked_at: object = None  # the books that were last seen to be in order, whatever the time
        self.alive = False
        self.on: dict[tuple[str, Symbol], datetime] = {}
        self.shut: set[str] = set()
        self.hides: Callable[[Symbol], bool] = lambda symbol: False  # whether the list of positions keeps it back now
        self._most: dict[Symbol, Decimal] = {}  # units that were held, at most, since there were none
        self.counts: Counter[str] = Counter()
        self.trace: Callable[[str], None] | None = None
        venue.listen(self._heard)

    # ---- what happens ----

    def note(self, kind: str, text: str) -> None:
        """One line of what happened; all of them make the digest."""
        line = f"{moment(self._venue.now)} {kind}: {text}"
        self.counts[kind] += 1
        self._digest.update(line.encode() + b"\n")
        if self.trace is not None:
            self.trace(line)

    def digest(self) -> str:
        return self._digest.hexdigest()

    def alert(self, kind: str, severity: str, text: str) -> None:
        """Where the daemon's alerts go, the journal or not."""
        self.note("alert", f"{kind} {severity} {text}")
        if kind == "gate":
            (self.shut.discard if severity == "info" else self.shut.add)(text.split(":")[0])
        if kind in _ALARMS:
            symbol = Symbol(text.replace(":", " ").split()[0])
            if severity == "info":
                self.on.pop((kind, symbol), None)
            else:
                self.on.setdefault((kind, symbol), self._venue.now)

    def _heard(self, events: Sequence[OrderEvent]) -> None:
        for each in events:
            order = each.order
            fill = f" {each.execution.qty} at {each.execution.price}" if each.execution is not None else ""
            price = order.limit_price or order.stop_price
            self.note("venue", f"{each.event} {order.side} {order.qty} {order.symbol} {order.type} {price} "
                               f"{order.client_order_id}{fill}")  # fmt: skip
            entered = purpose_of(order) is Purpose.ENTRY and each.execution is not None
            if entered and order.symbol not in self._people.meddled:
                within_caps(self._venue.books, self._venue.figures().equity, order.symbol)

    # ---- what must hold now ----

    def born(self) -> None:
        self.alive = True
        self._since.clear()
        self.on.clear()
        self.shut.clear()

    def died(self) -> None:
        self.alive = False

    def unprotected(self) -> bool:
        return bool(self._since)

    def look(self) -> None:
        """Cheap where nothing has changed."""
        books, now = self._venue.books, self._venue.now
        if (books.holdings or self._since) and books is not self._looked_at:
            nothing_short(books)
            self._look_at_protection(now)
            coins_alone = all(symbol.asset_class is AssetClass.CRYPTO for symbol in books.holdings)
            self._looked_at = books if coins_alone and not self._since else None

    def _look_at_protection(self, now: datetime) -> None:
        books = self._venue.books
        positions = held(books)
        self._most = {s: max(self._most.get(s, abs(qty)), abs(qty)) for s, qty in positions.items()}
        bare = {s for s, qty in positions.items() if self.may_rest(s) and not is_protected(books, s, qty)}
        for symbol in [each for each in self._since if each not in bare]:
            del self._since[symbol]
        if not self.alive:
            return
        for symbol in sorted(bare):
            rest, qty = exits_at_rest(books, symbol), books.holdings[symbol].qty
            if self.hides(symbol) and abs(qty) - rest <= self._most[symbol] * _FEE_ROOM:
                self._since[symbol] = now  # nobody can know of it before the list shows it
            since = self._since.setdefault(symbol, now)
            told = any((kind, symbol) in self.on for kind in _ALARMS)
            demand(told or now - since < TOLD_WITHIN,
                   f"{symbol}: {qty} held, exits for {rest} rest, since {moment(since)}, and"
                   f" nobody was told by {moment(now)}")  # fmt: skip

    def may_rest(self, symbol: Symbol) -> bool:
        """An exit of a stock rests only while its market is open."""
        return symbol.asset_class is AssetClass.CRYPTO or self._venue.market.is_open(symbol, self._venue.now)

    def after_a_job(self) -> None:
        if self._books is not self._venue.books:
            self._books = self._venue.books
            known = self._journal.all_intents.keys() | self._reserve.names()
            invariants_hold(self._broker, self._venue.now, known)
