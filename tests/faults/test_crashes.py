"""kill -9 at every boundary, again and again; restarts, suspension, SIGTERM: disk and venue together are enough."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

import trader
from tests.faults.harness import Scene
from tests.faults.script import resume
from tests.faults.universal import LIVE
from trader.core.types import Symbol

Scenes = Callable[..., Scene]

# Each kills one daemon after the other; every next one finds what the last left. In the order of a cycle's life.
GROUPS = {
    "start": ["after_corrections", "before_book", "after_book", "after_settle", "after_begin"],
    "plan": ["before_plan", "after_plan", "before_post", "after_post", "after_accepted", "before_last_sync"],
    "exits": ["after_exit_intent:1", "before_post:2", "after_post:2", "after_exit", "before_cancel", "after_cancel"],
    "later": [
        "amid_book",
        "before_close:2",
        "after_book:6",
        "after_cancel:3",
        "after_exit_intent:3",
        "after_post:5",
        "amid_leaving",
    ],
}
# reached in a test of their own
ELSEWHERE = {"while_bare", "amid_command", "amid_corrections", "amid_taking_in", "before_clearing", "after_clearing"}


@pytest.mark.parametrize("group", GROUPS)
def test_row_01_a_kill_at_every_boundary_leaves_the_universal_pass(scene: Scenes, group: str) -> None:
    one = scene(seed=2)
    for failpoint in GROUPS[group]:
        one.run(6, failpoint, expect=-signal.SIGKILL)
    one.run(2)
    one.assert_universal()
    assert one.ledger()["executions"]


def test_row_01_every_failpoint_of_the_source_is_met_by_a_test() -> None:
    source = "".join(path.read_text() for path in Path(trader.__file__).parent.rglob("*.py"))
    named = set(re.findall(r'failpoints\.reach\("(\w+)"\)', source))
    tested = {text.partition(":")[0] for group in GROUPS.values() for text in group}
    assert named == tested | ELSEWHERE


def test_row_01_a_kill_while_an_exit_makes_room_for_an_entry_is_made_good_by_the_next_start(scene: Scenes) -> None:
    one = scene(seed=2)
    wanting = {"STRATEGY": str(Path(__file__).with_name("rebalancing.py"))}
    for failpoint in ("while_bare", "after_post:3", "after_exit:4", "while_bare", "after_accepted:2"):
        one.run(12, failpoint, expect=-signal.SIGKILL, **wanting)
    one.run(4, **wanting)
    one.assert_universal()
    purposes = {name.split("-")[-2] for name in one.ledger()["orders"]}
    assert {"entry", "signal", "stop"} <= purposes


@pytest.mark.slow
@pytest.mark.parametrize("number", range(1, 9))
def test_sweep_of_every_failpoint(scene: Scenes, number: int) -> None:
    names = sorted({text.partition(":")[0] for group in GROUPS.values() for text in group})
    for seed in range(2, 12):
        for failpoint in names:
            one = scene(seed=seed, symbols="BTC/USD,ETH/USD")
            one.run(8, f"{failpoint}:{number}", expect=None)
            one.run(2)
            one.assert_universal()
            one.close()


def test_row_01_an_unexplained_difference_halts_also_where_the_daemon_dies_while_booking_it(scene: Scenes) -> None:
    one = scene(seed=2)
    one.run(2)
    with one.journal() as journal:
        # units of which the venue knows nothing, as a lost database write would leave them
        journal.correction("test", datetime.now(UTC), symbol=Symbol("BTC/USD"), qty=Decimal("0.05"))
    one.run(3, expect=70)
    assert "no execution explains it" in one.flag("halted")
    resume(one)  # a person has looked, and takes the venue's word for it
    one.run(3, "amid_corrections", expect=-signal.SIGKILL)
    one.run(2)
    with one.journal() as journal:
        assert journal.believed().positions.get(Symbol("BTC/USD"), Decimal(0)) == Decimal(
            one.ledger()["holdings"].get("BTC/USD", "0")
        )


def test_row_02_a_kill_during_reconciliation_again_and_again_books_each_fill_once(scene: Scenes) -> None:
    one = scene(seed=2)
    one.run(4, "after_post:2", expect=-signal.SIGKILL)  # a position, its exit sent and not acknowledged
    one.advance(3)  # and things go on at the venue meanwhile
    for failpoint in ("before_book", "after_book", "before_book", "after_book", "after_settle"):
        one.run(1, failpoint, expect=-signal.SIGKILL)
    one.run(2)
    one.assert_universal()


def test_row_26_a_restart_in_the_same_bar_does_not_trade_it_again(scene: Scenes) -> None:
    one = scene(seed=2)
    one.run(2, "before_close:2", expect=-signal.SIGKILL)
    before = {name: order["submitted_at"] for name, order in one.ours().items() if "-entry-" in name}
    one.run(1, "before_plan", expect=-signal.SIGKILL)
    with one.journal() as journal:
        names = [cycle.cycle_id for cycle in journal.cycles() if cycle.kind == "trade"]
    assert len(names) == len(set(names)) == 3
    assert {name for name in one.ours() if "-entry-" in name} == set(before)
    one.run(1)
    one.assert_universal()


def test_row_27_after_two_hours_of_suspension_one_cycle_runs_for_the_newest_bar(scene: Scenes) -> None:
    one = scene(seed=2, speed="7200")
    daemon = one.start()
    one.until(lambda: one.ledger()["executions"])
    daemon.send(signal.SIGSTOP)
    stopped_at = one.ledger()["now"]
    one.until(lambda: one.ledger()["now"][11:13] not in (stopped_at[11:13],) and _hours(stopped_at, one) > 3)
    daemon.send(signal.SIGCONT)
    woken_at = one.ledger()["now"]
    one.until(lambda: _cycles(one) and _cycles(one)[-1] > f"{woken_at[:13].replace('-', '')}")
    daemon.send(signal.SIGTERM)
    assert daemon.wait() == 0, daemon.said()
    hours = [name[:11] for name in _cycles(one)]
    missed = [hour for hour in hours if _stamp(stopped_at) < hour < _stamp(woken_at)]
    assert len(missed) <= 1, (stopped_at, woken_at, hours)
    one.leave_the_market()
    one.assert_universal()


def _hours(since: str, scene: Scene) -> float:
    passed = datetime.fromisoformat(scene.ledger()["now"]) - datetime.fromisoformat(since)
    return passed.total_seconds() / 3600


def _stamp(moment: str) -> str:
    """2024-03-05T12:34 as 20240305T12, as cycles are named."""
    return moment[:13].replace("-", "")


def _cycles(scene: Scene) -> list[str]:
    with scene.journal() as journal:
        return sorted(cycle.cycle_id for cycle in journal.cycles(500) if cycle.kind == "trade")


def test_row_14_after_a_partial_fill_and_a_crash_the_exit_is_of_what_filled(scene: Scenes) -> None:
    thin = {"on": {"symbol": "BTC/USD"}, "do": {"partial_fill": 0.00002}}
    one = scene(seed=2, rules=[thin])
    one.run(2, "after_book:3", expect=None)
    one.run(1)
    partly = [order for order in one.entries() if 0 < float(order["filled_qty"]) < float(order["qty"])]
    assert partly, [(order["qty"], order["filled_qty"], order["status"]) for order in one.entries()]
    one.assert_universal()


def test_row_36_sigterm_in_the_middle_of_an_order_ends_soon_and_leaves_the_stop_resting(scene: Scenes) -> None:
    slow = {"on": {"method": "POST", "path": "/v2/orders", "nth": 1}, "do": {"delay_s": 2.0}}
    one = scene(seed=2, rules=[slow])
    daemon = one.start()
    one.until(lambda: one.fired() == [1])
    daemon.send(signal.SIGTERM)
    assert daemon.wait() == 0, daemon.said()
    one.run(1)
    again = one.start()
    one.until(lambda: len(one.ledger()["executions"]) % 2)
    again.send(signal.SIGTERM)
    assert again.wait() == 0, again.said()
    one.assert_universal()
    live = [order for order in one.ours().values() if order["status"] in LIVE]
    if one.ledger()["holdings"].get("BTC/USD", "0") != "0":
        assert [order["type"] for order in live] == ["stop_limit"]


def test_row_36_sigterm_while_an_order_stays_unanswered_does_not_wait_for_the_venue(scene: Scenes) -> None:
    """Neither the order nor any look at it is answered; what became of it is asked for at the next start."""
    silent = {"on": {"method": "POST", "path": "/v2/orders"}, "do": {"reset_after": True}}
    blind = {"on": {"path": "by_client_order_id"}, "do": {"status": 503}}
    one = scene(seed=2, rules=[silent, blind])
    daemon = one.start()
    one.until(lambda: one.fired()[0] == 1)
    daemon.send(signal.SIGTERM)
    assert daemon.wait() == 0, daemon.said()
    one.faults()
    one.run(2)
    one.assert_universal()


def test_row_02_a_stop_is_remembered_where_the_daemon_died_while_booking_it(scene: Scenes) -> None:
    one = scene(seed=2)
    one.run(2)
    one.advance(12)  # the stop that was left resting is met with nobody watching
    stops = [o for name, o in one.ours().items() if "-stop-" in name and o["status"] == "filled"]
    assert stops
    one.run(1, "amid_book", expect=-signal.SIGKILL)
    with one.journal() as journal:
        assert journal.get_meta("stop BTC/USD")
    one.run(1)
    one.assert_universal()
