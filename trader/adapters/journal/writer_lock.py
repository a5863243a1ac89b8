"""One daemon for a journal, wherever it runs: the lock that holds over two hosts, two users and two state folders.

PostgreSQL: an advisory lock of a session of its own, which the server frees when that session ends. SQLite: a file
lock beside the database.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from trader.adapters.journal.store import make_engine, told
from trader.errors import AccountLocked

_HELD = "another daemon writes into this journal ({where}): stop that one first, or use the commands, which talk to it"


@contextmanager
def sole_writer(url: str, account_id: str) -> Iterator[Callable[[], None]]:
    """Hold the journal for the block. Raises AccountLocked (73), DatabaseAway, DatabaseUnusable.

    Yields a check to be called now and then: it takes the lock again where the server has lost it, as after a restart,
    and raises AccountLocked where another daemon has it by then, DatabaseAway while the server is away.
    """
    engine = make_engine(url)
    if engine.dialect.name == "sqlite":
        with _beside(engine.url.database or "", engine.url):
            yield lambda: None
        return
    session = _Session(engine, account_id)
    try:
        session.keep()
        yield session.keep
    finally:
        session.close()


@contextmanager
def _beside(database: str, url: sa.URL) -> Iterator[None]:
    if database in ("", ":memory:"):
        yield
        return
    with told(url):
        descriptor = os.open(f"{database}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AccountLocked(_HELD.format(where=f"{database}.lock")) from error
        yield
    finally:
        os.close(descriptor)


class _Session:
    """A connection that does nothing but hold the lock."""

    def __init__(self, engine: sa.Engine, account_id: str) -> None:
        self._engine = engine
        digest = hashlib.sha256(f"trader account {account_id}".encode()).digest()
        self._key = int.from_bytes(digest[:8], "big", signed=True)
        self._connection: sa.Connection | None = None

    def keep(self) -> None:
        """Take it, or see that it is still ours."""
        with told(self._engine.url):
            if self._connection is not None:
                try:
                    self._connection.execute(sa.text("SELECT 1"))
                    return
                except DBAPIError:
                    self._let_go()  # with the session the server has freed the lock
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            got = connection.execute(sa.text("SELECT pg_try_advisory_lock(:key)"), {"key": self._key}).scalar_one()
            if not got:
                connection.close()
                raise AccountLocked(_HELD.format(where=f"{self._engine.url.database} on {self._engine.url.host}"))
            self._connection = connection

    def close(self) -> None:
        self._let_go()
        self._engine.dispose()

    def _let_go(self) -> None:
        """Ends the session, and the lock with it: closing alone would keep both in the pool."""
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None
