"""Making, migrating, checking and copying the database as a whole."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from decimal import Decimal
from pathlib import Path

import sqlalchemy as sa

from trader.adapters.journal import schema
from trader.adapters.journal.rows import CASH, MOVED, book_changes, execution_from, total
from trader.adapters.journal.store import make_engine, told
from trader.core.types import ZERO
from trader.errors import DatabaseUnusable, TraderError

REVISIONS = ("0001", "0002", "0003")  # every migration, oldest first; the last is schema.HEAD
MIGRATIONS = Path(__file__).parent / "migrations"


def open_engine(url: str, *, create: bool) -> sa.Engine:
    """A database with the newest schema. Raises DatabaseUnusable (74) with what to do, DatabaseAway (75).

    create  make or migrate it where needed, after a look at its integrity; else it must be there and up to date
    """
    engine = make_engine(url)
    file = _sqlite_file(engine)
    if file is not None and not create and not file.exists():
        raise DatabaseUnusable(f"there is no journal at {file}: `trader run` makes one, DATABASE_URL names another")
    try:
        if file is not None and create:
            file.parent.mkdir(parents=True, exist_ok=True)
        with told(engine.url):
            found = _revision(engine)
            if create and found is not None:
                _require_sound(engine)
        if found == schema.HEAD:
            return engine
        if found is not None and found not in REVISIONS:
            raise DatabaseUnusable(
                f"the journal has schema {found}, newer than this program's {schema.HEAD}: "
                "run the newer version, or restore an older backup"
            )
        if not create:
            raise DatabaseUnusable(f"the journal has schema {found or 'none'}: run `trader db upgrade`")
        _migrate(engine)
    except OSError as error:
        engine.dispose()
        raise DatabaseUnusable(f"the journal's folder {file.parent if file else ''}: {error}") from error
    except TraderError:
        engine.dispose()
        raise
    return engine


def upgrade(url: str) -> str:
    """Make or migrate; returns the revision."""
    open_engine(url, create=True).dispose()
    return schema.HEAD


def check(url: str) -> list[str]:
    """What is wrong with it, in words; empty is good. Raises DatabaseUnusable where it can't even be opened."""
    engine = open_engine(url, create=False)
    try:
        with told(engine.url), engine.connect() as connection:
            problems = []
            if engine.dialect.name == "sqlite":
                integrity_lines = connection.exec_driver_sql("PRAGMA integrity_check").scalars().all()
                problems += [f"integrity: {line}" for line in integrity_lines if line != "ok"]
                orphan_rows = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
                problems += [f"foreign key: a row of {row[0]} without its {row[2]}" for row in orphan_rows]
            return problems + _books_problems(connection)
    finally:
        engine.dispose()


def backup(url: str, path: Path) -> None:
    """A consistent copy while others write; appears at `path` complete or not at all."""
    engine = open_engine(url, create=False)
    file = _sqlite_file(engine)
    engine.dispose()
    if file is None:
        raise DatabaseUnusable("only a SQLite journal can be copied like this: use pg_dump for PostgreSQL")
    if not path.name or path.is_dir():
        raise DatabaseUnusable(f"no backup at {str(path)!r}: name a file, in a folder that is there or can be made")
    if path.exists() and path.samefile(file):
        raise DatabaseUnusable(f"{path} is the journal itself: name another file")
    unfinished = path.with_name(path.name + ".unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.unlink(missing_ok=True)
        with contextlib.closing(sqlite3.connect(file)) as source, contextlib.closing(sqlite3.connect(unfinished)) as to:
            source.backup(to)
            to.execute("PRAGMA journal_mode=DELETE").close()
        descriptor = os.open(unfinished, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        unfinished.replace(path)
    except (OSError, sqlite3.Error) as error:
        raise DatabaseUnusable(f"no backup at {path}: {error}") from error


def _migrate(engine: sa.Engine, to: str = "head") -> None:
    from alembic import command  # slow to import, and only needed here
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with told(engine.url), engine.connect() as connection:
        config.attributes["connection"] = connection.execution_options(trader_writer=True)
        command.upgrade(config, to)


def _revision(engine: sa.Engine) -> str | None:
    """None: an empty database. A foreign one is refused."""
    with engine.connect() as connection:
        tables = set(sa.inspect(connection).get_table_names())
        if "alembic_version" in tables:
            found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
            if found is not None:
                return str(found)
        if tables - {"alembic_version"}:
            raise DatabaseUnusable("this database holds something else than a journal: give DATABASE_URL another")
        return None


def _require_sound(engine: sa.Engine) -> None:
    if engine.dialect.name != "sqlite":
        return
    with engine.connect() as connection:
        found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    if found != "ok":
        raise DatabaseUnusable(
            f"the journal at {engine.url.database} is damaged ({found}). Move the file away and restore the last "
            "`trader db backup`; the venue knows the rest"
        )


def _books_problems(connection: sa.Connection) -> list[str]:
    """The running sums against all executions and corrections."""
    fills = connection.execute(sa.select(schema.executions)).mappings()
    changes = [book_changes(execution_from(row)) for row in fills]
    for row in connection.execute(sa.select(schema.corrections)).mappings():
        changes.append({CASH: Decimal(row["cash"])})
        if row["symbol"]:
            changes.append({row["symbol"]: Decimal(row["qty"])})
    sums = total(changes)
    kept = {name: Decimal(amount) for name, amount in connection.execute(sa.select(schema.books)).tuples()}
    kept.pop(MOVED, None)  # begun with a later version: older transfers are not in it
    return [
        f"books: {name} is {kept.get(name, ZERO)}, its executions add up to {sums.get(name, ZERO)}"
        for name in sorted(kept.keys() | sums.keys())
        if kept.get(name, ZERO) != sums.get(name, ZERO)
    ]


def _sqlite_file(engine: sa.Engine) -> Path | None:
    name = engine.url.database
    return Path(name) if engine.dialect.name == "sqlite" and name and name != ":memory:" else None
