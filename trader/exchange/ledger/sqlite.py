"""The exchange's durable memory: SQLite (WAL). What it holds is the truth; the Books in memory are rebuilt from it.

One transaction a request or advance step, finished before the answer leaves. A transaction in which an order, a
holding or the cash changed is synced to the disk (synchronous=FULL). A step in which only time passed is written too,
but not synced (synchronous=NORMAL): it survives a kill, and after a power cut the whole ledger falls back to the last
synced step, clock and books together, so that it never mixes two moments.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from trader.core.types import ZERO, Execution, FeeSchedule, Symbol
from trader.exchange.engine.events import Books, Holding, OrderEvent, Posted, SimOrder
from trader.exchange.ledger.queries import LedgerReader, activity_id
from trader.exchange.ledger.rows import microseconds, moment_of, order_of, order_text, posted_text, tape_of, tape_text

SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE state (
  id INTEGER PRIMARY KEY CHECK (id = 1), clock INTEGER NOT NULL, cash TEXT NOT NULL, executions INTEGER NOT NULL,
  halted TEXT NOT NULL, maker_bps TEXT NOT NULL, taker_bps TEXT NOT NULL, used TEXT NOT NULL,
  filled_bar TEXT NOT NULL);
CREATE TABLE holdings (symbol TEXT PRIMARY KEY, qty TEXT NOT NULL, cost TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE tapes (symbol TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE orders (
  seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, client_order_id TEXT NOT NULL UNIQUE, parent_id TEXT,
  symbol TEXT NOT NULL, side TEXT NOT NULL, is_open INTEGER NOT NULL, submitted INTEGER NOT NULL,
  body TEXT NOT NULL);
CREATE INDEX orders_by_time ON orders (submitted, seq);
CREATE INDEX orders_by_parent ON orders (parent_id);
CREATE INDEX orders_open ON orders (is_open, submitted);
CREATE TABLE order_events (
  seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, order_id TEXT NOT NULL, event TEXT NOT NULL, status TEXT NOT NULL,
  filled_qty TEXT NOT NULL, execution_id TEXT);
CREATE TABLE executions (
  seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, order_id TEXT NOT NULL, symbol TEXT NOT NULL, side TEXT NOT NULL,
  qty TEXT NOT NULL, price TEXT NOT NULL, at INTEGER NOT NULL, fee TEXT NOT NULL, fee_currency TEXT NOT NULL,
  cum_qty TEXT NOT NULL, leaves_qty TEXT NOT NULL, order_status TEXT NOT NULL);
CREATE INDEX executions_by_time ON executions (at);
CREATE TABLE cash_movements (
  seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind TEXT NOT NULL, amount TEXT NOT NULL, execution_id TEXT);
CREATE TABLE activities (
  seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, at INTEGER NOT NULL,
  execution_id TEXT NOT NULL);
"""


# of a ledger that an older program made, too: it had no other activities than fills and their fees
_ADDED = "CREATE TABLE IF NOT EXISTS posted (activity_id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID"
_STATE = "clock, cash, executions, halted, maker_bps, taker_bps, used, filled_bar"


class LedgerError(Exception):
    """The ledger can't be used: another market's, a newer program's, damaged, or in use. The message is one line."""


