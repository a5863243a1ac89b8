"""Within one bar: what an order may trade on that arrived after the bar's open."""

from __future__ import annotations

from decimal import Decimal

import pytest

from trader.exchange.engine.events import Phase

from .scene import BUY, LIMIT, MARKET, SELL, SPY, STOP, Scene

OPEN, FIRST, SECOND, CLOSE = Phase


def test_an_order_of_the_first_quarter_counts_as_resting_from_the_open() -> None:
    scene = Scene()
    scene.open(100)
    order_id = scene.submit(BUY, LIMIT, 1, limit=98)
    assert scene.books.orders[order_id].entered_bar is None
    scene.tape(FIRST, 97)
    assert len(scene.fills) == 1


@pytest.mark.parametrize("arrives_after", [FIRST, SECOND, CLOSE])
def test_a_limit_that_arrives_later_waits_for_the_next_bars_open(arrives_after: Phase) -> None:
    scene = Scene()
    scene.open(100)
    for phase in (FIRST, SECOND, CLOSE):
        scene.tape(phase, 99 if phase <= arrives_after else 90, 100, 99 if phase <= arrives_after else 90)
        if phase is arrives_after:
            scene.submit(BUY, LIMIT, 1, limit=98)
    assert scene.fills == []
    scene.open(97)
    assert len(scene.fills) == 1


def test_a_limit_that_arrives_later_but_marketable_fills_at_the_quote() -> None:
    scene = Scene()
    scene.open(100)
    scene.tape(FIRST, 95)
    scene.submit(BUY, LIMIT, 1, limit=98)
    assert [f.price for f in scene.fills] == [Decimal("95.5")]


def test_a_stop_may_fire_in_the_bar_in_which_it_arrives() -> None:
    scene = Scene()
    scene.open(100, symbol=SPY)
    scene.submit(BUY, MARKET, 1, symbol=SPY)
    scene.submit(SELL, STOP, 1, stop=95, symbol=SPY)
    scene.tape(FIRST, 94, 100, 94, symbol=SPY)
    assert [f.side for f in scene.fills] == [BUY, SELL]


def test_an_exit_limit_may_not_fill_in_the_bar_of_its_entry() -> None:
    scene = Scene()
    scene.open(100, symbol=SPY)
    scene.submit(BUY, MARKET, 1, symbol=SPY)
    scene.submit(SELL, LIMIT, 1, limit=105, symbol=SPY)  # still the first quarter
    scene.tape(FIRST, 100, 110, 100, symbol=SPY)
    scene.tape(CLOSE, 100, 110, 110, symbol=SPY)
    assert len(scene.fills) == 1
    scene.tape(OPEN, 107, symbol=SPY)
    assert [f.side for f in scene.fills] == [BUY, SELL]


def test_an_exit_limit_after_its_entry_may_fill_at_once_where_the_quote_gives_it() -> None:
    scene = Scene()
    scene.open(100, symbol=SPY)
    scene.submit(BUY, MARKET, 1, symbol=SPY)
    scene.tape(FIRST, 100, 110, 110, symbol=SPY)
    scene.submit(SELL, LIMIT, 1, limit=105, symbol=SPY)
    assert scene.fills[-1].price == Decimal("109.5")


def test_an_exit_of_an_older_position_may_fill_in_the_bar_in_whose_first_quarter_it_came() -> None:
    scene = Scene()
    scene.open(100, symbol=SPY)
    scene.submit(BUY, MARKET, 1, symbol=SPY)
    scene.tape(OPEN, 100, symbol=SPY)
    scene.submit(SELL, LIMIT, 1, limit=105, symbol=SPY)
    scene.tape(FIRST, 100, 110, 110, symbol=SPY)
    assert scene.fills[-1].price == 105


def test_resting_orders_of_earlier_bars_trade_in_every_phase() -> None:
    scene = Scene()
    scene.open(100)
    scene.tape(FIRST, 100)
    scene.submit(BUY, LIMIT, 1, limit=98)
    scene.open(100)
    scene.tape(FIRST, 97, 100, 100)
    assert [f.price for f in scene.fills] == [98]
