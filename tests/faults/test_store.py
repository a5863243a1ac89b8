"""The journal's disk and file: no order without a committed record, and an exit code that says what is wrong."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from tests.faults.harness import Scene

Scenes = Callable[..., Scene]


@contextmanager
def small_disk(at: Path) -> Iterator[None]:
    at.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(at)], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("a full disk needs the right to mount one")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)


def test_row_28_a_full_disk_ends_the_daemon_with_74_and_leaves_the_exits_resting(scene: Scenes) -> None:
    one = scene(seed=2, speed="3600")
    with small_disk(one.folder / "disk"):
        one.environment["DATABASE_URL"] = f"sqlite:///{one.folder}/disk/journal.db"
        daemon = one.start()
        one.until(lambda: one.ledger()["holdings"])
        filler = one.folder / "disk" / "filler"
        with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(b"x" * 4096):
                pass
        assert daemon.wait() == 74, daemon.said()
        assert "space" in daemon.said(), daemon.said()
        assert "Traceback" not in daemon.said(), daemon.said()
        entries = len(one.entries())
        assert "space" in one.run(2, expect=74).said()
        assert len(one.entries()) == entries
        filler.unlink()
        one.leave_the_market()
        one.assert_universal()


def test_row_28_a_file_that_may_not_grow_ends_the_daemon_with_74(scene: Scenes) -> None:
    one = scene(seed=2)
    one.run(2)
    size = one.database.stat().st_size
    program = one.trader("run", "--plain", "--cycles", "300", limits={"RLIMIT_FSIZE": size + 40_000})
    assert program.wait() == 74, program.said()[-2000:]
    assert "Traceback" not in program.said()
    one.run(2)
    one.assert_universal()


@pytest.mark.parametrize("damage", ["header", "page"])
def test_row_29_a_damaged_journal_refuses_to_start_with_74(scene: Scenes, damage: str) -> None:
    one = scene(seed=2)
    one.run(2)
    backup = one.trader("db", "backup", str(one.folder / "backup.db"))
    assert backup.wait() == 0, backup.said()
    entries = len(one.entries())
    with open(one.database, "r+b") as file:
        if damage == "header":
            file.write(b"not a database at all" * 10)
        else:
            file.seek(4096)
            file.write(b"\xff" * 4096 * 4)
    refused = one.run(2, expect=74)
    assert len(one.entries()) == entries
    assert "backup" in refused.said() or "db check" in refused.said()
    one.advance(3)  # and the venue goes on
    for name in (one.database, one.database.with_name(one.database.name + "-wal")):
        name.unlink(missing_ok=True)
    one.database.with_name(one.database.name + "-shm").unlink(missing_ok=True)
    (one.folder / "backup.db").rename(one.database)
    one.run(2)
    one.assert_universal()


def test_row_30_with_the_journal_locked_nothing_is_sent(scene: Scenes) -> None:
    one = scene(seed=2, speed="3600")
    one.run(1)
    known = set(one.ours())
    daemon = one.start()
    one.until(lambda: "agree" in daemon.said())
    blocker = sqlite3.connect(one.database, isolation_level=None, timeout=20)
    blocker.execute("BEGIN IMMEDIATE")
    with one.journal() as journal:
        journaled = {record.intent.client_order_id for record in journal.intents()}
        start = one.ledger()["now"]
        one.until(lambda: _hours_since(one, start) > 5.5)
        sent = set(one.ours())
        assert sent <= journaled | known, sent - journaled
    blocker.execute("ROLLBACK")
    blocker.close()
    cycles = _cycle_count(one)
    one.until(lambda: _cycle_count(one) > cycles + 1)
    daemon.send(signal.SIGTERM)
    assert daemon.wait() == 0, daemon.said()
    one.leave_the_market()
    one.assert_universal()


def _cycle_count(one: Scene) -> int:
    with one.journal() as journal:
        return len(journal.cycles(500))


def _hours_since(one: Scene, moment: str) -> float:
    return (datetime.fromisoformat(one.ledger()["now"]) - datetime.fromisoformat(moment)).total_seconds() / 3600


def test_row_31_a_second_daemon_on_the_account_is_refused_with_73(scene: Scenes) -> None:
    one = scene(seed=2, speed="3600")
    first = one.start()
    one.until(lambda: "agree" in first.said())
    orders = len(one.ours())
    second = one.run(2, expect=73)
    assert str(first.pid) in second.said()
    assert len(one.ours()) >= orders
    assert first.poll() is None
    first.send(signal.SIGTERM)
    assert first.wait() == 0
    one.leave_the_market()
    one.assert_universal()
