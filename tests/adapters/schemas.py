"""Which tables a journal has, and which it may have where its making was cut off."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from trader.adapters.journal.store import make_engine
from trader.adapters.journal.upgrade import REVISIONS, _migrate


def tables_of(file: Path) -> frozenset[str]:
    """Ours."""
    with closing(sqlite3.connect(file)) as connection:
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return frozenset(names - {"alembic_version", "sqlite_sequence"})


def whole_schemas(scratch: Path) -> set[frozenset[str]]:
    """Those of each version, and none at all."""
    found = {frozenset[str]()}
    for revision in REVISIONS:
        file = scratch / f"{revision}.db"
        engine = make_engine(f"sqlite:///{file}")
        _migrate(engine, revision)
        engine.dispose()
        found.add(tables_of(file))
    return found
