"""What the ledger can be asked: orders, executions, activities, as the queries of the trading API need them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from trader.core.types import ZERO, Execution, OrderSide, Symbol
from trader.exchange.engine.events import Posted, SimOrder
from trader.exchange.ledger.rows import microseconds, moment_of, order_of, posted_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionRow:
    """One execution with what its order looked like just after it."""

    execution: Execution
    cum_qty: Decimal
    leaves_qty: Decimal
    order_status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    id: str
    kind: str
    at: datetime
    row: ExecutionRow | None  # of a fill and its fee
    posted: Posted | None = None  # of all else
    late: bool = False  # posted at the end of its day: without a time, and not as this or that order's


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderQuery:
    """Which orders, in which order. `after` and `until` are exclusive."""

    is_open: bool | None = None
    after: datetime | None = None
    until: datetime | None = None
    newest_first: bool = True
    symbols: tuple[str, ...] = ()
    side: OrderSide | None = None
    top_level: bool = False
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityQuery:
    kinds: tuple[str, ...] = ()
    trades: bool | None = None  # fills alone, or all but them
    after: datetime | None = None
    until: datetime | None = None
    newest_first: bool = True
    limit: int = 100
    page_token: str | None = None


class LedgerReader:
    """Reads only. Used from one thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def fact(self, name: str) -> str | None:
        row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def counts(self) -> dict[str, int]:
        names = ("orders", "order_events", "executions", "cash_movements", "activities")
        return {n: int(self._db.execute(f"SELECT count(*) FROM {n}").fetchone()[0]) for n in names}

    def last_order_number(self) -> int:
        """How many orders there have ever been, legs counted."""
        return int(self._db.execute("SELECT coalesce(max(seq), 0) FROM orders").fetchone()[0])

    def knows_client_id(self, client_order_id: str) -> bool:
        found = self._db.execute("SELECT 1 FROM orders WHERE client_order_id = ?", (client_order_id,)).fetchone()
        return found is not None

    def order(self, order_id: str) -> SimOrder | None:
        return self._one("SELECT body FROM orders WHERE id = ?", order_id)

    def order_by_client_id(self, client_order_id: str) -> SimOrder | None:
        return self._one("SELECT body FROM orders WHERE client_order_id = ?", client_order_id)

    def legs(self, parent_id: str) -> list[SimOrder]:
        rows = self._db.execute("SELECT body FROM orders WHERE parent_id = ? ORDER BY seq", (parent_id,))
        return [order_of(body) for (body,) in rows]

    def _one(self, statement: str, key: str) -> SimOrder | None:
        row = self._db.execute(statement, (key,)).fetchone()
        return None if row is None else order_of(row[0])

    def orders(self, query: OrderQuery) -> list[SimOrder]:
        where, values = ["1"], list[object]()
        if query.is_open is not None:
            where.append("is_open = ?")
            values.append(query.is_open)
        if query.after is not None:
            where.append("submitted > ?")
            values.append(microseconds(query.after))
        if query.until is not None:
            where.append("submitted < ?")
            values.append(microseconds(query.until))
        if query.side is not None:
            where.append("side = ?")
            values.append(query.side.value)
        if query.symbols:
            where.append(f"symbol IN ({','.join('?' * len(query.symbols))})")
            values.extend(query.symbols)
        if query.top_level:
            # an open leg of a closed parent is shown by itself: an open order is never hidden
            where.append(
                "(parent_id IS NULL OR (is_open AND NOT EXISTS"
                " (SELECT 1 FROM orders p WHERE p.id = orders.parent_id AND p.is_open)))"
                if query.is_open
                else "parent_id IS NULL"
            )
        way = "DESC" if query.newest_first else "ASC"
        statement = f"SELECT body FROM orders WHERE {' AND '.join(where)} ORDER BY submitted {way}, seq {way} LIMIT ?"
        return [order_of(body) for (body,) in self._db.execute(statement, (*values, query.limit))]

    def executions(self, after: datetime | None = None) -> list[ExecutionRow]:
        """Oldest first; from `after` on, itself included."""
        since = -(2**62) if after is None else microseconds(after)
        rows = self._db.execute(f"SELECT {_EXECUTION} FROM executions e WHERE at >= ? ORDER BY seq", (since,))
        return [_execution_row(row) for row in rows]

    def activities(self, query: ActivityQuery) -> list[Activity]:
        where, values = ["1"], list[object]()
        if query.kinds:
            where.append(f"a.kind IN ({','.join('?' * len(query.kinds))})")
            values.extend(query.kinds)
        if query.trades is not None:
            where.append(f"a.kind {'=' if query.trades else '<>'} 'FILL'")
        if query.after is not None:
            where.append("a.at > ?")
            values.append(microseconds(query.after))
        if query.until is not None:
            where.append("a.at < ?")
            values.append(microseconds(query.until))
        if query.page_token is not None:
            where.append(f"a.seq {'<' if query.newest_first else '>'} (SELECT seq FROM activities WHERE id = ?)")
            values.append(query.page_token)
        statement = (
            f"SELECT a.id, a.kind, a.at, p.body, {_EXECUTION} FROM activities a"
            " LEFT JOIN executions e ON e.id = a.execution_id LEFT JOIN posted p ON p.activity_id = a.id"
            f" WHERE {' AND '.join(where)} ORDER BY a.seq {'DESC' if query.newest_first else 'ASC'} LIMIT ?"
        )
        rows = self._db.execute(statement, (*values, query.limit)).fetchall()
        return [
            Activity(
                id=r[0],
                kind=r[1],
                at=moment_of(r[2]),
                row=None if r[4] is None else _execution_row(r[4:]),
                posted=None if r[3] is None else posted_of(r[3]),
            )
            for r in rows
        ]

    def posted(self) -> list[Posted]:
        """All that was no fill, oldest first."""
        rows = self._db.execute("SELECT p.body FROM activities a JOIN posted p ON p.activity_id = a.id ORDER BY a.seq")
        return [posted_of(body) for (body,) in rows]

    def knows_activity(self, activity_id: str) -> bool:
        return self._db.execute("SELECT 1 FROM activities WHERE id = ?", (activity_id,)).fetchone() is not None

    def deposit(self) -> Decimal:
        """USD that the account was opened with."""
        row = self._db.execute("SELECT amount FROM cash_movements WHERE kind = 'deposit'").fetchone()
        return ZERO if row is None else Decimal(row[0])

    def cash_moved(self) -> Decimal:
        """The sum of all movements: equals the books' cash."""
        return sum((Decimal(a) for (a,) in self._db.execute("SELECT amount FROM cash_movements")), ZERO)

    def crypto_volume_since(self, moment: datetime) -> Decimal:
        """USD that crypto executions turned over since `moment`: decides the fee tier."""
        statement = "SELECT qty, price FROM executions WHERE at >= ? AND symbol LIKE '%/%'"
        rows = self._db.execute(statement, (microseconds(moment),))
        return sum((Decimal(qty) * Decimal(price) for qty, price in rows), ZERO)


_EXECUTION = (
    "e.id, e.order_id, e.symbol, e.side, e.qty, e.price, e.at, e.fee, e.fee_currency, e.cum_qty, e.leaves_qty,"
    " e.order_status"
)


def activity_id(kind: str, execution: Execution) -> str:
    """As the venue writes them: time to the millisecond, two colons, an id. A fee's differs from its fill's."""
    stamp = f"{execution.at:%Y%m%d%H%M%S}{execution.at.microsecond // 1000:03d}"
    return f"{stamp}::{execution.id}" if kind == "FILL" else f"{stamp}::fee-{execution.id}"


def _execution_row(row: Sequence[str | int]) -> ExecutionRow:
    ident, order_id, symbol, side, qty, price, at, fee, fee_currency, cum, leaves, status = map(str, row)
    execution = Execution(
        id=ident,
        order_id=order_id,
        symbol=Symbol(symbol),
        side=OrderSide(side),
        qty=Decimal(qty),
        price=Decimal(price),
        at=moment_of(int(at)),
        fee=Decimal(fee),
        fee_currency=fee_currency,
    )
    return ExecutionRow(execution=execution, cum_qty=Decimal(cum), leaves_qty=Decimal(leaves), order_status=status)
