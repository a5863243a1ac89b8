"""The venue as it was a while ago, for answers that lag: account, positions, orders, activities.

Books are values, so that the past is kept by keeping them: one for each change, the newest few thousand.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast

from trader.core.values import altered
from trader.exchange.engine.engine import AccountFigures, account_figures
from trader.exchange.engine.events import Books, SimOrder
from trader.exchange.ledger.queries import Activity, ActivityQuery, OrderQuery
from trader.exchange.venue import Venue

_KEPT = 4096
_ALL = 1_000_000
_INSTANT = timedelta(microseconds=1)


class Past:
    """What the books were at each change since the exchange began."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._books: deque[tuple[datetime, Books]] = deque([(venue.now, venue.books)], maxlen=_KEPT)
        venue.remember = self._keep

    def _keep(self, at: datetime, books: Books) -> None:
        self._books.append((at, books))

    def venue_at(self, moment: datetime) -> Venue:
        """Answers as the venue would have done then; marks, quotes and the clock are those of now."""
        times = [at for at, _ in self._books]
        place = max(0, bisect_right(times, moment) - 1)
        return cast(Venue, VenueThen(self._venue, self._books[place][1], moment))


class VenueThen:
    """Reads only. What is not told apart here is asked of the venue itself."""

    def __init__(self, venue: Venue, then: Books, moment: datetime) -> None:
        self._venue = venue
        self.books = altered(venue.books, cash=then.cash, holdings=then.holdings, orders=then.orders)
        self.ledger = LedgerThen(venue, then, moment)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._venue, name)

    def figures(self) -> AccountFigures:
        return account_figures(self.books)

    def order(self, order_id: str) -> SimOrder | None:
        return self.ledger.then(self._venue.order(order_id))


class LedgerThen:
    """An order that was open then is told as it was; one that had ended by then is told as it ended."""

    def __init__(self, venue: Venue, then: Books, moment: datetime) -> None:
        self._ledger, self._then, self._moment = venue.ledger, then, moment

    def then(self, order: SimOrder | None) -> SimOrder | None:
        if order is None or order.submitted_at > self._moment:
            return None
        return self._then.orders.get(order.id, order)

    def order_by_client_id(self, client_order_id: str) -> SimOrder | None:
        return self.then(self._ledger.order_by_client_id(client_order_id))

    def legs(self, parent_id: str) -> list[SimOrder]:
        found = (self.then(leg) for leg in self._ledger.legs(parent_id))
        return [leg for leg in found if leg is not None]

    def orders(self, query: OrderQuery) -> list[SimOrder]:
        all_orders = self._ledger.orders(replace(query, is_open=None, top_level=False, limit=_ALL))
        orders = [order for order in map(self.then, all_orders) if order is not None and self._asked(order, query)]
        return orders[: query.limit]

    def _asked(self, order: SimOrder, query: OrderQuery) -> bool:
        is_open = order.id in self._then.orders
        if query.is_open is not None and is_open is not query.is_open:
            return False
        alone = order.parent_id is None or (query.is_open is True and order.parent_id not in self._then.orders)
        return alone or not query.top_level

    def activities(self, query: ActivityQuery) -> Sequence[Activity]:
        end = self._moment + _INSTANT
        return self._ledger.activities(replace(query, until=end if query.until is None else min(end, query.until)))
