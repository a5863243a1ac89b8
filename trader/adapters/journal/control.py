"""The journal's small writes: flags, commands, alerts, status, levels. Each is one transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime

import sqlalchemy as sa

from settings.redaction import clean
from trader.adapters.journal import schema
from trader.adapters.journal.codec import encode, to_plain
from trader.adapters.journal.read import Reader
from trader.adapters.journal.schema import stamp
from trader.adapters.journal.store import upsert
from trader.core.decision import Levels
from trader.core.types import Symbol


class Control(Reader):
    def set_flag(self, name: str, value: str, at: datetime) -> None:
        """Latched: it stands until it is set to the empty text, whatever happens to the process."""
        with self._write() as connection:
            upsert(connection, schema.flags, [{"name": name, "value": value, "at": stamp(at)}], key="name")

    def enqueue(self, kind: str, args: Mapping[str, str], at: datetime) -> int:
        """A command for the daemon to execute; returns its id."""
        row = {"kind": kind, "args": json.dumps(dict(args), sort_keys=True), "at": stamp(at), "message": ""}
        with self._write() as connection:
            return int(connection.execute(sa.insert(schema.commands).returning(schema.commands.c.id), row).scalar_one())

    def finish_command(self, command_id: int, at: datetime, ok: bool, message: str) -> None:
        table = schema.commands
        change = sa.update(table).where(table.c.id == command_id).values(done_at=stamp(at), ok=ok, message=message)
        with self._write() as connection:
            connection.execute(change)

    def alert(self, kind: str, severity: str, detail: str, at: datetime) -> None:
        row = {"kind": kind, "severity": severity, "detail": clean(detail), "at": stamp(at)}
        with self._write() as connection:
            connection.execute(sa.insert(schema.alerts), row)

    def put_status(self, status: Mapping[str, object], at: datetime) -> None:
        """Replaces the last one. Values may be of any kind that the codec writes."""
        body = clean(json.dumps(to_plain(dict(status)), sort_keys=True))
        with self._write(durable=False) as connection:
            upsert(connection, schema.status, [{"id": 1, "body": body, "at": stamp(at)}], key="id")

    def set_meta(self, key: str, value: str) -> None:
        with self._write(durable=False) as connection:
            upsert(connection, schema.meta, [{"key": key, "value": value}], key="key")

    def save_levels(self, levels: Iterable[Levels]) -> None:
        with self._write() as connection:
            put_levels(connection, levels)

    def drop_levels(self, symbol: Symbol) -> None:
        with self._write(durable=False) as connection:
            connection.execute(sa.delete(schema.levels).where(schema.levels.c.symbol == symbol.text))


def put_levels(connection: sa.Connection, levels: Iterable[Levels]) -> None:
    new_rows = [{"symbol": new.symbol.text, "body": encode(new).decode()} for new in levels]
    upsert(connection, schema.levels, new_rows, key="symbol")
