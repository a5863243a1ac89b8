"""The database under the journal: opening, one writer at a time, and errors in our own words.

SQLite runs with WAL and synchronous=FULL: a commit that returned survives a power loss. What the venue or the next
start would tell again is committed without waiting for the disk: it survives the process, and a power loss takes at
most the newest of it, for the next durable commit carries all before it. One connection writes, under a lock; readers
take their own and see the last commit.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from settings.extras import to_install
from trader.errors import DatabaseAway, DatabaseUnusable, DatabaseUnwritable, TraderError

BUSY_MS = 5_000  # how long a commit waits for another process's
BUSY_AGAIN_MS = 250  # and the next one, where that was in vain: exits go on without the journal, and come after it
_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    f"PRAGMA busy_timeout={BUSY_MS}",
)
_PATIENCE = {"connect_timeout": 5, "tcp_user_timeout": 10_000}  # PostgreSQL: exits wait for a server that is silent
_WRITER = {"trader_writer": True}
_FULL = ("disk is full", "no space left", "diskfull", "could not extend file")
_LOCKED = ("database is locked", "database table is locked", "lock timeout", "deadlock", "could not serialize")
_UNWRITABLE = ("disk i/o error", "readonly database", "read-only transaction", "unable to open database file")
_LOST = (
    "server closed the connection", "connection refused", "terminating connection", "connection timeout", "timed out",
    "timeout expired", "connection is lost", "connection reset", "connection is closed", "connection has been closed",
    "eof detected", "no route to host", "network is unreachable", "failed to resolve host", "could not translate host",
    "the database system is", "too many clients", "too many connections", "remaining connection slots",
)  # fmt: skip

Row = Mapping[str, Any]


class DiskFull(DatabaseUnwritable):
    """What was committed stays."""


class Store:
    """An open database. Thread-safe; `close` when done."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._lock = threading.RLock()
        self._durable = True  # how the writer commits now
        self._patience_ms = BUSY_MS
        with told(engine.url):
            self._writer = engine.connect().execution_options(**_WRITER)

    def close(self) -> None:
        with self._lock:
            self._writer.close()
            self._engine.dispose()

    @contextmanager
    def _write(self, *, durable: bool = True) -> Iterator[sa.Connection]:
        """One transaction: committed when the block ends, undone when it raises.

        durable   on the disk when it returns; else at the latest with the next one that is

        Raises DatabaseAway where it stayed locked or can't be reached, or takes nothing, DatabaseUnusable (74).
        """
        with self._lock, told(self._engine.url):
            self._sync(durable)
            try:
                transaction = self._writer.begin()
            except DBAPIError:
                self._wait_for(BUSY_AGAIN_MS)
                raise
            self._wait_for(BUSY_MS)
            with transaction:
                yield self._writer

    def _wait_for(self, patience_ms: int) -> None:
        """SQLite only: how long the next transaction waits for another process's."""
        if patience_ms == self._patience_ms or self._engine.dialect.name != "sqlite":
            return
        driver = self._writer.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        driver.execute(f"PRAGMA busy_timeout={patience_ms}").close()
        self._patience_ms = patience_ms

    def _sync(self, durable: bool) -> None:
        """SQLite only: elsewhere every commit waits for the disk."""
        driver = self._writer.connection.driver_connection
        if durable is self._durable or not isinstance(driver, sqlite3.Connection):
            return
        driver.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}").close()
        self._durable = durable

    @contextmanager
    def _read(self) -> Iterator[sa.Connection]:
        """A snapshot of the last commit."""
        with told(self._engine.url), self._engine.connect() as connection:
            yield connection


def make_engine(url: str) -> sa.Engine:
    """Raises DatabaseUnusable on a URL that means nothing, or whose driver is not installed."""
    try:
        parsed = sa.make_url(url)
        if parsed.drivername in ("postgresql", "postgres"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        options: dict[str, Any] = {}
        if parsed.get_backend_name() == "postgresql":
            options = {"pool_pre_ping": True, "connect_args": _PATIENCE}
        engine = sa.create_engine(parsed, **options)
    except (ArgumentError, NoSuchModuleError) as error:
        raise DatabaseUnusable(
            "DATABASE_URL is not understood: write sqlite:///path/to/journal.db or postgresql://user@host/name"
        ) from error
    except ModuleNotFoundError as error:
        how = f"; right: {to_install('postgres')}" if error.name == "psycopg" else ""
        raise DatabaseUnusable(f"DATABASE_URL needs a driver that is not installed ({error.name}){how}") from error
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


@contextmanager
def told(url: sa.URL) -> Iterator[None]:
    """The driver's errors as ours. A broken constraint is a bug and passes as it is."""
    try:
        yield
    except sa.exc.IntegrityError:
        raise
    except DBAPIError as error:
        raise _translated(url, error.orig) from error
    except sqlite3.Error as error:
        raise _translated(url, error) from error
    except OSError as error:
        raise DatabaseUnusable(f"the journal at {_where(url)}: {error}") from error


def upsert(connection: sa.Connection, table: sa.Table, rows: Sequence[Row], *, key: str) -> None:
    """Insert, or replace all other columns of the row with that key."""
    if rows:
        connection.execute(_upsert_text(table.name, tuple(rows[0]), key), list(rows))


@cache
def _upsert_text(table: str, names: tuple[str, ...], key: str) -> sa.TextClause:
    """Both databases read this; built from the library's own parts it would be compiled again each time."""
    values = ", ".join(f":{name}" for name in names)
    others = ", ".join(f"{name} = excluded.{name}" for name in names if name != key)
    return sa.text(
        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({values}) ON CONFLICT ({key}) DO UPDATE SET {others}"
    )


def _translated(url: sa.URL, error: BaseException | None) -> TraderError:
    told_by_driver = str(error).strip().partition("\n")[0]
    lower = told_by_driver.lower()
    what = f"the journal at {_where(url)}: {told_by_driver}"
    if any(sign in lower for sign in _FULL):
        return DiskFull(f"{what}. Free some space on that disk")
    if any(sign in lower for sign in _LOCKED):
        return DatabaseAway(f"{what} (another process writes, and has not ended in {BUSY_MS / 1000:g} s). Try again")
    if any(sign in lower for sign in _LOST):
        return DatabaseAway(f"{what}. Is its server there? Try again when it is")
    if "malformed" in lower or "not a database" in lower or "corrupt" in lower:
        return DatabaseUnusable(
            f"{what}. Move the file away and restore the last `trader db backup`; the venue knows the rest"
        )
    if any(sign in lower for sign in _UNWRITABLE):
        return DatabaseUnwritable(f"{what}. Is that disk full or read-only, or the file another user's?")
    return DatabaseUnusable(f"{what}. See `trader db check`")


def _where(url: sa.URL) -> str:
    return url.database or "memory" if url.get_backend_name() == "sqlite" else url.render_as_string(hide_password=True)


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver must not begin or commit on its own
    for pragma in _PRAGMAS:
        connection.execute(pragma).close()


def _begin_sqlite(connection: sa.Connection) -> None:
    """A writer takes its lock at once: a read that turns into a write can't wait for one."""
    writes = connection.get_execution_options().get("trader_writer")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
