"""Brackets and one-cancels-other pairs."""

from __future__ import annotations

from decimal import Decimal

from trader.core.types import OrderClass, OrderStatus
from trader.exchange.engine.accounting import available, held_for_orders
from trader.exchange.engine.events import Phase, SessionEnd

from .scene import BUY, DAY, LIMIT, MARKET, SELL, SPY, Scene

OPEN, FIRST, SECOND, CLOSE = Phase
OCO, BRACKET = OrderClass.OCO, OrderClass.BRACKET


def protected(qty: int = 4) -> tuple[Scene, str, str]:
    """A position of an earlier bar with target 110 and stop 90: the scene, the target's id, the stop's id."""
    scene = Scene()
    scene.open(100, symbol=SPY)
    scene.submit(BUY, MARKET, qty, symbol=SPY)
    scene.tape(OPEN, 100, symbol=SPY)
    target = scene.submit(SELL, LIMIT, qty, symbol=SPY, order_class=OCO, take_profit=110, stop_loss=90)
    (stop,) = scene.books.orders[target].leg_ids
    scene.outputs.clear()
    return scene, target, stop


def bracket(share: str = "1") -> tuple[Scene, str, str, str]:
    scene = Scene(volume_share=Decimal(share))
    scene.open(100, symbol=SPY)
    entry = scene.submit(BUY, LIMIT, 4, symbol=SPY, limit=98, order_class=BRACKET, take_profit=110, stop_loss=90)
    target, stop = scene.books.orders[entry].leg_ids
    return scene, entry, target, stop


def test_an_oco_holds_its_quantity_once() -> None:
    scene, _, _ = protected()
    assert (held_for_orders(scene.books, SPY), available(scene.books, SPY)) == (4, 0)


def test_an_oco_target_cancels_the_stop() -> None:
    scene, target, stop = protected()
    scene.tape(FIRST, 100, 111, 111, symbol=SPY)
    assert [(f.order_id, f.price) for f in scene.fills] == [(target, 110)]
    assert scene.orders[stop].status is OrderStatus.CANCELED
    assert (scene.books.orders, scene.books.holdings) == ({}, {})


def test_an_oco_stop_cancels_the_target() -> None:
    scene, target, stop = protected()
    scene.tape(FIRST, 89, 100, 89, symbol=SPY)
    assert [(f.order_id, f.price) for f in scene.fills] == [(stop, Decimal("89.5"))]
    assert scene.orders[target].status is OrderStatus.CANCELED
    assert scene.orders[target].leg_ids == (stop,)


def test_the_stop_comes_before_the_target_when_one_tape_covers_both() -> None:
    scene, _, stop = protected()
    scene.tape(FIRST, 85, 115, 112, symbol=SPY)
    assert [(f.order_id, f.price) for f in scene.fills] == [(stop, Decimal("89.5"))]


def test_a_stop_that_fires_without_volume_has_cancelled_its_target_and_goes_on() -> None:
    scene, target, stop = protected()
    scene.tape(FIRST, 89, 100, 89, symbol=SPY, volume=0)
    assert scene.orders[target].status is OrderStatus.CANCELED
    scene.tape(SECOND, 89, 120, 120, symbol=SPY)
    assert [(f.order_id, f.price) for f in scene.fills] == [(stop, Decimal("119.5"))]


def test_a_partial_fill_of_the_target_reduces_the_stop() -> None:
    scene, target, stop = protected()
    scene.tape(FIRST, 100, 111, 100, symbol=SPY, volume=1)
    assert scene.words == ["partial_fill", "restated"]
    assert (scene.books.orders[stop].qty, scene.qty(SPY)) == (3, 3)
    scene.tape(SECOND, 80, 100, 80, symbol=SPY)
    assert scene.qty(SPY) == 0
    assert scene.orders[target].filled_qty == 1


def test_cancelling_either_leg_cancels_both() -> None:
    for chosen in (1, 2):
        parts = protected()
        scene = parts[0]
        scene.cancel(str(parts[chosen]))
        assert scene.words == ["canceled", "canceled"]
        assert not scene.books.orders


