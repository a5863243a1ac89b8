"""The trade-update stream is a hint: whatever becomes of it, REST tells what happened, soon.

Most of it on the paper path, see paper.py.
"""

from __future__ import annotations

from tests.faults.harness import Scene
from tests.faults.paper import SOON_S, Scenes, buy, is_protected, paper, running, stream


def test_row_15_fills_while_the_stream_is_down_are_found_over_rest_soon(scene: Scenes) -> None:
    one = paper(scene)
    with running(one):
        one.faults(stream("disconnect"))
        buy(one)
        one.until(lambda: is_protected(one), SOON_S)
        one.faults()
        one.until(lambda: one.ledger()["stream_listeners"] == 1)
    one.assert_universal(external=True)


def test_row_16_a_mute_stream_is_noticed_entries_are_blocked_and_another_connection_is_made(scene: Scenes) -> None:
    one = paper(scene, ADOPT="adopt")  # a person's order rests in ETH/USD from the start
    with running(one):
        one.faults(stream("mute"))
        buy(one)
        one.until(lambda: is_protected(one), SOON_S)
        one.until(lambda: "silent about fills" in one.alerts())
        one.faults()
        one.session.delete(f"{one.url}/v2/orders/{one.ledger()['orders']['rests']['id']}", timeout=20)
        buy(one, "ETH/USD")
        one.until(lambda: is_protected(one, "ETH/USD"), SOON_S)
    one.assert_universal(external=True)


def test_row_17_reconnecting_again_and_again_keeps_within_the_venues_limits(scene: Scenes) -> None:
    one = paper(scene)
    with running(one):
        one.faults(stream("disconnect"), {"on": {"method": "GET", "path": "/v2/orders"}, "do": {"status": 429}})
        for _ in range(3):
            buy(one)
        one.until(lambda: one.fired()[0] >= 1)
        asked = one.fired()[1]
        one.until(lambda: one.fired()[1] > asked)
        assert one.fired()[1] - asked < 20  # refused, it does not hammer
        one.faults()
        one.until(lambda: is_protected(one), SOON_S)
    one.assert_universal(external=True)


def test_row_18_rubbish_and_unknown_events_are_put_aside_and_told(scene: Scenes) -> None:
    one = paper(scene)
    with running(one) as daemon:
        one.faults(stream("garbage"), stream("duplicate"))
        buy(one)
        one.until(lambda: is_protected(one), SOON_S)
        one.until(lambda: "trade update" in daemon.said())
    one.assert_universal(external=True)


def test_row_40_with_nobody_taking_the_alerts_trading_goes_on(scene: Scenes) -> None:
    one = paper(scene, ALERT_WEBHOOK_URL="http://127.0.0.1:9/nobody")
    with running(one):
        one.faults(stream("mute"), {"on": {"method": "POST", "path": "/v2/orders", "nth": 2}, "do": {"status": 500}})
        buy(one)
        one.until(lambda: is_protected(one), SOON_S)
    one.assert_universal(external=True)


# ---- at the simulation's own pace ----


def test_row_10_a_fill_before_the_acknowledgement_is_booked(scene: Scenes) -> None:
    """The answers to orders come so late that the market has filled them by then, or not at all."""
    late = {"method": "POST", "path": "/v2/orders", "nth": [1, 2]}
    one = scene(seed=2, speed="14400", rules=[{"on": late, "do": {"timeout_after": 0.4}}])
    one.run_until(lambda: one.fired() == [2])
    one.faults()
    one.leave_the_market()
    one.assert_universal()


def test_row_11_partial_fills_told_twice_and_out_of_order_add_up_exactly(scene: Scenes) -> None:
    thin = {"on": {"symbol": "BTC/USD"}, "do": {"partial_fill": 0.00002}}
    one = scene(seed=2, speed="14400", rules=[thin, stream("reorder", every=2), stream("duplicate", every=3)])
    one.run_until(lambda: filled_in_part(one) > 2 and min(one.fired()[1:]) > 2)
    one.faults()
    one.leave_the_market()
    one.assert_universal()


def filled_in_part(one: Scene) -> int:
    return sum(0 < float(order["filled_qty"]) < float(order["qty"]) for order in one.ours().values())