class Ledger(LedgerReader):
    """Open one with `Ledger.open`. Used from one thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self._synced = True
        self.synced_commits = 0  # since it was opened

    @classmethod
    def open(cls, path: Path | None, fingerprint: str) -> Ledger:
        """The ledger at `path`, made if absent; None keeps it in memory. Raises LedgerError."""
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False, timeout=5)
        except (sqlite3.Error, OSError) as error:
            raise LedgerError(f"{path}: can't be opened: {error}") from error
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")  # a second exchange on the same file is refused
            ledger = cls(connection)
            ledger._prepare(path, fingerprint)
        except sqlite3.Error as error:
            connection.close()
            raise LedgerError(f"{path}: not usable as a ledger: {error}") from error
        except LedgerError:
            connection.close()
            raise
        return ledger

    def _prepare(self, path: Path | None, fingerprint: str) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            for statement in _SCHEMA.split(";"):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
            self._db.execute("INSERT INTO facts VALUES ('fingerprint', ?)", (fingerprint,))
        elif version != SCHEMA_VERSION:
            self._db.execute("ROLLBACK")
            raise LedgerError(f"{path}: ledger version {version}, this program reads {SCHEMA_VERSION}")
        self._db.execute(_ADDED)
        self._db.execute("COMMIT")
        found = self.fact("fingerprint")
        if found != fingerprint:
            raise LedgerError(
                f"{path}: belongs to another market (its fingerprint is {found}, this one's {fingerprint}); "
                "give the same data, seed and start again, or another ledger file"
            )

    def close(self) -> None:
        self._db.close()

    # ---- writing ----

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
        """All that changed from `before` to `after` (None: everything is new), in one transaction.

        durable   sync it to the disk even where neither orders nor money changed
        """
        changed_orders = _changed_orders(before, after, events)
        moved = before is None or _money_moved(before, after)
        durable = durable or bool(changed_orders or events or posted) or moved
        self._sync(durable)
        self.synced_commits += durable
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._write_orders(changed_orders)
            self._write_events(events)
            self._write_posted(posted)
            self._write_cash(now, before, after, events, posted)
            self._write_books(now, before, after)
            for name, value in (facts or {}).items():
                self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _sync(self, durable: bool) -> None:
        if durable != self._synced:
            self._db.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            self._synced = durable

    def _write_orders(self, orders: Sequence[SimOrder]) -> None:
        self._db.executemany(
            "INSERT INTO orders (id, client_order_id, parent_id, symbol, side, is_open, submitted, body)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET is_open = excluded.is_open, parent_id = excluded.parent_id,"
            " body = excluded.body",
            [
                (
                    o.id, o.client_order_id, o.parent_id, o.symbol.text, o.side.value, not o.status.is_terminal,
                    microseconds(o.submitted_at), order_text(o),
                )
                for o in orders
            ],
        )  # fmt: skip

    def _write_events(self, events: Sequence[OrderEvent]) -> None:
        for event in events:
            execution = event.execution
            self._db.execute(
                "INSERT INTO order_events (at, order_id, event, status, filled_qty, execution_id)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (
                    microseconds(event.at), event.order.id, event.event, event.order.status.value,
                    str(event.order.filled_qty), execution.id if execution else None,
                ),
            )  # fmt: skip
            if execution is not None:
                self._write_execution(execution, event.order)

    def _write_execution(self, execution: Execution, order: SimOrder) -> None:
        at = microseconds(execution.at)
        self._db.execute(
            "INSERT INTO executions (id, order_id, symbol, side, qty, price, at, fee, fee_currency, cum_qty,"
            " leaves_qty, order_status) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                execution.id, execution.order_id, execution.symbol.text, execution.side.value, str(execution.qty),
                str(execution.price), at, str(execution.fee), execution.fee_currency, str(order.filled_qty),
                str(order.qty - order.filled_qty), order.status.value,
            ),
        )  # fmt: skip
        kinds = ("FILL", "CFEE") if execution.fee else ("FILL",)
        for kind in kinds:
            self._db.execute(
                "INSERT INTO activities (id, kind, at, execution_id) VALUES (?, ?, ?, ?)",
                (activity_id(kind, execution), kind, at, execution.id),
            )

    def _write_posted(self, posted: Sequence[Posted]) -> None:
        for entry in posted:
            self._db.execute(
                "INSERT INTO activities (id, kind, at, execution_id) VALUES (?, ?, ?, '')",
                (entry.id, entry.kind, microseconds(entry.listed_at)),
            )
            self._db.execute("INSERT INTO posted VALUES (?, ?)", (entry.id, posted_text(entry)))

    def _write_cash(
        self,
        now: datetime,
        before: Books | None,
        after: Books,
        events: Sequence[OrderEvent],
        posted: Sequence[Posted],
    ) -> None:
        """A movement for each fill, fee and posting; what is left (the opening deposit) is one of its own."""
        rest = after.cash - (before.cash if before is not None else ZERO)
        rows: list[tuple[int, str, str, str | None]] = []
        for execution in (e.execution for e in events if e.execution is not None):
            at, amount = microseconds(execution.at), -execution.side.sign * execution.qty * execution.price
            rows.append((at, "fill", str(amount), execution.id))
            rest -= amount
            if execution.fee and execution.fee_currency == execution.symbol.currency:
                rows.append((at, "fee", str(-execution.fee), execution.id))
                rest += execution.fee
        for entry in posted:
            rows.append((microseconds(now), entry.kind, str(entry.cash), None))
            rest -= entry.cash
        if rest:
            rows.append((microseconds(now), "deposit" if before is None else "rounding", str(rest), None))
        self._db.executemany("INSERT INTO cash_movements (at, kind, amount, execution_id) VALUES (?, ?, ?, ?)", rows)

    def _write_books(self, now: datetime, before: Books | None, after: Books) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO state VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                microseconds(now), str(after.cash), after.executions,
                ",".join(sorted(s.text for s in after.halted)),
                str(after.crypto_fees.maker_bps), str(after.crypto_fees.taker_bps),
                json.dumps({symbol.text: str(units) for symbol, units in after.used.items()}),
                json.dumps({symbol.text: start.isoformat() for symbol, start in after.filled_bar.items()}),
            ),
        )  # fmt: skip
        holdings_before = {} if before is None else before.holdings
        if holdings_before is not after.holdings:
            gone_rows = [(s.text,) for s in holdings_before if s not in after.holdings]
            self._db.executemany("DELETE FROM holdings WHERE symbol = ?", gone_rows)
            holding_rows = [
                (s.text, str(h.qty), str(h.cost)) for s, h in after.holdings.items() if holdings_before.get(s) is not h
            ]
            self._db.executemany("INSERT OR REPLACE INTO holdings VALUES (?, ?, ?)", holding_rows)
        tapes_before = {} if before is None else before.tapes
        if tapes_before is not after.tapes:
            tape_rows = [(s.text, tape_text(t)) for s, t in after.tapes.items() if tapes_before.get(s) is not t]
            self._db.executemany("INSERT OR REPLACE INTO tapes VALUES (?, ?)", tape_rows)

    # ---- restoring ----

    def restore(self, empty_books: Books) -> tuple[Books, datetime] | None:
        """(the books as they were at the last commit, the clock), or None where nothing was ever committed.

        empty_books   what the ledger does not keep (the instruments) comes from there
        """
        row = self._db.execute(f"SELECT {_STATE} FROM state").fetchone()
        if row is None:
            return None
        clock, cash, executions, halted, maker, taker, used, filled_bar = row
        holding_rows = self._db.execute("SELECT symbol, qty, cost FROM holdings").fetchall()
        orders = self._db.execute("SELECT body FROM orders WHERE is_open = 1 ORDER BY seq").fetchall()
        tapes = self._db.execute("SELECT symbol, body FROM tapes").fetchall()
        books = replace(
            empty_books,
            cash=Decimal(cash),
            holdings={Symbol(s): Holding(qty=Decimal(q), cost=Decimal(c)) for s, q, c in holding_rows},
            orders={order.id: order for order in (order_of(body) for (body,) in orders)},
            tapes={Symbol(s): tape_of(body) for s, body in tapes},
            halted=frozenset(Symbol(s) for s in halted.split(",") if s),
            crypto_fees=FeeSchedule(maker_bps=Decimal(maker), taker_bps=Decimal(taker)),
            executions=executions,
            used={Symbol(s): Decimal(units) for s, units in json.loads(used).items()},
            filled_bar={Symbol(s): datetime.fromisoformat(start) for s, start in json.loads(filled_bar).items()},
        )
        return books, moment_of(clock)


def _changed_orders(before: Books | None, after: Books, events: Sequence[OrderEvent]) -> list[SimOrder]:
    """Every order whose stored row is out of date, in the order in which they came to be."""
    orders_before = {} if before is None else before.orders
    latest = {event.order.id: event.order for event in events}
    if orders_before is not after.orders:
        latest |= {ident: order for ident, order in after.orders.items() if orders_before.get(ident) is not order}
        lost_ids = [ident for ident in orders_before if ident not in after.orders and ident not in latest]
        if lost_ids:
            raise AssertionError(f"orders left the books without an event: {lost_ids}")
    return list(latest.values())


def _money_moved(before: Books, after: Books) -> bool:
    return (
        before.cash != after.cash
        or (before.holdings is not after.holdings and before.holdings != after.holdings)
        or before.halted != after.halted
        or before.crypto_fees != after.crypto_fees
    )
