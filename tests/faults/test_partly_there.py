"""A venue that is only partly there, on the real daemon: what is held has its exit, the books are right in the end."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from tests.faults.harness import Scene
from tests.faults.script import at, held
from tests.faults.universal import MAX_SYMBOL, nothing_unmanaged

Scenes = Callable[..., Scene]


@pytest.mark.parametrize("code", [40310100, 40310010, 40399999])
def test_row_41_an_exit_refused_with_a_code_is_no_matter_of_keys(scene: Scenes, code: int) -> None:
    one = scene(seed=2)
    before = held(one)
    one.faults(at("submit", {"status": 403, "code": code, "message": "not now"}, side="sell"))
    one.run(2)
    assert one.ledger()["holdings"] == before
    assert "no exit rests" in one.alerts()
    one.faults()
    one.run(1)
    one.assert_universal()


@pytest.mark.parametrize("answer", [{"status": 401}, {"status": 403, "code": None, "message": "forbidden."}])
def test_row_42_single_refusals_of_the_keys_end_nothing(scene: Scenes, answer: dict[str, Any]) -> None:
    reads = ["account", "positions", "orders", "activities", "order_by_client_id", "order"]
    one = scene(seed=2, rules=[at(reads, answer, after_n=2, every=5), at("submit", answer, nth=[1, 4])])
    one.run(4)
    assert min(one.fired()) >= 2
    one.assert_universal()


def test_row_43_keys_that_stay_refused_end_the_daemon_after_a_while_with_a_word(scene: Scenes) -> None:
    one = scene(seed=2)
    held(one)
    one.faults(at(["account", "positions", "orders", "activities", "order"], {"status": 401}, after_n=12))
    one.run(9, expect=77, KEYS_CONFIRM_S="3")
    assert "keys: no entries" in one.alerts()
    one.faults()
    one.run(1)
    one.assert_universal()


@pytest.mark.parametrize(("endpoint", "after_n"), [("activities", 1), ("order_by_client_id", 0), ("account", 3)])
def test_rows_44_to_46_one_endpoint_away_for_hours_costs_no_protection(
    scene: Scenes, endpoint: str, after_n: int
) -> None:
    one = scene(seed=2, rules=[at(endpoint, {"status": 502}, after_n=after_n)])
    one.run(2)  # in: each failed read takes its seconds
    assert one.fired()[0] >= 1
    nothing_unmanaged(one.ledger())
    assert one.flag("halted") == ""
    one.faults()
    one.run(2)
    one.assert_universal()


def test_a_start_without_the_activities_protects_all_the_same(scene: Scenes) -> None:
    one = scene(seed=2)
    held(one)
    one.faults(at("activities", {"status": 502}))
    one.run(1)
    nothing_unmanaged(one.ledger())
    one.faults()
    one.run(1)
    one.assert_universal()


def test_row_49_exits_that_are_taken_and_then_rejected_are_bounded_and_told(scene: Scenes) -> None:
    one = scene(seed=2)
    before = held(one)
    sells = len([order for order in one.ours().values() if order["side"] == "sell"])
    one.faults(at("submit", {"reject_late": "not today"}, side="sell"))
    one.run(3)
    tried = len([order for order in one.ours().values() if order["side"] == "sell"]) - sells
    assert 1 <= tried <= 3 * 4 * 3, "a look each quarter of an hour, and some at each cycle"
    assert one.ledger()["holdings"] == before
    assert "no exit rests" in one.alerts()
    one.faults()
    one.run(2)
    one.assert_universal()


def test_row_51_one_of_two_left_out_keeps_its_exit(scene: Scenes) -> None:
    one = scene(seed=2, symbols="BTC/USD,ETH/USD")
    one.run(3)
    holdings = one.ledger()["holdings"]
    missing = sorted(holdings)[0]
    one.faults(at("positions", {"lack": True}, symbol=missing))
    one.run(1, expect=None)
    assert one.ledger()["holdings"].get(missing) in (holdings[missing], None)
    nothing_unmanaged(one.ledger())


@pytest.mark.parametrize("factor", [10, 0.1])
def test_rows_61_and_62_an_equity_that_is_told_wrong_is_not_sized_by(scene: Scenes, factor: float) -> None:
    one = scene(seed=2, rules=[at("account", {"figure": ["equity", "buying_power"], "times": factor}, after_n=4)])
    one.run(5)
    for entry in one.entries():
        assert Decimal(entry["qty"]) * Decimal(entry["limit_price"]) <= MAX_SYMBOL * 100_000
    assert "equity" in one.alerts()
    one.faults()
    one.run(2)
    one.assert_universal()
