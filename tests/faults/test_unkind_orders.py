"""Orders that the venue is slow with, or takes by other rules than yesterday's; and prices that are not there."""

from __future__ import annotations

import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.faults.harness import Scene
from tests.faults.script import asset, at, held, posts, quotes, sells
from tests.faults.universal import LIVE, nothing_unmanaged

Scenes = Callable[..., Scene]


def live_types(one: Scene) -> list[str]:
    return [order["type"] for order in sells(one) if order["status"] == "new"]


def test_row_13_an_exit_that_fills_while_it_is_replaced_sells_nothing_twice(scene: Scenes) -> None:
    """Cancels are obeyed a quarter of an hour late, while the two exits change places and the market goes on."""
    one = scene(seed=2, EXITS__HYSTERESIS_BPS="0", rules=[at(["cancel", "cancel_all"], {"cancel_s": 900})])
    one.run(12)
    raced = [order for order in sells(one) if order["status"] == "filled"]
    assert raced
    one.faults()
    one.run(2)
    one.assert_universal()


def test_row_13_an_end_while_cancels_wait_says_what_is_left_with_what(scene: Scenes) -> None:
    one = scene(seed=2, EXIT_RESTS="target", rules=[at(["cancel", "cancel_all"], {"cancel_s": 900})])
    held(one)
    assert "shutdown: BTC/USD: " in one.alerts()
    assert "left with " in one.alerts()
    one.faults()
    one.run(2)
    one.assert_universal()


def test_row_47_without_a_quote_the_stop_takes_the_place_of_the_watched_target(scene: Scenes) -> None:
    one = scene(seed=2, speed="1800", EXIT_RESTS="target")
    daemon = one.start()
    one.until(lambda: live_types(one) == ["limit"])
    one.faults(quotes("absent"))
    one.until(lambda: live_types(one) == ["stop_limit"] or not one.ledger()["holdings"])
    one.faults()
    one.until(lambda: live_types(one) == ["limit"])
    daemon.send(signal.SIGTERM)
    assert daemon.wait() == 0, daemon.said()
    one.leave_the_market()
    one.assert_universal()


BARS = 80  # an hour each, calm until the last ones


def gap(folder: Path) -> tuple[str, str]:
    """A market that falls by a fifth between two bars, and when to start: some bars before it."""
    first = datetime(2024, 3, 1, tzinfo=UTC)
    lines = ["timestamp,open,high,low,close,volume"]
    for number in range(BARS):
        price = 100.0 if number < BARS - 8 else 80.0
        rows = f"{price},{price + 0.05},{price - 0.05},{price},500000"
        lines.append(f"{first + timedelta(hours=number):%Y-%m-%dT%H:%M:%SZ},{rows}")
    path = folder / "gap.csv"
    path.write_text("\n".join(lines) + "\n")
    return f"BTC/USD={path}", f"{first + timedelta(hours=BARS - 12):%Y-%m-%dT%H:%M:%SZ}"


def test_row_48_a_gap_through_the_stop_is_left_on_the_mark_where_there_is_no_quote(
    scene: Scenes, tmp_path: Path
) -> None:
    data, start = gap(tmp_path)
    one = scene(seed=2, symbols="", exchange=["--data", data, "--start", start], SYMBOLS="BTC/USD", EXIT_RESTS="stop")
    held(one)
    one.faults(quotes("absent"))
    one.run(5)
    assert not [qty for qty in one.ledger()["holdings"].values() if Decimal(qty) > Decimal("0.001")]
    assert 78 < Decimal(one.ledger()["executions"][-1]["price"]) <= 80
    one.faults()
    one.run(1)
    one.assert_universal()


@pytest.mark.parametrize("rules", [{"tick": 5}, {"tick": 5, "lot": 0.001, "min_size": 0.001}], ids=["tick", "all"])
def test_rows_57_and_58_an_exit_is_made_anew_by_rules_that_have_changed(scene: Scenes, rules: dict[str, float]) -> None:
    one = scene(seed=2)
    units = Decimal(held(one)["BTC/USD"])
    known = {order["id"] for order in sells(one)}
    one.faults(asset(**rules))
    one.run(2)
    anew = [order for order in sells(one) if order["id"] not in known]
    assert anew, "the levels move, and what rests with them"
    prices = [Decimal(p) for order in anew for p in (order["limit_price"], order["stop_price"]) if p is not None]
    assert not [price for price in prices if price % 5]
    left = units - max(Decimal(order["qty"]) for order in anew)
    assert left < Decimal(str(rules.get("lot", 0.00001)))
    assert "no exit rests" not in one.alerts(), "in the same run"
    one.faults()


