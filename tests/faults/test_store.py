"""The journal's disk and file: no order without a committed record, and an exit code that says what is wrong."""

from __future__ import annotations

import signal
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from tests.adapters.databases import postgres_or_skip
from tests.adapters.disks import fill, small_disk
from tests.faults.harness import Program, Scene
from tests.faults.script import flat, locked_journal

ETHER_ONLY = str(Path(__file__).with_name("ether_only.py"))
Scenes = Callable[..., Scene]


def holding(scene: Scenes, **environment: str) -> Scene:
    """To be traded is ether; what is held of bitcoin has a stop that the market does not reach."""
    settings = {"EXITS__FALLBACK_STOP_BPS": "3000", "STRATEGY": ETHER_ONLY, **environment}
    return scene(seed=2, speed="3600", symbols="BTC/USD,ETH/USD", **settings)


def held_by(one: Scene) -> Program:
    """A daemon, and beside it a person who buys."""
    daemon = one.start()
    one.until(lambda: "agree" in daemon.said())
    assert one.order(qty="0.05").status_code == 200
    one.until(lambda: stops_of_it(one))
    return daemon


def stops_of_it(one: Scene) -> list[str]:
    return [each["id"] for each in one.resting_exits() if each["symbol"] == "BTC/USD"]


def another_exit(one: Scene) -> None:
    """A person cancels what rests: another one has to be placed."""
    one.until(lambda: stops_of_it(one))
    before = stops_of_it(one)
    for each in before:
        one.cancel_by_hand({"id": each})
    one.until(lambda: set(stops_of_it(one)) - set(before))


def test_row_28_a_disk_that_is_full_at_the_start_is_74_and_one_that_fills_up_later_costs_entries(scene: Scenes) -> None:
    one = holding(scene)
    with small_disk(one.folder / "disk", 4) as disk:
        one.environment["DATABASE_URL"] = f"sqlite:///{disk}/journal.db"
        daemon = held_by(one)
        filler = fill(disk)
        one.until(lambda: "no entries: the journal" in daemon.said())
        entries = len(one.entries())
        another_exit(one)
        daemon.end()
        assert len(one.entries()) == entries
        assert "space" in one.run(2, expect=74).said()
        assert len(one.entries()) == entries
        filler.unlink()
        one.leave_the_market()
        one.assert_universal(external=True)


def test_row_28_a_file_that_may_not_grow_costs_entries_and_the_stop_is_left(scene: Scenes) -> None:
    one = scene(seed=2)
    one.run(2)
    entries = len(one.entries())
    size = one.database.stat().st_size
    program = one.trader("run", "--plain", "--cycles", "300", limits={"RLIMIT_FSIZE": size + 40_000}, RESERVE_MB="0")
    one.until(lambda: "no entries: the journal" in program.said() or program.poll() is not None)
    program.end()
    assert len(one.entries()) < entries + 20
    one.run(2)
    one.assert_universal(external=True)


def test_row_73_on_a_full_disk_entries_halt_and_exits_go_on_until_there_is_room_again(scene: Scenes) -> None:
    one = holding(scene)
    with small_disk(one.folder / "disk", 24) as disk:
        one.environment |= {"STATE_DIR": str(disk), "DATABASE_URL": f"sqlite:///{disk}/journal.db", "RESERVE_MB": "4"}
        daemon = held_by(one)
        filler = fill(disk)
        one.until(lambda: "exits go on, recorded in the reserve" in daemon.said())
        entries = len(one.entries())
        another_exit(one)  # by the room that was given back
        fill(disk)  # somebody eats that up, too
        another_exit(one)
        assert len(one.entries()) == entries
        check = one.trader("check")
        check.wait()
        assert "BAD  reserve: 4 MiB are kept back, once" in check.said(), check.said()
        filler.unlink()
        one.until(lambda: "journal: over: the" in daemon.said())
        one.until(lambda: len(one.entries()) > entries)
        daemon.end()
        one.leave_the_market()
        one.assert_universal(external=True)


def test_row_74_with_a_journal_that_can_only_be_read_exits_go_on(scene: Scenes) -> None:
    one = holding(scene)
    daemon = held_by(one)
    with locked_journal(one):
        one.until(lambda: "exits go on, recorded in the reserve" in daemon.said())
        entries = len(one.entries())
        another_exit(one)
        assert len(one.entries()) == entries
    one.until(lambda: "journal: over: the" in daemon.said())
    daemon.end()
    one.leave_the_market()
    one.assert_universal(external=True)


def test_row_74_what_a_person_does_while_the_journal_can_only_be_read_is_seen_and_written_down(scene: Scenes) -> None:
    one = holding(scene)
    daemon = held_by(one)
    with locked_journal(one):
        one.until(lambda: "exits go on, recorded in the reserve" in daemon.said())
        for each in stops_of_it(one):
            one.cancel_by_hand({"id": each})
        assert one.order(qty="0.03").status_code == 200
        one.until(lambda: sum(float(o["qty"]) for o in one.resting_exits() if o["symbol"] == "BTC/USD") > 0.079)
        one.trader("kill", "--reason", "enough", "--no-wait").wait()
        one.until(lambda: flat(one))
    one.until(lambda: one.flag("killed").startswith("enough"))
    daemon.end()
    one.assert_universal(external=True)


@pytest.mark.parametrize("ends", ["by itself", "killed while the server is away"])
def test_row_74_with_the_database_server_away_exits_go_on_and_are_in_the_journal_once(scene: Scenes, ends: str) -> None:
    with postgres_or_skip() as server:
        one = holding(scene, DATABASE_URL=server.url)
        daemon = held_by(one)
        server.stop()
        one.until(lambda: "exits go on, recorded in the reserve" in daemon.said())
        entries, start = len(one.entries()), one.ledger()["now"]
        another_exit(one)
        one.until(lambda: _hours_since(one, start) > 1)
        assert len(one.entries()) == entries
        if ends == "by itself":
            server.start()
            one.until(lambda: "journal: over: the" in daemon.said())
            one.until(lambda: len(one.entries()) > entries)
            daemon.send(signal.SIGTERM)
            assert daemon.wait() == 0, daemon.said()
        else:
            daemon.kill()
            server.start()
        assert "Traceback" not in daemon.said(), daemon.said()
        one.leave_the_market()
        one.assert_universal(external=True)


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
    with locked_journal(one), one.journal() as journal:
        journaled = {record.intent.client_order_id for record in journal.intents()}
        start = one.ledger()["now"]
        one.until(lambda: _hours_since(one, start) > 5.5)
        sent = set(one.ours())
        assert sent <= journaled | known, sent - journaled
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
