"""One writer for an account: over state folders, users and hosts."""

from __future__ import annotations

import subprocess
import sys
import uuid
from pathlib import Path

import pytest
import sqlalchemy as sa

from trader.adapters.journal import Journal
from trader.adapters.journal.writer_lock import sole_writer
from trader.adapters.machine_lock import MachineLock
from trader.errors import AccountLocked

HOLDER = """
import sys, time
from trader.adapters.machine_lock import MachineLock
lock = MachineLock("https://venue", sys.argv[1])
lock.acquire()
print("held", flush=True)
time.sleep(60)
"""


def test_an_account_has_one_daemon_on_a_machine_whatever_the_folders(tmp_path: Path) -> None:
    account = uuid.uuid4().hex  # other runs of this test share the machine
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, account], stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    lock = MachineLock("https://venue", account)
    assert lock.holder() == holder.pid
    with pytest.raises(AccountLocked, match=f"process {holder.pid} on this machine") as refused:
        lock.acquire()
    assert refused.value.exit_code == 73
    with MachineLock("https://another-venue", account):
        pass
    holder.kill()
    holder.wait(10)
    holder.stdout.close()
    assert lock.holder() is None
    with lock:  # the kernel let go of it
        assert lock.holder() is not None


def test_a_journal_has_one_writer(url: str) -> None:
    Journal.open(url).close()
    with sole_writer(url, "a") as keep:
        keep()
        with pytest.raises(AccountLocked, match="another daemon writes into this journal"), sole_writer(url, "a"):
            pass
        keep()
    with sole_writer(url, "a"):
        pass


def test_a_lock_that_the_server_has_lost_is_taken_again_or_refused(postgres: str) -> None:
    account = uuid.uuid4().hex
    with sole_writer(postgres, account) as keep:
        _end_other_sessions(postgres)
        keep()
        with pytest.raises(AccountLocked), sole_writer(postgres, account):
            pass
        _end_other_sessions(postgres)
        with sole_writer(postgres, account), pytest.raises(AccountLocked):
            keep()


def _end_other_sessions(url: str) -> None:
    """As a restart of the server does."""
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid()"
        )
    engine.dispose()
