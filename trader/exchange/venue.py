"""The simulated venue without any HTTP: market, books, clock and ledger together, driven by calls.

Every method that changes something has committed it to the ledger before it returns, and tells the listeners after
that. One thread uses a venue.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from trader.core.fees import schedule_for
from trader.core.types import ZERO, AssetClass, OrderSide, Quote, Symbol
from trader.exchange.engine.accounting import posted
from trader.exchange.engine.answers import VenueRefusal, refused, require_allowed
from trader.exchange.engine.engine import AccountFigures, account_figures, apply, open_books
from trader.exchange.engine.events import Advance as Advance
from trader.exchange.engine.events import (
    Books,
    Cancel,
    Due,
    Event,
    Halted,
    MatchingRules,
    OrderEvent,
    Posted,
    Refusal,
    Relisted,
    Replace,
    SessionEnd,
    SimOrder,
    Tape,
)
from trader.exchange.engine.ids import NAMESPACE, derived_id, spellings
from trader.exchange.engine.requests import DEFAULT_CONFIGURATION, NewOrder, Patch
from trader.exchange.engine.submission import submission
from trader.exchange.engine.waiting import next_due
from trader.exchange.ledger.sqlite import Ledger
from trader.exchange.market.listings import Listing, relisted
from trader.exchange.market.market import Market
from trader.exchange.market.replay import dated, told_at

STEPS_AT_ONCE = 512
_MONTH = timedelta(days=30)
Listener = Callable[[Sequence[OrderEvent]], None]


class Venue:
    """Open one with `Venue.open`."""

    def __init__(self, market: Market, ledger: Ledger, books: Books, now: datetime) -> None:
        self.market = market
        self.ledger = ledger
        self.books = books
        self.now = now
        self.account_id = uuid.uuid5(NAMESPACE, f"account:{market.fingerprint}")
        self.configuration: dict[str, Any] = dict(DEFAULT_CONFIGURATION)
        self.last_equity = books.cash
        self.fills = self.rejections = 0  # since this venue was opened; an advance ends at either
        self.thin: Callable[[Tape], Tape] | None = None  # a fault: what is left of a phase's volume
        self.halts: Callable[[datetime], frozenset[Symbol]] | None = None  # a fault: halted by the clock
        self.listed: Callable[[datetime], Mapping[Symbol, Listing]] | None = None  # a fault: assets with other rules
        self.listings: Mapping[Symbol, Listing] = {}  # those that hold now
        self.late_fees = False  # crypto fees are posted at the end of the day
        self.remember: Callable[[datetime, Books], None] | None = None  # told of the books after each change
        # the open orders that were looked through last, and when the first of them arrives or leaves
        self._waiting: tuple[Mapping[str, SimOrder] | None, datetime | None] = (None, None)
        self._halted_by_clock: frozenset[Symbol] = frozenset()
        self._day, self._day_ends = now.date(), datetime.combine(now, time.max, UTC)
        self._listeners: list[Listener] = []
        self._by_name = spellings(market.instruments)
        self._facts: dict[str, str] = {}  # to be written with the next commit
        self._posted: list[Posted] = []  # likewise
        self.posts: Callable[[datetime], Sequence[Posted]] = lambda at: ()  # a fault: activities by the clock

    @classmethod
    def open(
        cls, market: Market, *, cash: Decimal, ledger_path: Path | None = None, rules: MatchingRules | None = None
    ) -> Venue:
        """A venue at the ledger's moment, or a new one with `cash` USD at the market's start. Raises LedgerError."""
        ledger = Ledger.open(ledger_path, market.fingerprint)
        new_books = open_books(cash, market.instruments, rules=rules)
        stored_state = ledger.restore(new_books)
        if stored_state is None:
            return cls.begin(market, ledger, new_books)
        books, now = stored_state
        market.resume(books.tapes.values())
        venue = cls(market, ledger, books, now)
        venue.last_equity = Decimal(ledger.fact("last_equity") or cash)
        venue.configuration |= json.loads(ledger.fact("configuration") or "{}")
        return venue

    @classmethod
    def begin(cls, market: Market, ledger: Ledger, books: Books) -> Venue:
        """A new one at the market's start, its first moment played."""
        venue = cls(market, ledger, books, market.start)
        events = venue._play(market.start)  # first: it is what makes the books that are kept
        ledger.commit(now=venue.now, before=None, after=venue.books, events=events)
        return venue

    def close(self) -> None:
        self.ledger.close()

    def listen(self, listener: Listener) -> None:
        """It is called with what happened, once that is safe in the ledger."""
        self._listeners.append(listener)

    # ---- time ----

    def advance(self, until: datetime) -> Advance:
        """Play the market up to `until`, or to the first moment that brings a fill."""
        while True:
            done = self.advance_some(until, STEPS_AT_ONCE)
            if done is not None:
                return done

    def advance_some(
        self, until: datetime, steps: int, *, through_fills: bool = False, write_idle: bool = True
    ) -> Advance | None:
        """As `advance`, but at most `steps` moments: None where there is more to play. One commit.

        through_fills   go on after a fill (a clock that runs by itself)
        write_idle      commit also where nothing was played, so that the ledger has the clock exactly
        """
        before, before_stops = self.books, self.fills + self.rejections
        events: list[OrderEvent] = []
        result: Advance | None = None
        for _ in range(steps):
            next_moment = self._following(until)
            if next_moment is None or next_moment > until:
                result = self._rest(until, next_moment)
                break
            events += self._play(next_moment)
            if self.fills + self.rejections != before_stops and not through_fills:
                result = Advance(now=self.now, reason="fill")
                break
        if write_idle or events or self.books is not before:
            self._commit(before, events)
        return result

    def _following(self, until: datetime) -> datetime | None:
        """The next moment to play. Where nothing is held or ordered a tape only takes the place of the one before it:
        within a day, up to `until`, the last of each symbol is enough."""
        following = self.next_moment()
        at_stake = self.books.orders or self.books.holdings or self.thin or self.halts
        if following is None or following > until or at_stake:
            return following
        return self.market.last_time(self.now, min(until, self._day_ends)) or following

    def next_moment(self) -> datetime | None:
        """When something happens next: in the market, or to an order that is on its way in or out."""
        if self._waiting[0] is not self.books.orders:
            self._waiting = (self.books.orders, next_due(self.books.orders.values()))
        moment, due = self.market.next_time(self.now), self._waiting[1]
        if due is None or (moment is not None and moment <= due):
            return moment
        return max(due, self.now)

    def _rest(self, until: datetime, following: datetime | None) -> Advance:
        """Nothing happens between here and `until`."""
        end = self.market.end
        over = following is None and (end is None or until > end)
        self.now = max(self.now, (end or self.now) if over else until)
        return Advance(now=self.now, reason="end" if over else "time")

    def _play(self, at: datetime) -> list[OrderEvent]:
        if at.date() != self._day:
            self._new_day(at)
        self.now = at
        events = self._obey_halts(at)
        for entry in self.posts(at):
            self._take_in(entry)
        if self.listed is not None:
            events += self._relist(at)
        for tape in self.market.tapes(at, self._low_first):
            events += self._step(tape if self.thin is None else self.thin(tape))
        if self._waiting[1] is not None and self._waiting[1] <= at:  # they meet the market that this moment has left
            events += self._step(Due(at=at))
        if self._session_ends(at):
            events += self._step(SessionEnd(at=at))
        return events

    def _step(self, event: Event) -> list[OrderEvent]:
        """One event through the engine, uncommitted. Raises VenueRefusal, the books then unchanged."""
        books, outputs = apply(self.books, event)
        events = []
        for output in outputs:
            if isinstance(output, Refusal):
                raise VenueRefusal(output)
            events.append(output)
            self.fills += output.execution is not None
            self.rejections += output.event == "rejected"
        self.books = books
        if events and self.remember is not None:
            self.remember(event.at, books)
        return events

    def _new_day(self, at: datetime) -> None:
        """The equity that the day before ended with, and the fee tier of the last 30 days."""
        self._day, self._day_ends = at.date(), datetime.combine(at, time.max, UTC)
        self.last_equity = account_figures(self.books).equity
        self._facts["last_equity"] = str(self.last_equity)
        volume = self.ledger.crypto_volume_since(at - _MONTH)
        fees = schedule_for(AssetClass.CRYPTO, volume)
        if fees != self.books.crypto_fees:
            self.books = replace(self.books, crypto_fees=fees)

    def _low_first(self, symbol: Symbol) -> bool:
        """Which extreme of a bar is worse for the account when it comes first; by optimistic rules, which is better."""
        holding = self.books.holdings.get(symbol)
        buying = any(o.side is OrderSide.BUY and o.symbol == symbol for o in self.books.orders.values())
        # waiting to buy: the high first, so that the exit can't profit at once
        worse = holding.qty > 0 if holding is not None and holding.qty else not buying
        return worse is not self.books.rules.optimistic

    def _session_ends(self, at: datetime) -> bool:
        if not any(o.symbol.asset_class is AssetClass.STOCK for o in self.books.orders.values()):
            return False
        return any(closes == at for _, closes in self.market.sessions(at - timedelta(days=1), at))

    def _obey_halts(self, at: datetime) -> list[OrderEvent]:
        if self.halts is None:
            return []
        wanted, events = self.halts(at), list[OrderEvent]()
        for symbol in sorted(wanted ^ self._halted_by_clock):
            events += self._step(Halted(at=at, symbol=symbol, halted=symbol in wanted))
        self._halted_by_clock = wanted
        return events

    def _relist(self, at: datetime) -> list[OrderEvent]:
        listings, events = self.listed(at) if self.listed is not None else {}, list[OrderEvent]()
        if listings == self.listings:
            return events
        for symbol in sorted(listings.keys() | self.listings.keys()):
            listing = listings.get(symbol)
            if listing == self.listings.get(symbol) or symbol not in self.market.instruments:
                continue
            events += self._step(Relisted(at=at, instrument=relisted(self.market.instruments[symbol], listing)))
            orders = [o for o in self.books.orders.values() if listing and listing.delisted and o.symbol == symbol]
            for order in orders:
                if order.id in self.books.orders:  # a leg goes with its parent
                    events += self._step(Cancel(at=at, order_id=order.id, cancel_s=ZERO))
        self.listings = listings
        return events

    def obey_faults(self) -> None:
        """Halts and changed assets as they are meant to be now: faults are set while the clock stands, too."""
        before = self.books
        for entry in self.posts(self.now):
            self._take_in(entry)
        self._commit(before, self._obey_halts(self.now) + self._relist(self.now))

    def post(self, entry: Posted) -> None:
        """An activity that is no fill: it moves what it moves, once."""
        before = self.books
        self._take_in(entry)
        self._commit(before, ())

    def _take_in(self, entry: Posted) -> None:
        if entry not in self._posted and not self.ledger.knows_activity(entry.id):
            self.books = posted(self.books, entry)
            self._posted.append(entry)
            if self.remember is not None:
                self.remember(self.now, self.books)

    # ---- orders ----

    def submit(self, new: NewOrder, *, accept_s: Decimal | None = None, rejected: str = "") -> SimOrder:
        """`accept_s` and `rejected`: as in Submit, faults of this one order. Raises VenueRefusal."""
        symbol = self.find(new.symbol)
        if symbol is None:
            raise refused(422, 42210000, f"asset {new.symbol!a} not found")
        listing = self.listings.get(symbol)
        if listing is not None and listing.delisted:
            raise refused(422, 42210000, f"asset {symbol.text} is not active")
        held = self.books.holdings.get(symbol)
        require_allowed(self.configuration, new, ZERO if held is None else held.qty)
        order_id = self._order_id()
        client_id = new.client_order_id or derived_id(self.account_id, f"client:{order_id}")
        event = submission(
            new,
            symbol,
            order_id=order_id,
            client_order_id=client_id,
            at=self.now,
            duplicate=self.ledger.knows_client_id(client_id),
            market_open=self.market.is_open(symbol, self.now),
        )
        if accept_s is not None or rejected:
            event = replace(event, accept_s=accept_s, rejected=rejected)
        self._do(event)
        return self._must(order_id)

    def cancel(self, order_id: str, *, cancel_s: Decimal | None = None) -> None:
        """Raises VenueRefusal: 404 for one that never was, 422 for one that can't be cancelled any more."""
        known = None if order_id in self.books.orders else self.ledger.order(order_id)
        terminal = known.status if known else None
        self._do(Cancel(at=self.now, order_id=order_id, terminal=terminal, cancel_s=cancel_s))

    def replace(self, order_id: str, patch: Patch) -> SimOrder:
        """The new order. Raises VenueRefusal."""
        known = None if order_id in self.books.orders else self.ledger.order(order_id)
        new_id = self._order_id()
        client_id = patch.client_order_id or derived_id(self.account_id, f"client:{new_id}")
        self._do(
            Replace(
                at=self.now,
                order_id=order_id,
                new_order_id=new_id,
                client_order_id=client_id,
                qty=patch.qty,
                limit_price=patch.limit_price,
                stop_price=patch.stop_price,
                tif=patch.tif,
                terminal=known.status if known else None,
                duplicate=self.ledger.knows_client_id(client_id),
            )
        )
        return self._must(new_id)

    def cancel_all(
        self, symbols: Iterable[Symbol] | None = None, *, cancel_s: Decimal | None = None
    ) -> list[tuple[str, Refusal | None]]:
        """(order id, refusal) of each that was open; legs go with their parents."""
        wanted = None if symbols is None else set(symbols)
        results: list[tuple[str, Refusal | None]] = []
        for order in list(self.books.orders.values()):
            if order.id not in self.books.orders or (wanted is not None and order.symbol not in wanted):
                continue
            try:
                self.cancel(order.id, cancel_s=cancel_s)
                results.append((order.id, None))
            except VenueRefusal as no:
                results.append((order.id, no.refusal))
        return results

    def halt(self, symbol: Symbol, halted: bool) -> None:
        """Stop or resume trading in one symbol."""
        self._do(Halted(at=self.now, symbol=symbol, halted=halted))

    def configure(self, changes: Mapping[str, Any]) -> None:
        """Change the account's configuration; the keys are known ones."""
        self.configuration |= changes
        facts = {"configuration": json.dumps(self.configuration)}
        self.ledger.commit(now=self.now, before=self.books, after=self.books, facts=facts, durable=True)

    def _do(self, event: Event) -> None:
        before = self.books
        self._commit(before, self._step(event))

    def _commit(self, before: Books, events: Sequence[OrderEvent]) -> None:
        self.ledger.commit(
            now=self.now, before=before, after=self.books, events=events, facts=self._facts, posted=self._posted
        )
        self._facts, self._posted = {}, []
        if events:
            for listener in self._listeners:
                listener(events)

    def _order_id(self) -> str:
        """Equal runs give equal ids, with a restart between or without."""
        return derived_id(self.account_id, f"order:{self.ledger.last_order_number() + 1}")

    def _must(self, order_id: str) -> SimOrder:
        found = self.books.orders.get(order_id) or self.ledger.order(order_id)
        if found is None:
            raise AssertionError(f"the engine neither refused nor kept order {order_id}")
        return found

    # ---- what there is ----

    def find(self, text: str) -> Symbol | None:
        """By any of the venue's spellings, or by asset id."""
        return self._by_name.get(text.strip().upper())

    def figures(self) -> AccountFigures:
        return account_figures(self.books)

    def order(self, order_id: str) -> SimOrder | None:
        return self.books.orders.get(order_id) or self.ledger.order(order_id)

    def quote(self, symbol: Symbol) -> Quote | None:
        """The book that orders trade against now."""
        quote, at = self.book(symbol)
        return quote if quote is None or quote.at == at else dated(quote, at)

    def book(self, symbol: Symbol) -> tuple[Quote | None, datetime]:
        """The same in two parts: the book as its tape came with it, and the moment that it is told of now."""
        now, tape = self.now, self.books.tapes.get(symbol)
        quote = self.market.quote(symbol, now) if tape is None else tape.quote
        if tape is None or quote is None:
            return quote, now if quote is None else quote.at
        moves = tape.fresh_until is None or now <= tape.fresh_until
        return quote, told_at(tape, now) if moves and self.market.is_open(symbol, now) else quote.at
