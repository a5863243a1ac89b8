"""Stops: when they fire, and at what price."""

from __future__ import annotations

from decimal import Decimal

import pytest

from trader.exchange.engine.events import Halted, Phase

from .scene import BUY, HOUR, MARKET, SELL, SPY, STOP, STOP_LIMIT, Scene, holding, prices

OPEN, FIRST, SECOND, CLOSE = Phase


def test_a_stop_that_the_path_passed_fills_half_a_spread_beyond_it_wherever_the_path_ended() -> None:
    scene = holding(3)
    scene.submit(SELL, STOP, 1, stop=98, symbol=SPY)
    scene.submit(SELL, STOP, 1, stop=97, symbol=SPY)
    scene.submit(SELL, STOP, 1, stop=95, symbol=SPY)
    scene.tape(OPEN, 100, symbol=SPY)
    scene.tape(FIRST, 97, 100, 97, symbol=SPY)
    assert prices(scene) == [Decimal("97.5"), Decimal("96.5")]
    scene.tape(SECOND, 94, 101, 101, symbol=SPY)
    assert prices(scene)[2:] == [Decimal("94.5")]  # the market came back: the stop got no better for it


def test_a_passed_stop_is_rounded_to_the_worse_tick() -> None:
    scene = holding(1)
    scene.submit(SELL, STOP, 1, stop=98, symbol=SPY)
    scene.open(100, symbol=SPY)
    scene.tape(FIRST, 97, 100, 97, symbol=SPY, spread="0.05")
    scene.submit(BUY, STOP, 1, stop=103, symbol=SPY)
    scene.tape(SECOND, 97, 104, 104, symbol=SPY, spread="0.05")
    assert prices(scene) == [Decimal("97.97"), Decimal("103.03")]


def test_a_stop_never_fills_at_nothing_however_wide_the_book() -> None:
    scene = Scene()
    scene.tape(OPEN, "0.5", symbol=SPY, spread="0.02")
    scene.submit(BUY, MARKET, 10, symbol=SPY)
    scene.submit(SELL, STOP, 10, stop="0.3", symbol=SPY)
    scene.tape(FIRST, "0.29", "0.5", "0.5", symbol=SPY, spread="0.9")
    assert prices(scene)[1:] == [Decimal("0.0001")]


@pytest.mark.parametrize(("slip", "price"), [("0", "97.5"), ("0.5", "97"), ("1", "96.5")])
def test_how_far_a_passed_stop_slips_is_a_setting(slip: str, price: str) -> None:
    scene = Scene(stop_slip=Decimal(slip))
    scene.open(100, symbol=SPY)
    scene.submit(BUY, MARKET, 1, symbol=SPY)
    scene.submit(SELL, STOP, 1, stop=98, symbol=SPY)
    scene.tape(FIRST, 97, 100, 97, symbol=SPY)
    assert prices(scene)[1:] == [Decimal(price)]


def test_a_stop_that_a_halt_held_back_fills_at_the_quote_that_it_finds() -> None:
    scene = holding(2)
    scene.submit(SELL, STOP, 1, stop=98, symbol=SPY)
    scene.submit(SELL, STOP, 1, stop=90, symbol=SPY)
    scene.open(100, symbol=SPY)
    scene.send(Halted(at=scene.at, symbol=SPY, halted=True))
    scene.tape(FIRST, 85, 100, 85, symbol=SPY)
    scene.send(Halted(at=scene.at, symbol=SPY, halted=False))
    scene.tape(SECOND, 85, 95, 95, symbol=SPY)
    # nothing traded at 98 any more; at 90 something did, on the way up: no better than there
    assert prices(scene) == [Decimal("94.5"), Decimal("89.5")]


def test_a_stop_gapped_over_at_the_open_fills_at_the_bid() -> None:
    scene = holding(1)
    scene.submit(SELL, STOP, 1, stop=98, symbol=SPY)
    scene.open(80, symbol=SPY)
    assert prices(scene) == [Decimal("79.5")]


def test_a_stop_buy_triggers_at_its_price_and_pays_the_ask() -> None:
    scene = Scene()
    scene.open(100, symbol=SPY)
    scene.submit(BUY, STOP, 1, stop=102, symbol=SPY)
    scene.tape(FIRST, 100, "101.99", symbol=SPY)
    assert scene.fills == []
    scene.tape(SECOND, 100, 102, 102, symbol=SPY)
    assert prices(scene) == [Decimal("102.5")]


def test_a_stop_whose_price_is_passed_already_fires_on_arrival() -> None:
    scene = holding(1)
    scene.submit(SELL, STOP, 1, stop=101, symbol=SPY)
    assert prices(scene) == [Decimal("99.5")]


def test_a_stop_limit_that_is_gapped_through_rests_and_fills_when_the_market_comes_back() -> None:
    scene = Scene()
    scene.open(100)
    scene.submit(BUY, MARKET, 1)
    scene.tape(CLOSE, 100)
    order_id = scene.submit(SELL, STOP_LIMIT, "0.5", stop=98, limit=97)
    scene.open(90)
    assert scene.books.orders[order_id].triggered
    assert len(scene.fills) == 1
    scene.tape(FIRST, 90, 98, 98)
    assert prices(scene)[1:] == [97]


@pytest.mark.parametrize(
    ("limit", "filled"),
    [("97.51", False), ("97.5", True), ("95", True)],
    ids=["above the bid there", "at it", "below it"],
)
def test_a_stop_limit_that_the_path_passed_fills_there_or_rests(limit: str, filled: bool) -> None:
    scene = Scene()
    scene.open(100)
    scene.submit(BUY, MARKET, 1)
    scene.tape(CLOSE, 100)
    order_id = scene.submit(SELL, STOP_LIMIT, "0.5", stop=98, limit=limit)
    scene.open(100)
    scene.tape(FIRST, 90, 100, 90)  # 100 is above the limit, but came before 98
    assert prices(scene)[1:] == ([Decimal("97.5")] if filled else [])
    assert (order_id in scene.books.orders) is not filled
    scene.tape(SECOND, 90, 98, 98)
    assert prices(scene)[1:] == [Decimal("97.5") if filled else Decimal(limit)]


def test_a_stop_limit_that_would_slip_beyond_its_limit_rests() -> None:
    scene = Scene(stop_slip=Decimal(1))
    scene.open(100)
    scene.submit(BUY, MARKET, 1)
    scene.submit(SELL, STOP_LIMIT, "0.5", stop=98, limit=97)
    scene.tape(FIRST, 90, 100, 90)
    assert len(scene.fills) == 1


def test_a_stop_that_fires_on_a_book_too_old_waits_for_the_next() -> None:
    scene = holding(1)
    scene.submit(SELL, STOP, 1, stop=98, symbol=SPY)
    scene.tape(OPEN, 90, symbol=SPY, fresh_for=-HOUR)
    assert scene.fills == []
    scene.tape(FIRST, 89, 90, 89, symbol=SPY)
    assert prices(scene) == [Decimal("88.5")]
