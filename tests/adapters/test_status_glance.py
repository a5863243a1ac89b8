"""The shortcut of `trader status` says what the journal says, or nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from tests.adapters.samples import NOW
from trader.adapters.glance import REVISION, glance
from trader.adapters.journal import HEAD, Journal

FLAGS = ("paused", "halted")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/a journal, 50% full.db"


def test_the_schema_that_is_read_is_the_journal_s() -> None:
    assert REVISION == HEAD


def test_it_says_what_the_journal_says_while_the_daemon_writes(url: str) -> None:
    with Journal.open(url) as journal:
        for number in range(7):
            journal.begin_cycle(f"c{number}", "trade", NOW)
            if number < 6:
                journal.close_cycle(f"c{number}", NOW, "1 entries", "a note")
            journal.alert("venue", "warning", f"alert {number}", NOW + timedelta(seconds=number))
        journal.set_flag("paused", "by hand", NOW)
        journal.put_status({"phase": "running", "at": NOW}, NOW)
        seen = glance(url, FLAGS)
        assert seen is not None
        assert seen.status == journal.status()
        assert seen.flags == {"paused": "by hand", "halted": ""}
        assert seen.cycles == [(c.cycle_id, c.outcome, c.note) for c in journal.cycles(5)]
        assert seen.cycles[0] == ("c6", "", "")
        told = [(alert.at.isoformat(), alert.severity, alert.detail) for alert in journal.alerts(5)]
        assert seen.alerts == told


def test_an_empty_journal_is_no_trouble(url: str) -> None:
    Journal.open(url).close()
    seen = glance(url, FLAGS)
    assert seen is not None
    assert (seen.status, seen.cycles, seen.alerts) == ({}, [], [])


def test_what_it_can_not_judge_is_left_to_the_journal(url: str, tmp_path: Path) -> None:
    assert glance("postgresql://trader@host/journal", FLAGS) is None
    assert glance(f"sqlite:///{tmp_path}/absent.db", FLAGS) is None
    junk = tmp_path / "junk.db"
    junk.write_bytes(b"not a database" * 100)
    assert glance(f"sqlite:///{junk}", FLAGS) is None
    Journal.open(url).close()
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    assert glance(url, FLAGS) is None