def test_an_oco_whose_stop_is_passed_already_goes_at_once() -> None:
    scene, target, _ = protected()
    scene.cancel(target)
    scene.tape(FIRST, 85, 100, 85, symbol=SPY)
    scene.submit(SELL, LIMIT, 4, symbol=SPY, order_class=OCO, take_profit=110, stop_loss=90)
    assert [f.price for f in scene.fills] == [Decimal("84.5")]
    assert not scene.books.orders


def test_bracket_legs_are_held_until_the_entry_has_filled_completely() -> None:
    scene, entry, target, stop = bracket()
    assert {scene.books.orders[leg].status for leg in (target, stop)} == {OrderStatus.HELD}
    scene.tape(FIRST, 97, 100, 97, symbol=SPY, volume=3)
    assert scene.books.orders[entry].filled_qty == 3
    assert {scene.books.orders[leg].status for leg in (target, stop)} == {OrderStatus.HELD}
    assert available(scene.books, SPY) == 3
    scene.tape(SECOND, 97, 100, 97, symbol=SPY)
    assert {scene.books.orders[leg].status for leg in (target, stop)} == {OrderStatus.NEW}
    assert available(scene.books, SPY) == 0


def test_a_bracket_target_waits_for_the_next_bar_and_then_fills() -> None:
    scene, _, target, stop = bracket()
    scene.tape(FIRST, 97, 100, 97, symbol=SPY)
    scene.tape(SECOND, 97, 120, 120, symbol=SPY)
    assert len(scene.fills) == 1
    scene.tape(OPEN, 109, symbol=SPY)
    scene.tape(FIRST, 109, 111, 111, symbol=SPY)
    assert scene.fills[-1].order_id == target
    assert scene.orders[stop].status is OrderStatus.CANCELED


def test_a_bracket_stop_may_fire_on_the_very_tape_that_filled_its_entry() -> None:
    scene, entry, target, stop = bracket()
    scene.tape(FIRST, 85, 100, 85, symbol=SPY)
    assert [f.order_id for f in scene.fills] == [entry, stop]
    assert scene.orders[target].status is OrderStatus.CANCELED


def test_a_bracket_whose_entry_is_cancelled_takes_its_legs_along() -> None:
    scene, entry, _, _ = bracket()
    scene.cancel(entry)
    assert scene.words == ["canceled"] * 3
    assert not scene.books.orders


def test_a_short_bracket_mirrors_a_long_one() -> None:
    scene = Scene()
    scene.open(100, symbol=SPY)
    entry = scene.submit(SELL, MARKET, 4, symbol=SPY, order_class=BRACKET, take_profit=90, stop_loss=110)
    assert (scene.qty(SPY), scene.fills[0].price) == (-4, Decimal("99.5"))
    scene.tape(FIRST, 100, 111, 111, symbol=SPY)
    assert [f.price for f in scene.fills[1:]] == [Decimal("110.5")]
    assert (scene.qty(SPY), scene.orders[entry].status) == (0, OrderStatus.FILLED)


def test_the_sessions_end_expires_day_orders_and_spares_those_that_wait_for_their_day() -> None:
    scene = Scene()
    scene.open(100, symbol=SPY)
    entry = scene.submit(
        BUY, LIMIT, 4, symbol=SPY, limit=98, tif=DAY, order_class=BRACKET, take_profit=110, stop_loss=90
    )
    scene.submit(BUY, LIMIT, 1, symbol=SPY, limit=90)
    later = scene.submit(
        BUY,
        LIMIT,
        1,
        symbol=SPY,
        limit=95,
        tif=DAY,
        market_open=False,
        order_class=BRACKET,
        take_profit=110,
        stop_loss=90,
    )
    scene.send(SessionEnd(at=scene.at))
    assert scene.words == ["expired"] * 3
    assert scene.orders[entry].expired_at == scene.at
    assert len(scene.books.orders) == 4
    assert later in scene.books.orders
