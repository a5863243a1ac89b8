"""The journal's writes that trading stands on: cycles, plans, intents, and what each sync brought."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import TracebackType
from typing import Any

import sqlalchemy as sa

from settings.redaction import clean
from trader.adapters.journal import rows, schema
from trader.adapters.journal.codec import encode
from trader.adapters.journal.control import put_levels
from trader.adapters.journal.postings import Postings, move_books
from trader.adapters.journal.records import EquityPoint
from trader.adapters.journal.schema import stamp, unstamp
from trader.adapters.journal.store import upsert
from trader.adapters.journal.upgrade import open_engine
from trader.core.decision import DecisionInputs, Plan
from trader.core.equity import Counted
from trader.core.types import Execution, Order, OrderIntent, OrderStatus, Portfolio

PLANNED = "planned"
_TERMINAL = [status.value for status in OrderStatus if status.is_terminal]


class Journal(Postings):
    """The daemon's memory, and what every command reads. A call that returned is committed.

    On the disk are then plans that send something, intents, executions, corrections, flags, commands and alerts. The
    rest (an order's state, the equity, a cycle's opening and end) is told again by the venue or by the next start.

    Raises DatabaseAway where it stayed locked or out of reach, DiskFull, DatabaseUnusable (74).
    """

    def __init__(self, engine: sa.Engine) -> None:
        super().__init__(engine)
        self._written: dict[str, str] = {}  # open orders' bodies as last written: an unchanged one costs nothing
        self._point: EquityPoint | None = None

    @classmethod
    def open(cls, url: str, *, create: bool = True) -> Journal:
        """`create` makes, checks and migrates it; otherwise it must be there with the newest schema."""
        return cls(open_engine(url, create=create))

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- cycles and decisions ----

    def begin_cycle(self, cycle_id: str, kind: str, at: datetime) -> None:
        row = {
            "cycle_id": cycle_id,
            "kind": kind,
            "opened_at": stamp(at),
            "outcome": "",
            "note": "",
            "timings": "{}",
        }
        with self._write(durable=False) as connection:
            connection.execute(sa.insert(schema.cycles), row)

    def close_cycle(
        self, cycle_id: str, at: datetime, outcome: str, note: str = "", timings: Mapping[str, float] | None = None
    ) -> None:
        table = schema.cycles
        change = (
            sa.update(table)
            .where(table.c.cycle_id == cycle_id)
            .values(closed_at=stamp(at), outcome=outcome, note=clean(note), timings=json.dumps(dict(timings or {})))
        )
        with self._write(durable=False) as connection:
            _require_row(connection.execute(change), f"cycle {cycle_id}")

    def save_plan(self, cycle_id: str, inputs: DecisionInputs, plan: Plan) -> None:
        """In one transaction, before anything is sent: what went in, what came out, and the intents as planned."""
        at = stamp(inputs.now)
        kept = {"cycle_id": cycle_id, "strategy": inputs.strategy, "inputs": encode(inputs), "plan": encode(plan)}
        intents = [rows.intent_row(cycle_id, intent, PLANNED, at) for intent in plan.intents]
        verdicts = [rows.verdict_row(cycle_id, verdict) for verdict in plan.verdicts]
        quotes = [rows.quote_row(cycle_id, quote) for quote in inputs.quotes.values()]
        forecasts = [_forecast_row(cycle_id, forecast) for forecast in inputs.forecasts.values()]
        with self._write(durable=bool(plan.intents)) as connection:
            connection.execute(sa.insert(schema.plans), kept)
            _insert(connection, schema.intents, intents)
            _insert(connection, schema.verdicts, verdicts)
            _insert(connection, schema.quotes, quotes)
            _insert(connection, schema.forecasts, forecasts)
            put_levels(connection, plan.levels)

    # ---- intents ----

    def add_intents(self, cycle_id: str, intents: Sequence[OrderIntent], at: datetime) -> None:
        """All or none. A client order id that is there already is a bug and raises IntegrityError."""
        with self._write() as connection:
            _insert(
                connection, schema.intents, [rows.intent_row(cycle_id, each, PLANNED, stamp(at)) for each in intents]
            )

    def set_intent(
        self, client_order_id: str, state: str, at: datetime, *, order_id: str | None = None, reason: str = ""
    ) -> None:
        """An order id and a reason, once known, stay. Raises KeyError for an intent that was never added."""
        values = {"state": str(state), "updated_at": stamp(at)}
        values |= {} if order_id is None else {"order_id": order_id}
        values |= {"reason": clean(reason)} if reason else {}
        change = sa.update(schema.intents).where(schema.intents.c.client_order_id == client_order_id).values(values)
        with self._write(durable=False) as connection:
            _require_row(connection.execute(change), f"intent {client_order_id}")

    # ---- what the venue says ----

    def save_sync(
        self,
        portfolio: Portfolio,
        orders: Sequence[Order],
        executions: Sequence[Execution],
        counted: Counted | None = None,
    ) -> tuple[Execution, ...]:
        """One transaction: orders put, executions added once each, sums moved, an equity point where it changed.

        counted  our own count of the equity, once these executions are booked

        Returns the executions that were new. A posted fee replaces an estimated one; a terminal order stays terminal.
        """
        bodies = {order.id: rows.order_row(order) for order in (*portfolio.orders, *orders)}
        changed_rows = [row for row in bodies.values() if self._written.get(row["order_id"]) != row["body"]]
        account = portfolio.account
        point = EquityPoint(at=portfolio.at, equity=account.equity, cash=account.cash, **_counted(counted))
        if not changed_rows and not executions and self._same_equity(point):
            return ()
        with self._write(durable=bool(executions)) as connection:
            _put_orders(connection, changed_rows)
            new_executions = _put_executions(connection, executions)
            self._put_equity(connection, point)
        self._point = point
        self._written.update({row["order_id"]: row["body"] for row in changed_rows})
        for row in changed_rows:
            if not row["is_open"]:
                self._written.pop(row["order_id"])
        return new_executions

    # ---- parts ----

    def _same_equity(self, point: EquityPoint) -> bool:
        last = self._point
        return last is not None and replace(last, at=point.at) == point

    def _put_equity(self, connection: sa.Connection, point: EquityPoint) -> None:
        """Within a minute the last point is replaced: the curve keeps one a minute, and always the newest."""
        table = schema.equity
        last = connection.execute(sa.select(table).order_by(table.c.seq.desc()).limit(1)).mappings().first()
        values = {
            "at": stamp(point.at), "equity": str(point.equity), "cash": str(point.cash), "moved": str(point.moved),
            "own": None if point.own is None else str(point.own), "doubtful": point.doubtful,
        }  # fmt: skip
        if last is None:
            connection.execute(sa.insert(table), values)
        elif replace(rows.equity_from(last), at=point.at) == point:
            return
        elif _minute(unstamp(last["at"])) == _minute(point.at):
            connection.execute(sa.update(table).where(table.c.seq == last["seq"]).values(values))
        else:
            connection.execute(sa.insert(table), values)


def _counted(counted: Counted | None) -> dict[str, Any]:
    if counted is None:
        return {}
    return {"own": counted.equity, "moved": counted.moved, "doubtful": counted.doubtful}


def _insert(connection: sa.Connection, table: sa.Table, values: list[dict[str, Any]]) -> None:
    if values:
        connection.execute(sa.insert(table), values)


def _require_row(result: sa.CursorResult[Any], what: str) -> None:
    if result.rowcount != 1:
        raise KeyError(f"{what} is not in the journal")


def _put_orders(connection: sa.Connection, changed_rows: list[dict[str, Any]]) -> None:
    table = schema.orders
    reopening = [row["order_id"] for row in changed_rows if row["is_open"]]
    closed_ids: set[str] = set()
    if reopening:
        query = sa.select(table.c.order_id).where(table.c.order_id.in_(reopening), table.c.status.in_(_TERMINAL))
        closed_ids = set(connection.execute(query).scalars())
    upsert(connection, table, [row for row in changed_rows if row["order_id"] not in closed_ids], key="order_id")


def _put_executions(connection: sa.Connection, executions: Sequence[Execution]) -> tuple[Execution, ...]:
    if not executions:
        return ()
    table = schema.executions
    by_id = {execution.id: execution for execution in executions}
    query = sa.select(table).where(table.c.execution_id.in_(list(by_id)))
    stored_executions = {row["execution_id"]: rows.execution_from(row) for row in connection.execute(query).mappings()}
    new_executions = tuple(execution for execution in by_id.values() if execution.id not in stored_executions)
    _insert(connection, table, [rows.execution_row(execution) for execution in new_executions])
    changes = [rows.book_changes(execution) for execution in new_executions]
    for before in stored_executions.values():
        after = by_id[before.id]
        if before.fee_estimated and not after.fee_estimated:
            values = {"fee": str(after.fee), "fee_currency": after.fee_currency, "fee_estimated": False}
            connection.execute(sa.update(table).where(table.c.execution_id == before.id).values(values))
            reversal = {name: -change for name, change in rows.book_changes(before).items()}
            changes += [reversal, rows.book_changes(after)]
    move_books(connection, changes)
    return new_executions


def _forecast_row(cycle_id: str, forecast: Any) -> dict[str, Any]:
    return {
        "cycle_id": cycle_id,
        "symbol": forecast.symbol,
        "asof": stamp(forecast.asof),
        "backend": forecast.backend,
        "model": forecast.model,
        "compile_mode": forecast.compile_mode,
        "last_close": repr(forecast.last_close),
        "latency_s": repr(forecast.latency_s),
    }


def _minute(at: datetime) -> int:
    return int(at.timestamp() // 60)
