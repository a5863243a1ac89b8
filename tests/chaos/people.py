"""What is done beside the daemon: by a person at the venue, and with commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from tests.chaos.checks import price_of, purpose_of
from tests.chaos.journal import ChaosJournal
from tests.chaos.scenario import Scenario, Trouble
from trader.core.types import ZERO, AssetClass, OrderSide, OrderType, Symbol, TimeInForce
from trader.exchange.engine.answers import VenueRefusal
from trader.exchange.engine.requests import NewOrder
from trader.exchange.venue import Venue

RESUMES_H = (0.0, 0.5, 1.5, 3.0)  # after the troubles are over a person looks in: what stays wrong is then known
_CENT = Decimal("0.01")
_SHARE = Decimal("0.02")  # of the cash, in one order by hand


class People:
    """`script`: (when, what), soonest first."""

    def __init__(self, scenario: Scenario, start: datetime, venue: Venue, journal: ChaosJournal) -> None:
        self._venue, self._journal = venue, journal
        self._resting: dict[Trouble, str] = {}
        self.meddled: set[Symbol] = set()  # with what is held of these
        events = [(start + timedelta(hours=hours), what) for hours, what in self._script(scenario)]
        self.script = sorted(events, key=lambda event: event[0])

    def _script(self, scenario: Scenario) -> Iterator[tuple[float, Callable[[], None]]]:
        for each in scenario.troubles:
            kind, _, what = each.what.partition(" ")
            if kind == "person":
                yield each.at, lambda each=each, what=what: self._act(each, what)  # type: ignore[misc]
                yield each.until, lambda each=each: self._take_back(each)  # type: ignore[misc]
            if kind == "money":
                yield each.at, lambda each=each, what=what: self._move(what, Decimal(each.value))  # type: ignore[misc]
                yield each.until, lambda: self._journal.command("resume")
            if kind == "command":
                yield each.at, lambda what=what: self._journal.command(what)  # type: ignore[misc]
                yield each.until, lambda: self._journal.command("resume")
        for hours in RESUMES_H:
            yield scenario.calm_at + hours, lambda: self._journal.command("resume")

    # ---- orders by hand ----

    def _act(self, trouble: Trouble, what: str) -> None:
        symbol = Symbol(trouble.symbol)
        if not self._venue.market.is_open(symbol, self._venue.now):
            return
        self.meddled.add(symbol)
        if what == "cancels":
            self._cancel_one_of_ours(symbol)
            return
        side = OrderSide.BUY if what in ("buys", "bids") else OrderSide.SELL
        price, instrument = price_of(self._venue.books, symbol), self._venue.books.instruments[symbol]
        limit = None
        if what in ("bids", "asks"):
            limit = instrument.price_down(price * (Decimal("0.97") if side is OrderSide.BUY else Decimal("1.03")))
        qty = self._venue.books.cash * _SHARE / price if side is OrderSide.BUY else self._free(symbol)
        qty = instrument.qty_down(qty if side is OrderSide.BUY else qty * Decimal(trouble.value[:6]))
        if qty <= 0:
            return
        try:
            order = self._venue.submit(
                NewOrder(
                    symbol=symbol.text, side=side, qty=qty, limit_price=limit,
                    type=OrderType.MARKET if limit is None else OrderType.LIMIT,
                    tif=TimeInForce.GTC if symbol.asset_class is AssetClass.CRYPTO else TimeInForce.DAY,
                )
            )  # fmt: skip
        except VenueRefusal:
            return
        self._resting[trouble] = order.id

    def _move(self, what: str, share: Decimal) -> None:
        """Money, in cents: no order holds what goes out."""
        books = self._venue.books
        free = min(books.cash, self._venue.figures().non_marginable_buying_power)
        amount = (books.cash if what == "deposits" else -free) * share
        self._venue.books = replace(books, cash=books.cash + amount.quantize(_CENT))

    def _take_back(self, trouble: Trouble) -> None:
        order_id = self._resting.pop(trouble, None)
        if order_id in self._venue.books.orders:
            self._cancel(order_id)

    def _cancel_one_of_ours(self, symbol: Symbol) -> None:
        for order in list(self._venue.books.orders.values()):
            if order.symbol == symbol and purpose_of(order) is not None:
                self._cancel(order.id)
                return

    def _cancel(self, order_id: str) -> None:
        try:
            self._venue.cancel(order_id)
        except VenueRefusal:
            return

    def _free(self, symbol: Symbol) -> Decimal:
        found = [each.qty_available for each in self._venue.figures().positions if each.symbol == symbol]
        return found[0] if found else ZERO
