"""The daemon ends, or seems to: by something fatal, frozen, cut off from its disk. What is held keeps its stop."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.adapters.schemas import tables_of, whole_schemas
from tests.faults.harness import Scene
from tests.faults.paper import buy, is_protected, paper, running
from tests.faults.script import held, more, posts, sells
from tests.faults.universal import LIVE
from tests.waiting import GENEROUS_S, eventually, let_pass

Scenes = Callable[..., Scene]


def left_with_its_stop(one: Scene) -> bool:
    live = [order for order in one.ours().values() if order["status"] in LIVE]
    return bool(live) and {(order["side"], order["type"]) for order in live} == {("sell", "stop_limit")}


def test_row_72_a_journal_that_may_not_grow_while_the_target_rests_leaves_the_stop(scene: Scenes) -> None:
    """What is left at the venue was placed without the journal, and the next start takes it up."""
    one = scene(seed=2, EXIT_RESTS="target")
    held(one)
    size = one.database.stat().st_size
    program = one.trader("run", "--plain", "--cycles", "300", limits={"RLIMIT_FSIZE": size + 40_000})
    one.until(lambda: program.poll() is not None or "no entries: the journal" in program.said())
    if program.poll() is None:
        program.send(signal.SIGTERM)
    assert program.wait() in (0, 74), program.said()[-2000:]
    assert left_with_its_stop(one) or not one.ledger()["holdings"]
    one.run(2)
    one.assert_universal()


def test_row_72_a_halt_while_the_target_rests_leaves_the_stop(scene: Scenes) -> None:
    one = scene(seed=2, EXIT_RESTS="target")
    held(one)
    with one.journal() as journal:
        journal.set_flag("halted", "a person must look", datetime.now(UTC))
    one.run(1, expect=70)
    assert left_with_its_stop(one)
    one.assert_universal(halted=True)


@pytest.mark.slow  # sooner: row 43 in test_partly_there.py
def test_row_72_keys_that_are_refused_end_with_the_stop_at_rest(scene: Scenes) -> None:
    """Nothing can be sent any more: what rested goes on resting."""
    one = scene(seed=2, speed="3600", EXIT_RESTS="stop", KEYS_CONFIRM_S="2")
    daemon = one.start()
    one.until(lambda: left_with_its_stop(one))
    one.faults({"on": {"path": "^/v2/"}, "do": {"status": 401}})
    assert daemon.wait() == 77, daemon.said()
    assert left_with_its_stop(one) or not one.ledger()["holdings"]
    one.faults()
    one.leave_the_market()
    one.assert_universal()


# ---- the machine ----


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[socket.socket]:
    """What a service manager hears."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(GENEROUS_S)
        yield listening


def beats(heard: socket.socket) -> bool:
    heard.settimeout(0.01)
    try:
        return b"WATCHDOG=1" in heard.recv(4096)
    except TimeoutError:
        return False


def test_row_84_a_frozen_process_sends_no_heartbeat_and_status_says_since_when(
    scene: Scenes, heard: socket.socket, shifted_clock: Path
) -> None:
    watched = {"NOTIFY_SOCKET": heard.getsockname(), "WATCHDOG_USEC": "1000000"}
    one = paper(scene, **watched)
    with running(one, None) as daemon:
        buy(one)
        one.until(lambda: is_protected(one))
        eventually(lambda: beats(heard), "a heartbeat")
        assert "silent_since" not in one.status()
        daemon.send(signal.SIGSTOP)
        let_pass(0.5)
        while beats(heard):
            pass  # those of before
        let_pass(1.5)
        assert not beats(heard)
        (one.folder / "shift").write_text("300")  # five minutes later
        frozen = one.status(LD_PRELOAD=str(shifted_clock), CLOCK_SHIFT=str(one.folder / "shift"))
        assert frozen["running"]
        assert frozen["silent_since"] == frozen["market_time"]
        assert is_protected(one)
        daemon.send(signal.SIGCONT)
        eventually(lambda: beats(heard), "the heartbeat again")
    one.assert_universal(external=True)


def test_row_84_of_a_process_that_was_killed_status_says_so(scene: Scenes) -> None:
    one = scene(seed=2, speed="3600")
    daemon = one.start()
    one.until(lambda: one.ledger()["holdings"] and sells(one))
    daemon.kill()
    found = one.status()
    assert (found["running"], found["phase"]) == (False, "ended without stopping")
    one.leave_the_market()
    one.assert_universal()


def test_row_03_a_kill_while_the_journal_is_made_leaves_the_schema_of_one_version_or_none(
    scene: Scenes, tmp_path: Path
) -> None:
    one, whole = scene(seed=2), whole_schemas(tmp_path)
    for number in range(5):
        program = one.trader("db", "upgrade")
        let_pass(0.03 * number)  # wherever it is by then
        program.kill()
        if one.database.exists():
            assert tables_of(one.database) in whole
        one.database.unlink(missing_ok=True)
    program = one.trader("db", "upgrade")
    let_pass(0.05)
    program.kill()
    one.run(2)
    one.assert_universal()


@pytest.mark.parametrize("failpoint", ["after_post:1", more("after_post:2"), more("after_accepted:2"), "after_exit"])
def test_row_04_a_power_loss_forgets_no_order_that_was_sent(scene: Scenes, synced: Path, failpoint: str) -> None:
    """What was not synced is cut off the journal's log, as a machine that loses its power does."""
    one = scene(seed=2)
    one.run(4, failpoint, expect=-signal.SIGKILL, LD_PRELOAD=str(synced), SYNCED_FOLDER=str(one.folder))
    log = one.database.with_name(one.database.name + "-wal")
    kept = int((one.folder / f"{log.name}.synced").read_text())
    assert 0 < kept <= log.stat().st_size
    with open(log, "r+b") as file:
        file.truncate(kept)
    one.database.with_name(one.database.name + "-shm").unlink(missing_ok=True)  # it is memory, and gone
    with one.journal() as journal:
        known = {record.intent.client_order_id for record in journal.intents()}
    assert one.ours().keys() <= known
    assert one.ours()
    one.run(2)
    one.assert_universal()


@pytest.mark.slow  # sooner: row 85 in test_alarms.py
def test_row_85_through_an_outage_what_rests_goes_on_and_the_books_are_right(scene: Scenes) -> None:
    one = scene(seed=2, speed="3600")
    daemon = one.start()
    one.until(lambda: one.ledger()["holdings"] and sells(one))
    one.faults({"on": {"path": "^/v2/"}, "do": {"status": 503}, "name": "away"})
    one.until(lambda: one.fired()[0] > 20)
    one.faults(posts({"status": 500, "after": True}, nth=1))
    daemon.send(signal.SIGTERM)
    assert daemon.wait() == 0, daemon.said()
    one.faults()
    one.leave_the_market()
    one.assert_universal()
