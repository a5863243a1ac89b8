"""The journal's activities beside the fills: posted fees, and the reasons of corrections. Each is booked once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from settings.redaction import clean
from trader.adapters.journal import rows, schema
from trader.adapters.journal.codec import encode
from trader.adapters.journal.control import Control
from trader.adapters.journal.records import BookedPosting, Correction, FeeChange
from trader.adapters.journal.schema import stamp
from trader.adapters.journal.store import upsert
from trader.core.postings import Posting
from trader.core.types import ZERO, Execution, Symbol


class Postings(Control):
    # ---- reading ----

    def postings(self, since: date) -> list[BookedPosting]:
        """Those of that day and later, oldest first."""
        table = schema.postings
        query = sa.select(table).where(table.c.day >= since.isoformat()).order_by(table.c.day, table.c.activity_id)
        return [rows.booked_from(row) for row in self._all(query)]

    def unclaimed(self, after: datetime) -> list[Correction]:
        """Money that was booked since then without an activity that says why; oldest first."""
        table, told = schema.corrections, sa.select(schema.postings.c.correction_id)
        claimable = table.c.kind.in_(rows.CLAIMABLE)
        query = sa.select(table).where(table.c.at >= stamp(after), claimable).order_by(table.c.id)
        claimed = told.where(schema.postings.c.correction_id.is_not(None))
        return [rows.correction_from(row) for row in self._all(query.where(table.c.id.not_in(claimed)))]

    def fee_changes(self) -> list[FeeChange]:
        """Oldest first."""
        return [rows.fee_change_from(row) for row in self._all(sa.select(schema.fee_changes).order_by("id"))]

    def moved(self) -> Decimal:
        """Money that came in, less what went out, as far as it is booked."""
        found = self._all(sa.select(schema.books.c.amount).where(schema.books.c.name == rows.MOVED))
        return Decimal(found[0]["amount"]) if found else ZERO

    # ---- writing ----

    def correction(
        self,
        kind: str,
        at: datetime,
        *,
        symbol: Symbol | None = None,
        qty: Decimal = ZERO,
        cash: Decimal = ZERO,
        detail: str = "",
        posting: Posting | None = None,
    ) -> None:
        """Moves the believed books by what no execution explains, and keeps why."""
        changes = {rows.CASH: cash} | ({} if symbol is None else {symbol.text: qty})
        changes |= {rows.MOVED: cash} if kind == rows.TRANSFER else {}
        with self._write() as connection:
            number = _put_correction(connection, kind, at, cash, detail, symbol=symbol, qty=qty)
            if posting is not None:
                _put(connection, [_posting_row(posting, correction_id=number)])
            move_books(connection, [changes])

    def claim(self, correction_id: int, reasons: Mapping[str, Sequence[Posting]]) -> None:
        """They are the reasons, by kind, of what was booked without one: it is of the first kind from now on, and what
        is of others is a correction of its own. Nothing is moved by it."""
        table = schema.corrections
        with self._write() as connection:
            query = sa.select(table).where(table.c.id == correction_id)
            before = rows.correction_from(connection.execute(query).mappings().one())
            (kind, first), *others = reasons.items()
            moved = -before.cash if before.kind == rows.TRANSFER else ZERO
            left = before.cash
            for other, postings in others:
                cash = sum((each.cash for each in postings), ZERO)
                number = _put_correction(connection, other, before.at, cash, _told(postings))
                _put(connection, [_posting_row(each, correction_id=number) for each in postings])
                moved, left = moved + (cash if other == rows.TRANSFER else ZERO), left - cash
            values = {"kind": kind, "cash": str(left), "detail": _told(first)}
            connection.execute(sa.update(table).where(table.c.id == correction_id).values(values))
            _put(connection, [_posting_row(each, correction_id=correction_id) for each in first])
            move_books(connection, [{rows.MOVED: moved + (left if kind == rows.TRANSFER else ZERO)}])

    def settle_fees(
        self, fills: Sequence[Execution], joined: Mapping[str, Posting], freed: Collection[str], at: datetime
    ) -> None:
        """`fills` as their fees are from `at` on; `joined`: postings that are the fee of one, by the fill's id;
        `freed`: ids of those that have turned out to be none."""
        table = schema.executions
        with self._write() as connection:
            query = sa.select(table).where(table.c.execution_id.in_([fill.id for fill in fills]))
            before = {row["execution_id"]: rows.execution_from(row) for row in connection.execute(query).mappings()}
            _keep_fees(connection, fills, before, at)
            changes = list[Mapping[str, Decimal]]()
            for fill in fills:
                if fill.id in before:
                    values = {
                        "fee": str(fill.fee), "fee_currency": fill.fee_currency, "fee_estimated": fill.fee_estimated,
                    }  # fmt: skip
                    connection.execute(sa.update(table).where(table.c.execution_id == fill.id).values(values))
                    undone = {name: -change for name, change in rows.book_changes(before[fill.id]).items()}
                    changes += [undone, rows.book_changes(fill)]
            connection.execute(sa.delete(schema.postings).where(schema.postings.c.activity_id.in_(list(freed))))
            _put(connection, [_posting_row(posting, fill=fill) for fill, posting in joined.items()])
            move_books(connection, changes)


def _keep_fees(
    connection: sa.Connection, fills: Sequence[Execution], before: Mapping[str, Execution], at: datetime
) -> None:
    """As they were until now: what was decided then is held against them."""
    kept = [
        {"execution_id": old.id, "fee": str(old.fee), "fee_currency": old.fee_currency, "at": stamp(at)}
        for new in fills
        if (old := before.get(new.id)) is not None and (old.fee, old.fee_currency) != (new.fee, new.fee_currency)
    ]
    if kept:
        connection.execute(sa.insert(schema.fee_changes), kept)


def _put_correction(
    connection: sa.Connection,
    kind: str,
    at: datetime,
    cash: Decimal,
    detail: str,
    *,
    symbol: Symbol | None = None,
    qty: Decimal = ZERO,
) -> int:
    """Its id."""
    table = schema.corrections
    row = {
        "kind": kind, "symbol": None if symbol is None else symbol.text, "qty": str(qty), "cash": str(cash),
        "detail": clean(detail), "at": stamp(at),
    }  # fmt: skip
    number: int = connection.execute(sa.insert(table).returning(table.c.id), row).scalar_one()
    return number


def _told(postings: Sequence[Posting]) -> str:
    return clean("; ".join(each.told for each in postings))


def _posting_row(posting: Posting, *, fill: str = "", correction_id: int | None = None) -> dict[str, Any]:
    return {
        "activity_id": posting.id, "day": posting.day.isoformat(), "fill": fill, "correction_id": correction_id,
        "body": encode(posting).decode(),
    }  # fmt: skip


def _put(connection: sa.Connection, values: list[dict[str, Any]]) -> None:
    if values:
        upsert(connection, schema.postings, values, key="activity_id")


def move_books(connection: sa.Connection, changes: Iterable[Mapping[str, Decimal]]) -> None:
    moved = {name: amount for name, amount in rows.total(changes).items() if amount}
    if not moved:
        return
    table = schema.books
    query = sa.select(table).where(table.c.name.in_(list(moved)))
    before = {name: Decimal(amount) for name, amount in connection.execute(query).tuples()}
    after = rows.total([{name: before.get(name, ZERO) for name in moved}, moved])
    upsert(connection, table, [{"name": name, "amount": str(amount)} for name, amount in after.items()], key="name")
