"""What the journal can be asked. Every method reads one snapshot of the last commit."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from forecasters.types import Forecast
from trader.adapters.journal import rows, schema
from trader.adapters.journal.records import (
    Alert,
    Believed,
    CommandRecord,
    Correction,
    CycleRecord,
    EquityPoint,
    IntentRecord,
    QuoteRecord,
    Trade,
    VerdictRecord,
)
from trader.adapters.journal.schema import stamp, unstamp
from trader.adapters.journal.store import Store
from trader.adapters.journal.trades import round_trips
from trader.core.decision import DecisionInputs, Levels
from trader.core.types import Execution, Order, Purpose, Symbol

# asked for in every cycle: to build them costs as much as to ask
_CYCLE = sa.select(schema.cycles).where(schema.cycles.c.cycle_id == sa.bindparam("cycle_id"))
_PENDING = sa.select(schema.commands).where(schema.commands.c.done_at.is_(None)).order_by(schema.commands.c.id)
_AT_ONCE = 500  # names in a question: a database takes only so many


class Reader(Store):
    """Lists are newest first where they take a limit, oldest first otherwise, as each says."""

    # ---- cycles and decisions ----

    def cycle(self, cycle_id: str) -> CycleRecord | None:
        found = self._all(_CYCLE, {"cycle_id": cycle_id})
        return rows.cycle_from(found[0]) if found else None

    def cycles(self, limit: int = 50) -> list[CycleRecord]:
        """Newest first."""
        query = sa.select(schema.cycles).order_by(schema.cycles.c.seq.desc()).limit(limit)
        return [rows.cycle_from(row) for row in self._all(query)]

    def inputs(self, cycle_id: str) -> DecisionInputs:
        """Raises KeyError where that cycle made no plan."""
        inputs: DecisionInputs = rows.read(DecisionInputs, self._plan_column(cycle_id, schema.plans.c.inputs))
        return inputs

    def plan_bytes(self, cycle_id: str) -> bytes:
        """The plan as it was saved. Raises KeyError where that cycle made none."""
        return self._plan_column(cycle_id, schema.plans.c.plan)

    def last_plan_cycle(self) -> str | None:
        plans_in_cycles = sa.join(schema.plans, schema.cycles, schema.plans.c.cycle_id == schema.cycles.c.cycle_id)
        query = (
            sa.select(schema.plans.c.cycle_id)
            .select_from(plans_in_cycles)
            .order_by(schema.cycles.c.seq.desc())
            .limit(1)
        )
        newest = self._all(query)
        return None if not newest else str(newest[0]["cycle_id"])

    def plan_cycles(self) -> list[str]:
        """Ids of all cycles that decided, oldest first."""
        joined = sa.join(schema.plans, schema.cycles, schema.plans.c.cycle_id == schema.cycles.c.cycle_id)
        query = sa.select(schema.plans.c.cycle_id).select_from(joined).order_by(schema.cycles.c.seq)
        return [str(row["cycle_id"]) for row in self._all(query)]

    def forecasts(self, cycle_id: str) -> dict[Symbol, Forecast]:
        """The distributions that the cycle used."""
        return dict(self.inputs(cycle_id).forecasts)

    def verdicts(self, cycle_id: str) -> list[VerdictRecord]:
        table = schema.verdicts
        query = sa.select(table).where(table.c.cycle_id == cycle_id).order_by(table.c.seq)
        return [rows.verdict_from(row) for row in self._all(query)]

    def last_quotes(self) -> dict[Symbol, QuoteRecord]:
        """The newest used quote of each symbol."""
        return self._quotes(sa.func.max(schema.quotes.c.seq))

    def first_quotes(self) -> dict[Symbol, QuoteRecord]:
        """The oldest used quote of each symbol."""
        return self._quotes(sa.func.min(schema.quotes.c.seq))

    def _quotes(self, which: sa.Function[int]) -> dict[Symbol, QuoteRecord]:
        chosen_seqs = sa.select(which).group_by(schema.quotes.c.symbol)
        answer = self._all(sa.select(schema.quotes).where(schema.quotes.c.seq.in_(chosen_seqs)))
        records = [rows.quote_from(row) for row in answer]
        return {record.quote.symbol: record for record in records}

    # ---- intents ----

    def intent(self, client_order_id: str) -> IntentRecord | None:
        found = self._all(sa.select(schema.intents).where(schema.intents.c.client_order_id == client_order_id))
        return rows.intent_from(found[0]) if found else None

    def intents(self, states: Collection[str] | None = None) -> list[IntentRecord]:
        """Oldest first."""
        query = sa.select(schema.intents).order_by(schema.intents.c.seq)
        if states is not None:
            query = query.where(schema.intents.c.state.in_([str(state) for state in states]))
        return [rows.intent_from(row) for row in self._all(query)]

    def reasons(self, client_order_ids: Sequence[str]) -> dict[str, str]:
        """By client order id: why the venue refused it or we let it go, else why it was placed. Absent: not ours."""
        column = schema.intents.c.client_order_id
        reasons: dict[str, str] = {}
        for begin in range(0, len(client_order_ids), _AT_ONCE):
            query = sa.select(schema.intents).where(column.in_(client_order_ids[begin : begin + _AT_ONCE]))
            found = [rows.intent_from(row) for row in self._all(query)]
            reasons |= {each.intent.client_order_id: each.reason or each.intent.reason for each in found}
        return reasons

    def attempts(self, cycle_id: str, symbol: Symbol, purpose: Purpose) -> int:
        """How many intents this cycle has for that symbol and purpose."""
        table = schema.intents
        query = sa.select(sa.func.count().label("n")).where(
            table.c.cycle_id == cycle_id, table.c.symbol == symbol.text, table.c.purpose == purpose.value
        )
        return int(self._all(query)[0]["n"])

    # ---- the books ----

    def believed(self) -> Believed:
        with self._read() as connection:
            amounts = connection.execute(sa.select(schema.books)).tuples().all()
            bodies = connection.execute(
                sa.select(schema.orders.c.body)
                .where(schema.orders.c.is_open)
                .order_by(schema.orders.c.submitted_at, schema.orders.c.order_id)
            ).scalars()
            orders = tuple(rows.read(Order, body) for body in bodies)
        books = {name: Decimal(amount) for name, amount in amounts}
        cash = books.pop(rows.CASH, Decimal(0))
        books.pop(rows.MOVED, None)
        return Believed(positions={Symbol(name): qty for name, qty in books.items() if qty}, cash=cash, orders=orders)

    def orders(self, limit: int = 50, *, open_only: bool = False, symbol: Symbol | None = None) -> list[Order]:
        """Newest first."""
        table = schema.orders
        query = sa.select(table.c.body).order_by(table.c.submitted_at.desc(), table.c.order_id).limit(limit)
        if open_only:
            query = query.where(table.c.is_open)
        if symbol is not None:
            query = query.where(table.c.symbol == symbol.text)
        return [rows.read(Order, row["body"]) for row in self._all(query)]

    def order_by_client_id(self, client_order_id: str) -> Order | None:
        table = schema.orders
        found = self._all(sa.select(table.c.body).where(table.c.client_order_id == client_order_id))
        return rows.read(Order, found[0]["body"]) if found else None

    def executions(
        self, limit: int | None = None, *, symbol: Symbol | None = None, after: datetime | None = None
    ) -> list[Execution]:
        """Oldest first; with a limit, the newest of them. `after` is inclusive."""
        table = schema.executions
        query = sa.select(table).order_by(table.c.at.desc(), table.c.seq.desc())
        if symbol is not None:
            query = query.where(table.c.symbol == symbol.text)
        if after is not None:
            query = query.where(table.c.at >= stamp(after))
        if limit is not None:
            query = query.limit(limit)
        return [rows.execution_from(row) for row in reversed(self._all(query))]

    def last_execution_at(self) -> datetime | None:
        found = self._all(sa.select(sa.func.max(schema.executions.c.at).label("at")))[0]["at"]
        return None if found is None else unstamp(found)

    def trades(self, limit: int | None = None) -> list[Trade]:
        """Newest first."""
        newest = round_trips(self.executions())[::-1]
        return newest if limit is None else newest[:limit]

    def equity_points(self, after: datetime | None = None, *, doubtful: bool = False) -> list[EquityPoint]:
        """Oldest first, at most one a minute; those that two counts contradict only where they are asked for."""
        query = sa.select(schema.equity).order_by(schema.equity.c.seq)
        if after is not None:
            query = query.where(schema.equity.c.at >= stamp(after))
        if not doubtful:
            query = query.where(sa.not_(schema.equity.c.doubtful))
        return [rows.equity_from(row) for row in self._all(query)]

    def last_equity(self, before: datetime) -> EquityPoint | None:
        """The newest that was recorded before then, and is not in doubt."""
        table = schema.equity
        usable = sa.and_(table.c.at < stamp(before), sa.not_(table.c.doubtful))
        newest = self._all(sa.select(table).where(usable).order_by(table.c.seq.desc()).limit(1))
        return rows.equity_from(newest[0]) if newest else None

    def corrections(self, limit: int | None = 50) -> list[Correction]:
        """Newest first."""
        query = sa.select(schema.corrections).order_by(schema.corrections.c.id.desc()).limit(limit)
        return [rows.correction_from(row) for row in self._all(query)]

    def levels(self) -> dict[Symbol, Levels]:
        found = self._all(sa.select(schema.levels).order_by(schema.levels.c.symbol))
        return {Symbol(row["symbol"]): rows.read(Levels, row["body"]) for row in found}

    # ---- control ----

    def flag(self, name: str) -> str:
        """Empty where it is not set."""
        found = self._all(sa.select(schema.flags.c.value).where(schema.flags.c.name == name))
        return str(found[0]["value"]) if found else ""

    def command(self, command_id: int) -> CommandRecord | None:
        found = self._all(sa.select(schema.commands).where(schema.commands.c.id == command_id))
        return rows.command_from(found[0]) if found else None

    def pending_commands(self) -> list[CommandRecord]:
        """Oldest first."""
        return [rows.command_from(row) for row in self._all(_PENDING)]

    def alerts(self, limit: int = 50) -> list[Alert]:
        """Newest first."""
        query = sa.select(schema.alerts).order_by(schema.alerts.c.id.desc()).limit(limit)
        return [rows.alert_from(row) for row in self._all(query)]

    def status(self) -> dict[str, object]:
        """What was last put; empty before the first time."""
        found = self._all(sa.select(schema.status.c.body))
        body: dict[str, object] = json.loads(found[0]["body"]) if found else {}
        return body

    def get_meta(self, key: str) -> str | None:
        found = self._all(sa.select(schema.meta.c.value).where(schema.meta.c.key == key))
        return str(found[0]["value"]) if found else None

    # ---- parts ----

    def _all(self, query: sa.Select[Any], values: Mapping[str, object] | None = None) -> Sequence[Mapping[Any, Any]]:
        with self._read() as connection:
            return connection.execute(query, values).mappings().all()

    def _plan_column(self, cycle_id: str, column: sa.Column[bytes]) -> bytes:
        found = self._all(sa.select(column.label("data")).where(schema.plans.c.cycle_id == cycle_id))
        if not found:
            raise KeyError(f"cycle {cycle_id} has no plan in this journal")
        return bytes(found[0]["data"])
