"""Orders between two states: on their way in, and cancelled but not gone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from tests.exchange.engine.scene import BTC, BUY, DAY, IOC, LIMIT, MARKET, SELL, SPY, Scene
from trader.core.types import OrderClass, OrderStatus
from trader.exchange.engine.accounting import account_figures, available
from trader.exchange.engine.events import Cancel, Due, Phase, Replace, SessionEnd, Submit
from trader.exchange.engine.waiting import next_due

SECOND = timedelta(seconds=1)


def slow(**rules: Decimal | bool) -> Scene:
    """An order arrives two seconds after its POST."""
    scene = Scene(accept_s=Decimal(2), **rules)
    scene.open(100)
    return scene


def wait(scene: Scene, seconds: int) -> None:
    scene.at += seconds * SECOND
    scene.send(Due(at=scene.at))


def test_an_order_is_answered_before_it_trades() -> None:
    scene = slow()
    order = scene.submit(BUY, MARKET, 1)
    assert (scene.words, scene.orders[order].filled_qty) == (["pending_new"], 0)
    assert next_due(scene.books.orders.values()) == scene.at + 2 * SECOND
    wait(scene, 1)
    assert scene.words == []
    wait(scene, 1)
    assert scene.words == ["new", "fill"]
    assert scene.fills[0].at == scene.at


def test_it_meets_the_market_as_it_is_when_it_arrives() -> None:
    scene = slow()
    scene.submit(BUY, MARKET, 1)
    scene.tape(Phase.FIRST, 90)
    assert scene.fills == []
    wait(scene, 0)
    assert scene.fills[0].price == Decimal("90.5")


def test_what_is_on_its_way_is_paid_for_and_held() -> None:
    scene = slow()
    scene.submit(BUY, LIMIT, 1, limit=90)
    assert account_figures(scene.books).reserved == 90
    scene.submit(BUY, MARKET, 1)
    wait(scene, 2)
    held = available(scene.books, BTC)
    scene.submit(SELL, LIMIT, "0.5", limit=200)
    assert available(scene.books, BTC) == held - Decimal("0.5")


def test_the_path_before_its_arrival_fills_nothing() -> None:
    scene = slow()
    scene.submit(BUY, LIMIT, 1, limit=95)
    scene.tape(Phase.FIRST, 90, 100, 100)
    wait(scene, 0)
    assert scene.fills == []


def test_it_can_be_cancelled_on_its_way() -> None:
    scene = slow()
    order = scene.submit(BUY, MARKET, 1)
    scene.cancel(order)
    assert scene.words == ["canceled"]
    wait(scene, 2)
    assert scene.fills == []


def test_it_cannot_be_replaced_on_its_way() -> None:
    scene = slow()
    order = scene.submit(BUY, LIMIT, 1, limit=90)
    scene.send(Replace(at=scene.at, order_id=order, new_order_id="x", client_order_id="x", qty=Decimal(2)))
    assert (scene.refusal.status, scene.refusal.message) == (422, "cannot replace order in pending_new status")


def test_an_immediate_order_ends_on_arrival_not_before() -> None:
    scene = slow()
    order = scene.submit(BUY, LIMIT, 1, limit=50, tif=IOC)
    assert scene.orders[order].status is OrderStatus.PENDING_NEW
    wait(scene, 2)
    assert scene.words == ["new", "canceled"]


def test_it_may_be_rejected_when_it_arrives() -> None:
    scene = Scene()
    scene.open(100)
    submit = Submit(
        at=scene.at, order_id="a", client_order_id="a", symbol=BTC, side=BUY, type=MARKET, tif=IOC, qty=Decimal(1)
    )
    scene.send(replace(submit, accept_s=Decimal(3), rejected="halted"))
    assert scene.words == ["pending_new"]
    wait(scene, 3)
    ended = scene.orders["a"]
    assert (scene.words, ended.status, ended.reject_reason) == (["rejected"], OrderStatus.REJECTED, "halted")
    assert ended.failed_at == scene.at
    assert scene.books.orders == {}


def test_a_bracket_comes_whole() -> None:
    scene = Scene(accept_s=Decimal(2))
    scene.open(100, symbol=SPY)
    scene.submit(BUY, MARKET, 10, symbol=SPY, tif=DAY, order_class=OrderClass.BRACKET, take_profit=120, stop_loss=90)
    assert scene.words == ["pending_new", "accepted", "accepted"]
    wait(scene, 2)
    assert scene.words == ["new", "fill", "new", "new"]


def test_an_oco_comes_whole() -> None:
    scene = Scene(accept_s=Decimal(2))
    scene.open(100, symbol=SPY)
    scene.submit(BUY, MARKET, 10, symbol=SPY, tif=DAY)
    wait(scene, 2)
    scene.submit(SELL, LIMIT, 10, symbol=SPY, tif=DAY, order_class=OrderClass.OCO, take_profit=120, stop_loss=90)
    assert scene.words == ["pending_new", "pending_new"]
    wait(scene, 2)
    assert scene.words == ["new", "new"]
    scene.tape(Phase.FIRST, 85, symbol=SPY)
    assert scene.words == ["canceled", "fill"]


def test_a_stock_order_outside_the_session_waits_for_it_after_its_arrival() -> None:
    scene = Scene(accept_s=Decimal(2))
    scene.open(100, symbol=SPY)
    order = scene.submit(BUY, MARKET, 1, symbol=SPY, tif=DAY, market_open=False)
    scene.send(SessionEnd(at=scene.at))
    wait(scene, 2)
    assert (scene.words, scene.orders[order].status) == (["accepted"], OrderStatus.ACCEPTED)
    scene.open(101, symbol=SPY)
    assert scene.words == ["new", "fill"]


def test_a_queued_cancel_leaves_the_order_at_work() -> None:
    scene = Scene(cancel_s=Decimal(60))
    scene.open(100)
    filled, other = scene.submit(BUY, LIMIT, 1, limit=95), scene.submit(BUY, LIMIT, 1, limit=50)
    for order in (filled, other):
        scene.cancel(order)
        assert (scene.words, scene.orders[order].status) == (["pending_cancel"], OrderStatus.PENDING_CANCEL)
    assert account_figures(scene.books).reserved == 145
    scene.tape(Phase.FIRST, 90)
    assert (scene.words, scene.orders[filled].status) == (["fill"], OrderStatus.FILLED)
    scene.at += 60 * SECOND
    scene.send(Due(at=scene.at))
    assert (scene.words, list(scene.books.orders)) == (["canceled"], [])


def test_an_order_is_cancelled_once() -> None:
    scene = Scene(cancel_s=Decimal(60))
    scene.open(100)
    order = scene.submit(BUY, LIMIT, 1, limit=95)
    scene.cancel(order)
    scene.cancel(order)
    assert (scene.refusal.status, scene.refusal.message) == (422, 'order is already in "pending_cancel" state')


def test_a_part_that_fills_meanwhile_does_not_end_the_cancel() -> None:
    scene = Scene(volume_share=Decimal(1))
    scene.open(100)
    order = scene.submit(BUY, LIMIT, 10, limit=95)
    scene.send(Cancel(at=scene.at, order_id=order, cancel_s=Decimal(3600)))
    scene.tape(Phase.FIRST, 90, volume=4)
    assert (scene.orders[order].status, scene.orders[order].filled_qty) == (OrderStatus.PENDING_CANCEL, 4)
    scene.at += 3600 * SECOND
    scene.send(Due(at=scene.at))
    assert (scene.words, scene.orders[order].filled_qty) == (["canceled"], 4)


def test_a_cancel_can_overtake_the_arrival() -> None:
    scene = slow(cancel_s=Decimal(60))
    order = scene.submit(BUY, LIMIT, 1, limit=95)
    scene.cancel(order)
    wait(scene, 2)
    assert scene.orders[order].status is OrderStatus.PENDING_CANCEL
    scene.tape(Phase.FIRST, 90)
    assert scene.words == ["fill"]
