"""Quotes that can't be traded on, and a market that is halted: nothing is entered, what is held is looked after."""

from __future__ import annotations

from collections.abc import Callable

from tests.faults.harness import Scene
from tests.faults.script import quotes

Scenes = Callable[..., Scene]


def test_row_19_on_a_stale_quote_nothing_is_entered_and_exits_go_on(scene: Scenes) -> None:
    one = scene(seed=2)
    one.run(2)  # in
    entries = len(one.entries())
    one.faults(quotes("stale", age_s=31))
    one.run(4)
    assert one.fired()[0] > 0
    assert len(one.entries()) == entries
    assert [each["side"] for each in one.ledger()["executions"]][-1] == "sell"  # and out
    one.assert_universal()


def test_row_20_on_a_quote_that_is_none_nothing_is_entered(scene: Scenes) -> None:
    one = scene(seed=2)
    for kind in ("crossed", "zero", "one_sided", "absent"):
        one.faults(quotes(kind))
        one.run(1)
        assert one.fired()[0] > 0, kind
        assert not one.entries(), kind
    one.faults()
    one.run(2)
    one.assert_universal()
    assert one.entries()


def test_row_34_in_a_halted_symbol_no_order_is_tried_again_and_again(scene: Scenes) -> None:
    one = scene(seed=2, symbols="BTC/USD,ETH/USD", rules=[{"on": {"symbol": "BTC/USD"}, "do": {"halt": True}}])
    one.run(4)
    ledger = one.ledger()
    assert {each["symbol"] for each in ledger["executions"]} == {"ETH/USD"}
    assert len([o for o in one.entries() if o["symbol"] == "BTC/USD"]) <= 4
    one.faults()
    one.run(2)
    one.assert_universal()


def test_row_34_a_position_in_a_symbol_that_is_halted_is_left_when_trading_resumes(scene: Scenes) -> None:
    one = scene(seed=2)
    one.run(2)
    held = one.ledger()["holdings"]
    assert held
    one.faults({"on": {"symbol": "BTC/USD"}, "do": {"halt": True}})
    one.run(3)
    assert one.ledger()["holdings"] == held
    one.faults()
    one.run(4)
    one.assert_universal()
    assert one.ledger()["holdings"] != held
