"""One daemon for an account."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from trader.adapters.lock import AccountLock
from trader.errors import AccountLocked

HOLDER = """
import sys, time
from pathlib import Path
from trader.adapters.lock import AccountLock
AccountLock(Path(sys.argv[1]), "paper 1").acquire()
print("held", flush=True)
time.sleep(60)
"""


def test_guard_17_a_second_daemon_is_refused_and_told_who_holds_the_account(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(AccountLocked, match=f"process {holder.pid} ") as refused:
        AccountLock(tmp_path, "paper 1").acquire()
    assert refused.value.exit_code == 73
    with AccountLock(tmp_path, "another"):
        pass
    holder.kill()
    holder.wait(10)
    holder.stdout.close()
    with AccountLock(tmp_path, "paper 1") as lock:  # the kernel let go of it
        assert lock.path.read_text() == f"{os.getpid()}\n"


def test_a_lock_in_the_same_process_excludes_too_and_can_be_taken_again(tmp_path: Path) -> None:
    first, second = AccountLock(tmp_path, "a"), AccountLock(tmp_path, "a")
    first.acquire()
    first.acquire()
    with pytest.raises(AccountLocked):
        second.acquire()
    first.release()
    first.release()
    second.acquire()
    second.release()


def test_a_look_makes_nothing_and_leaves_the_holders_number(tmp_path: Path) -> None:
    """`trader status` took the lock for a moment: it wrote its own number into it, and needed to write there."""
    lock = AccountLock(tmp_path / "locks", "a")
    assert not lock.held()
    assert list(tmp_path.iterdir()) == []
    with AccountLock(tmp_path / "locks", "a"):
        assert lock.held()
        lock.path.write_text("4711\n")
        assert lock.held()
    assert not lock.held()
    assert lock.path.read_text() == "4711\n"
