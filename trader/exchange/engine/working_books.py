"""A working copy of the books for the time of one event, and what one order does to its relatives.

The engine is pure from outside: a Desk is made from immutable books, changed, and frozen into new ones.
Only what is open is copied; nothing here grows with history.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from trader.core.fees import fee_of
from trader.core.types import ZERO, AssetClass, Execution, OrderClass, OrderStatus, OrderType, Symbol
from trader.core.values import altered, maker
from trader.exchange.engine.accounting import NOTHING, available, book
from trader.exchange.engine.events import Books, Holding, OrderEvent, Output, SimOrder, Tape
from trader.exchange.engine.ids import derived_id

_new_books = maker(Books)
_new_order_event = maker(OrderEvent)
_new_execution = maker(Execution)
_NAMESPACE = UUID("6f0c1b1e-6a39-5d0e-9d0e-3c1a7f6f2b44")  # ours; ids are derived, so that equal inputs give equal ids


class Desk:
    """Mutable for one event. `order` values stay immutable: each change puts a new one in its place."""

    __slots__ = ("_start", "at", "cash", "executions", "filled_bar", "holdings", "orders", "outputs", "tapes", "used")

    def __init__(self, books: Books, at: datetime) -> None:
        self._start = books
        self.at = at
        self.cash = books.cash
        self.holdings: dict[Symbol, Holding] = dict(books.holdings)
        self.orders: dict[str, SimOrder] = dict(books.orders)
        self.tapes: dict[Symbol, Tape] = dict(books.tapes)
        self.used: dict[Symbol, Decimal] = dict(books.used)
        self.filled_bar: dict[Symbol, datetime] = dict(books.filled_bar)
        self.executions = books.executions
        self.outputs: list[Output] = []

    def books(self) -> Books:
        """The books as they are now."""
        start = self._start
        return _new_books(
            cash=self.cash,
            holdings=self.holdings,
            orders=self.orders,
            instruments=start.instruments,
            tapes=self.tapes,
            halted=start.halted,
            crypto_fees=start.crypto_fees,
            executions=self.executions,
            rules=start.rules,
            used=self.used,
            filled_bar=self.filled_bar,
        )

    # ---- one order ----

    def put(self, order: SimOrder) -> SimOrder:
        self.orders[order.id] = order
        return order

    def emit(self, event: str, order: SimOrder, execution: Execution | None = None) -> None:
        position = self.holdings.get(order.symbol, NOTHING).qty if execution is not None else None
        self.outputs.append(
            _new_order_event(event=event, at=self.at, order=order, execution=execution, position_qty=position)
        )

    def end(self, order: SimOrder, status: OrderStatus, *, alone: bool = False) -> None:
        """The order leaves the books as cancelled or expired; unless `alone`, so do those that depend on it."""
        if self.orders.pop(order.id, None) is None:
            return
        ended_order = altered(
            order,
            status=status,
            updated_at=self.at,
            canceled_at=self.at if status is OrderStatus.CANCELED else None,
            expired_at=self.at if status is OrderStatus.EXPIRED else None,
            failed_at=self.at if status is OrderStatus.REJECTED else None,
            arrives_at=None,
            leaves_at=None,
        )
        self.emit(status.value, ended_order)
        for relative_id in () if alone else (*order.leg_ids, order.sibling_id):
            relative = self.orders.get(relative_id) if relative_id is not None else None
            if relative is not None:
                self.end(relative, status)

    def fill(self, order: SimOrder, qty: Decimal, price: Decimal, *, maker: bool) -> SimOrder:
        """Execute `qty` units of an open order at `price`: the only place where cash or holdings change."""
        execution = self._execution(order, qty, price, maker=maker)
        symbol = order.symbol
        self.cash, holding = book(self.cash, self.holdings.get(symbol, NOTHING), execution)
        if holding.qty == 0:
            self.holdings.pop(symbol, None)
        else:
            self.holdings[symbol] = holding
        self.used[symbol] = self.used.get(symbol, ZERO) + qty
        self.filled_bar[symbol] = self.tapes[symbol].bar_start
        complete = order.filled_qty + qty >= order.qty
        in_part = OrderStatus.PARTIALLY_FILLED if order.leaves_at is None else OrderStatus.PENDING_CANCEL
        order = altered(
            order,
            filled_qty=order.filled_qty + qty,
            filled_notional=order.filled_notional + qty * price,
            status=OrderStatus.FILLED if complete else in_part,
            updated_at=self.at,
            filled_at=self.at if complete else None,
            leaves_at=None if complete else order.leaves_at,
        )
        if complete:
            del self.orders[order.id]
        else:
            self.put(order)
        self.emit("fill" if complete else "partial_fill", order, execution)
        self._after_fill(order, qty)
        return order

    def _execution(self, order: SimOrder, qty: Decimal, price: Decimal, *, maker: bool) -> Execution:
        fees = self._start.crypto_fees
        if order.symbol.asset_class is not AssetClass.CRYPTO:
            fees = self._start.instruments[order.symbol].fees
        fee, currency = fee_of(order.symbol, order.side, qty, price, fees.maker_bps if maker else fees.taker_bps)
        self.executions += 1
        return _new_execution(
            id=derived_id(_NAMESPACE, f"{order.id} execution {self.executions}"),
            order_id=order.id,
            symbol=order.symbol,
            side=order.side,
            qty=qty,
            price=price,
            at=self.at,
            fee=fee,
            fee_currency=currency,
        )

    # ---- its relatives ----

    def _after_fill(self, order: SimOrder, qty: Decimal) -> None:
        sibling = self.orders.get(order.sibling_id) if order.sibling_id is not None else None
        if sibling is not None and order.status is OrderStatus.FILLED:
            self.end(sibling, OrderStatus.CANCELED)
        elif sibling is not None:
            self.emit("restated", self.put(altered(sibling, qty=sibling.qty - qty, updated_at=self.at)))
        elif order.order_class is OrderClass.BRACKET and order.leg_ids and order.status is OrderStatus.FILLED:
            self._activate_legs(order)

    def _activate_legs(self, entry: SimOrder) -> None:
        """The entry is filled: its target and stop go to work, for what is there and not promised elsewhere."""
        legs = [self.orders[leg_id] for leg_id in entry.leg_ids if leg_id in self.orders]
        qty = min(entry.qty, available(self.books(), entry.symbol))
        bar_start = self.tapes[entry.symbol].bar_start
        for leg in legs:
            if qty <= 0:
                self.end(leg, OrderStatus.CANCELED)
                continue
            working = altered(leg, status=OrderStatus.NEW, qty=qty, entered_bar=bar_start, updated_at=self.at)
            self.emit("new", self.put(working))

    def elect(self, order: SimOrder) -> SimOrder:
        """A stop fires. What it was paired with leaves first, so that both can never fill."""
        sibling = self.orders.get(order.sibling_id) if order.sibling_id is not None else None
        if sibling is not None:
            self.end(sibling, OrderStatus.CANCELED, alone=True)
        return self.put(altered(order, triggered=True, updated_at=self.at))

    def place(self, order: SimOrder, legs: tuple[SimOrder, ...], *, event: str) -> None:
        """Into the books: the order first, then its legs."""
        self.emit(event, self.put(order))
        for leg in legs:
            self.emit("accepted" if leg.status is OrderStatus.HELD else leg.status.value, self.put(leg))


def leg_of(parent: SimOrder, kind: str, price: Decimal, limit_price: Decimal | None = None) -> SimOrder:
    """A bracket's or OCO's exit leg. `kind` is target or stop; ids derive from the parent's."""
    leg_id = derived_id(_NAMESPACE, f"{parent.id} {kind}")
    if kind == "target":
        order_type = OrderType.LIMIT
    else:
        order_type = OrderType.STOP if limit_price is None else OrderType.STOP_LIMIT
    return altered(
        parent,
        id=leg_id,
        client_order_id=leg_id,
        type=order_type,
        limit_price=price if kind == "target" else limit_price,
        stop_price=None if kind == "target" else price,
        parent_id=parent.id,
        leg_ids=(),
        notional=None,
    )