def test_row_58_what_has_become_too_small_to_be_sold_is_told(scene: Scenes) -> None:
    one = scene(seed=2)
    held(one)
    one.faults(asset(min_size=10))
    one.run(2)
    assert "is too small to be sold and has no exit: tick 0.01, lot 1E-9, least 10" in one.alerts()
    one.faults()
    one.run(2)
    one.assert_universal()


@pytest.mark.parametrize("fault", [asset(delisted=True), asset(tradable=False)], ids=["delisted", "not tradable"])
def test_row_59_what_is_not_traded_any_more_makes_no_loop_and_is_left_when_it_can_be(
    scene: Scenes, fault: dict[str, dict[str, object]]
) -> None:
    one = scene(seed=2)
    before, known = held(one), len(one.ours())
    one.faults(fault)
    one.run(3)
    if "delisted" in str(fault):
        assert one.ledger()["holdings"] == before
        assert "no exit rests" in one.alerts()
        assert len(one.ours()) - known <= 3 * 4 * 6  # the venue's limit on attempts, at each look
    assert len(one.entries()) == 1
    one.faults()
    one.run(2)
    one.assert_universal()


@pytest.mark.slow  # in process: tests/trading/test_last_look.py
def test_row_86_a_second_entry_is_not_sent_on_a_quote_that_the_first_has_made_old(scene: Scenes) -> None:
    start = ["--start", "2024-03-05T12:00:45Z", "--timeframe", "1Min"]
    one = scene(
        seed=2, symbols="BTC/USD,ETH/USD", speed="1", exchange=start, TIMEFRAME="1Min", RISK__MAX_QUOTE_AGE_S="3",
        TRADE_DELAY_S="1", rules=[posts({"delay_s": 6}, nth=1, side="buy")],
    )  # fmt: skip
    one.run_until(lambda: one.fired() == [1] and _dropped(one))
    assert len(one.entries()) == 1
    one.assert_universal()


def _dropped(one: Scene) -> list[str]:
    with one.journal() as journal:
        return [each.reason for each in journal.intents() if each.state == "rejected" and "quote" in each.reason]


def test_row_87_an_exit_above_the_limit_of_one_order_goes_in_pieces(scene: Scenes) -> None:
    rich = ["--cash", "2000000", "--volume-share", "1"]
    one = scene(seed=2, exchange=rich, ADOPT="adopt", SYMBOLS="BTC/USD", STRATEGY="flat")
    for _ in range(3):
        assert one.order(qty="4").status_code == 200
        one.advance(0.5)
    units = Decimal(one.ledger()["holdings"]["BTC/USD"])
    one.run(1)
    live = [order for order in sells(one) if order["status"] in LIVE]
    assert len(live) > 1
    assert sum(Decimal(order["qty"]) for order in live) == units
    nothing_unmanaged(one.ledger())
    killed = one.trader("kill")
    assert killed.wait() in (0, 1)
    one.run(6)
    assert not [qty for qty in one.ledger()["holdings"].values() if Decimal(qty) > Decimal("0.001")]


def test_row_49_a_stop_that_keeps_being_rejected_gives_way_to_the_target(scene: Scenes) -> None:
    """A venue that takes no stop: the target rests, and the stop is watched."""
    one = scene(seed=2, speed="1800", EXIT_RESTS="stop")
    one.faults(at("submit", {"reject_late": "no stops today"}, type="stop_limit"))
    daemon = one.start()
    one.until(lambda: "limit" in live_types(one))
    assert "no exit rests" in one.alerts()
    one.faults()
    daemon.send(signal.SIGTERM)
    assert daemon.wait() == 0, daemon.said()
    one.leave_the_market()
    one.assert_universal()
