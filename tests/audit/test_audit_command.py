"""`trader audit` beside the real daemon, at the simulated exchange, over HTTP."""

from __future__ import annotations

import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from tests.e2e.running import COMMAND, Answer, ask, daemon, environment, exchange, until

FAST = ("--speed", "7200")


def sound(state: Path, venue: dict[str, str]) -> bool:
    return ask(state, "audit", **venue).code == 0


def test_it_agrees_with_a_sound_daemon_and_notices_a_journal_that_was_changed(tmp_path: Path) -> None:
    with exchange(tmp_path, *FAST) as venue:
        with daemon(tmp_path, **venue) as running:
            running.says("books agree")
            assert ask(tmp_path, "audit", **venue).code == 0  # sets its anchor
            until(lambda: '"fill: buy' in running.log.read_text(), "a position", within=60)
            assert ask(tmp_path, "kill", **venue).code == 0  # else the market moves on between two answers
            until(lambda: sound(tmp_path, venue), "an opinion without a finding", within=60)
            assert running.stop() == 0
        with closing(sqlite3.connect(tmp_path / "journal-sim.db")) as db, db:
            db.execute("UPDATE books SET amount = '123.5' WHERE name = 'ETH/USD'")
            db.execute("INSERT OR IGNORE INTO books VALUES ('ETH/USD', '123.5')")
        found: Answer = ask(tmp_path, "audit", **venue)
        assert (found.code, "the journal believes in 123.5 ETHUSD" in found.out) == (1, True), found


def test_a_confirmed_difference_halts_the_running_daemon(tmp_path: Path) -> None:
    """The journal is right; the anchor of the audit is what was changed: as if cash had gone without an activity."""
    with exchange(tmp_path, *FAST) as venue, daemon(tmp_path, **venue) as running:
        running.says("books agree")
        assert ask(tmp_path, "audit", **venue).code == 0
        anchor = tmp_path / "audit-sim.json"
        anchor.write_text(anchor.read_text().replace('"cash": "', '"cash": "9'))
        auditor = subprocess.Popen(
            [*COMMAND, "audit", "--watch"],
            env=environment(tmp_path, AUDIT__EVERY_S="0.5", **venue),
            cwd=tmp_path, text=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            until(lambda: "audit: the venue's activities make a cash" in str(running.status()["flags"]), "a halt", 60)
        finally:
            auditor.terminate()
            assert auditor.wait(30) == 0


def test_without_an_address_it_says_so(tmp_path: Path) -> None:
    done = ask(tmp_path, "audit")
    assert (done.code, "ALPACA_TRADING_URL" in done.err) == (78, True), done
