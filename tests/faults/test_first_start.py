"""The first start on an account that has a history: what was there is adopted, what was before is not booked again."""

from __future__ import annotations

from collections.abc import Callable

from tests.faults.harness import Scene
from trader.commands.audit import audit

Scenes = Callable[..., Scene]


def test_fills_from_just_before_the_first_start_are_in_the_opening_balance(scene: Scenes) -> None:
    one = scene(seed=2)
    # the second lies within the overlap in which executions are asked for again, the first within the second's
    for side, minutes in (("buy", 1.5), ("sell", 1.0)):
        assert one.order(side=side, qty="0.02" if side == "buy" else "0.01").status_code == 200
        one.advance(minutes / 60)
    one.run(8)
    assert "doubtful" not in one.programs[-1].said()
    with one.journal() as journal:
        looked, differences = audit(journal)
        assert looked == 8
        assert not differences
        kinds = [correction.kind for correction in journal.corrections()]
    assert set(kinds) <= {"opening", "adopted"}


def test_check_tells_of_what_was_there_before_and_what_becomes_of_it(scene: Scenes) -> None:
    one = scene(seed=2)
    assert one.order(qty="0.02").status_code == 200
    assert one.order(qty="0.5", type="limit", limit_price="20000").status_code == 200
    one.advance(0.1)
    for policy, becomes in (("ask", "`trader adopt` looks after it"), ("adopt", "be sold at them (ADOPT=adopt)")):
        check = one.trader("check", ADOPT=policy)
        check.wait()
        (line,) = [line for line in check.said().splitlines() if "found:" in line]
        assert "BTC/USD, an order that is not ours: buy 0.5 BTC/USD at 20000" in line
        assert becomes in line
    one.run(2)
    check = one.trader("check")
    check.wait()
    assert "was there before the first start: it is left alone" in check.said(), check.said()
    assert "by_hand" in one.trader_said("status")


def test_adopt_through_the_command_line_leaves_and_takes(scene: Scenes) -> None:
    one = scene(seed=2)
    one.run(1)
    assert one.order(symbol="BTC/USD", qty="0.5", type="limit", limit_price="20000").status_code == 200
    one.advance(0.1)
    left = one.trader_said("adopt", "BTC/USD", "--leave")
    assert "left alone: buy 0.5 BTC/USD at 20000" in left or "one starts" in left, left
    one.run(1)
    assert "BTC/USD" in one.trader_said("status", "--json").partition('"unadopted"')[2][:60]
    taken = one.trader_said("adopt", "BTC/USD", "--stop", "15000")
    one.run(1)
    assert "adopted" in taken or "one starts" in taken, taken
    assert '"unadopted": []' in one.trader_said("status", "--json")
