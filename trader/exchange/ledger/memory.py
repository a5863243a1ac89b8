"""A ledger that lives as long as its process: for a market that is played in process and never resumed.

The venue asks it what it asks the durable one, and gets the same answers, without a database in between.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from trader.core.types import ZERO, AssetClass, Execution
from trader.exchange.engine.events import Books, OrderEvent, Posted, SimOrder


class MemoryLedger:
    """Used from one thread."""

    def __init__(self) -> None:
        self.history: dict[str, SimOrder] = {}  # by id, oldest first, as each was last seen
        self.fills: list[Execution] = []  # oldest first
        self.posted: list[Posted] = []
        self._times: list[datetime] = []  # of `fills`
        self._by_client_id: dict[str, str] = {}
        self._facts: dict[str, str] = {}

    def close(self) -> None:
        """Nothing to release."""

    # ---- what the venue asks ----

    def fact(self, name: str) -> str | None:
        return self._facts.get(name)

    def order(self, order_id: str) -> SimOrder | None:
        return self.history.get(order_id)

    def order_by_client_id(self, client_order_id: str) -> SimOrder | None:
        known = self._by_client_id.get(client_order_id)
        return None if known is None else self.history[known]

    def legs(self, parent_id: str) -> list[SimOrder]:
        return [self.history[leg] for leg in self.history[parent_id].leg_ids if leg in self.history]

    def knows_client_id(self, client_order_id: str) -> bool:
        return client_order_id in self._by_client_id

    def knows_activity(self, activity_id: str) -> bool:
        return any(each.id == activity_id for each in self.posted)

    def last_order_number(self) -> int:
        """How many orders there have ever been, legs counted."""
        return len(self.history)

    def crypto_volume_since(self, moment: datetime) -> Decimal:
        """USD that crypto executions turned over since `moment`: decides the fee tier."""
        recent = self.fills_since(moment)
        return sum((e.qty * e.price for e in recent if e.symbol.asset_class is AssetClass.CRYPTO), ZERO)

    def fills_since(self, moment: datetime) -> list[Execution]:
        """Oldest first; from `moment` on, itself included."""
        return self.fills[bisect_left(self._times, moment) :]

    def commit(
        self,
        *,
        now: datetime,
        before: Books | None,
        after: Books,
        events: Sequence[OrderEvent] = (),
        facts: Mapping[str, str] | None = None,
        durable: bool = False,
        posted: Sequence[Posted] = (),
    ) -> None:
        """Keep what changed from `before` to `after` (None: everything is new)."""
        for event in events:
            self._keep(event.order)
            if event.execution is not None:
                self.fills.append(event.execution)
                self._times.append(event.execution.at)
        orders_before = {} if before is None else before.orders
        if orders_before is not after.orders:
            for order_id, order in after.orders.items():
                if orders_before.get(order_id) is not order:
                    self._keep(order)
        self.posted += posted
        if facts:
            self._facts.update(facts)

    def _keep(self, order: SimOrder) -> None:
        if order.id not in self.history:
            self._by_client_id[order.client_order_id] = order.id
        self.history[order.id] = order
