"""Answers that don't come, come twice or say something else: the order exists once, the books say what happened."""

from __future__ import annotations

import signal
from collections.abc import Callable

from tests.faults.harness import Scene
from tests.faults.script import gets, posts, resume

Scenes = Callable[..., Scene]


def test_row_05_a_timeout_after_the_venue_accepted_gives_one_order(scene: Scenes) -> None:
    one = scene(seed=2, rules=[posts({"timeout_after": 0.4}, nth=[1, 2, 4])])
    one.run(4)
    assert one.fired() == [3]
    one.assert_universal()


def test_row_06_a_server_error_after_the_venue_accepted_gives_one_order(scene: Scenes) -> None:
    page = {"html": True, "status": 502, "after": True}
    rules = [
        posts({"status": 500, "after": True}, nth=1),
        posts(page, nth=2),
        posts({"status": 504, "after": True}, nth=4),
    ]
    one = scene(seed=2, rules=rules)
    one.run(4)
    assert one.fired() == [1, 1, 1]
    one.assert_universal()


def test_row_06_an_order_whose_fate_stays_hidden_is_found_by_a_later_sync(scene: Scenes) -> None:
    """Accepted, and for a while neither the answer nor any look at it gets through; the daemon is killed meanwhile."""
    one = scene(seed=2, rules=[posts({"reset_after": True}), gets("by_client_order_id", {"status": 503})])
    one.run(2, "after_post:2", expect=-signal.SIGKILL)
    one.faults()
    one.run(3)
    one.assert_universal()


def test_row_07_a_reset_before_the_venue_looked_is_sent_again_under_the_same_id(scene: Scenes) -> None:
    one = scene(seed=2, rules=[posts({"reset_before": True}, nth=[1, 3]), posts({"status": 429}, nth=6)])
    one.run(4)
    assert one.fired() == [2, 1]
    one.assert_universal()
    with one.journal() as journal:
        assert not [record for record in journal.intents() if record.state == "rejected"]


def test_row_08_a_refused_duplicate_id_means_that_the_order_is_adopted(scene: Scenes) -> None:
    """The answer is lost, and the first look finds nothing yet: the same id is sent again, and refused."""
    hidden = gets("by_client_order_id", {"status": 503}, nth=[1, 2, 3, 4])
    one = scene(seed=2, rules=[posts({"reset_after": True}, nth=1), hidden])
    one.run(3)
    assert one.fired()[0] == 1
    assert one.fired()[1] >= 1
    one.assert_universal()


def test_row_09_fills_that_are_reported_again_are_counted_once(scene: Scenes) -> None:
    """Each sync asks for a stretch that overlaps the last one, so every restart is told old fills again."""
    one = scene(seed=2)
    for _ in range(4):
        one.run(2)
    one.assert_universal()
    assert len(one.ledger()["executions"]) >= 4


def test_row_12_a_cancel_that_a_fill_overtook_is_a_fill(scene: Scenes) -> None:
    """Cancels are answered late, while the market goes on and fills what they were meant for."""
    late = {"method": "DELETE", "path": "/v2/orders", "nth": [1, 2]}
    one = scene(seed=2, speed="14400", rules=[{"on": late, "do": {"timeout_before": 0.3}}])
    one.run_until(lambda: one.fired()[0] >= 1)
    one.faults()
    one.leave_the_market()
    one.assert_universal()


def test_row_32_an_order_placed_by_hand_is_neither_cancelled_nor_counted_as_ours(scene: Scenes) -> None:
    one = scene(seed=2, symbols="BTC/USD,ETH/USD")
    one.run(1)
    by_hand = one.order(symbol="ETH/USD", type="limit", limit_price="100", qty="1", client_order_id="by-hand")
    assert by_hand.status_code == 200, by_hand.text
    one.run(4)
    assert one.ledger()["orders"]["by-hand"]["status"] == "new"
    one.advance(0.1)  # a fill at the very moment of a decision would be booked as before it
    bought = one.order(symbol="BTC/USD", type="market", qty="0.01", client_order_id="by-hand-too")
    assert bought.status_code == 200, bought.text
    one.run(3)
    one.assert_universal(external=True)
    assert one.ledger()["orders"]["by-hand"]["status"] == "new"


def test_row_33_a_moment_without_positions_neither_sells_nor_buys(scene: Scenes) -> None:
    one = scene(seed=2)
    one.run(2)
    held, entries = one.ledger()["holdings"], len(one.entries())
    assert held
    one.faults(gets("^/v2/positions$", {"empty_positions": True}))
    one.run(1, expect=70)  # for an hour: a person is asked
    assert one.ledger()["holdings"] == held
    assert len(one.entries()) == entries
    one.faults()
    resume(one)
    one.run(1)
    one.faults(gets("^/v2/positions$", {"empty_positions": True}, after_n=3, nth=[1, 2, 3, 4, 5, 6, 7, 8]))
    one.run(2)
    assert len(one.entries()) <= entries + 2
    one.faults()
    one.run(1)
    one.assert_universal()


def test_row_35_a_refused_order_is_terminal_and_is_not_sent_again_and_again(scene: Scenes) -> None:
    """403 with the venue's code for insufficient funds, or for a wash trade: first for entries, then for exits."""
    one = scene(seed=2, rules=[posts({"status": 403}, nth=[1, 2])])
    one.run(4)
    with one.journal() as journal:
        refused = [record for record in journal.intents() if record.state == "rejected"]
    assert len(refused) == 2
    assert len({record.cycle_id for record in refused}) == 2  # the next bar may try; the same one did not
    assert "refused" in one.alerts()
    assert one.ledger()["holdings"]
    one.faults(posts({"status": 403}))
    one.run(2)
    assert 1 <= one.fired()[0] <= 12  # one try each time that it looks, at most
    assert "no exit rests" in one.alerts()
    one.faults()
    one.run(1)
    one.assert_universal()
