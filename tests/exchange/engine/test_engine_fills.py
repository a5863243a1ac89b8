"""At what price, how much, and who pays which fee."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from trader.core.types import OrderStatus
from trader.exchange.engine.events import Halted, Phase

from .scene import BTC, BUY, DAY, GTC, HOUR, IOC, LIMIT, MARKET, SELL, SPY, STOP, Scene, holding, prices

OPEN, FIRST, SECOND, CLOSE = Phase


# ---- orders that take ----


def test_a_market_order_takes_the_far_side_of_the_quote_at_once() -> None:
    scene = Scene()
    scene.open(100)
    scene.submit(BUY, MARKET, 1)
    assert scene.words == ["new", "fill"]
    scene.submit(SELL, MARKET, "0.5")
    assert prices(scene) == [Decimal("100.5"), Decimal("99.5")]


def test_a_marketable_limit_takes_the_quote_not_its_limit_and_pays_the_taker_fee() -> None:
    scene = Scene()
    scene.open(100)
    scene.submit(BUY, LIMIT, "0.1", limit=105)
    (fill,) = scene.fills
    assert (fill.price, fill.fee, fill.fee_currency) == (Decimal("100.5"), Decimal("0.00025"), "BTC")
    assert scene.qty() == Decimal("0.09975")
    assert scene.orders[fill.order_id].filled_qty == Decimal("0.1")


def test_a_crypto_sell_pays_its_fee_in_dollars() -> None:
    scene = Scene()
    scene.open(100)
    scene.submit(BUY, MARKET, 1)
    before = scene.books.cash
    scene.submit(SELL, MARKET, "0.4")
    assert (scene.fills[-1].fee, scene.fills[-1].fee_currency) == (Decimal("0.0995"), "USD")
    assert scene.books.cash == before + Decimal("39.8") - Decimal("0.0995")


def test_stocks_carry_no_commission() -> None:
    scene = Scene()
    scene.open(100, symbol=SPY)
    scene.submit(BUY, MARKET, 3, symbol=SPY)
    assert (scene.fills[0].fee, scene.qty(SPY)) == (0, 3)


def test_a_market_order_waits_for_a_quote() -> None:
    scene = Scene()
    scene.open(100)
    scene.tape(FIRST, 99, quoted=False)
    scene.submit(BUY, LIMIT, 1, limit=120)
    assert scene.words == ["new"]
    scene.tape(SECOND, 99, 101, 101, spread=-1)
    assert scene.fills == []  # crossed: nobody can trade on it
    scene.tape(OPEN, 101)
    assert prices(scene) == [Decimal("101.5")]


def test_an_order_that_takes_waits_while_there_is_no_quote_to_take() -> None:
    scene = Scene(volume_share=Decimal("0.25"))
    scene.open(100, volume=4)
    scene.submit(BUY, LIMIT, 2, limit=105)
    scene.tape(FIRST, 100, quoted=False)
    scene.tape(SECOND, 99)
    assert prices(scene) == [Decimal("100.5"), Decimal("99.5")]


# ---- resting limits ----


@pytest.mark.parametrize(
    ("low", "filled"),
    [("98.01", False), ("98.00", False), ("97.99", True)],
    ids=["above", "touched", "traded through"],
)
def test_a_resting_limit_fills_only_when_the_market_trades_through_it(low: str, filled: bool) -> None:
    scene = Scene()
    scene.open(100)
    scene.submit(BUY, LIMIT, 1, limit=98)
    scene.tape(FIRST, low, 100, 100)
    assert prices(scene) == ([Decimal(98)] if filled else [])


def test_a_touched_limit_gets_its_configured_share_of_the_volume() -> None:
    scene = Scene(touch_share=Decimal("0.1"))
    scene.open(100)
    scene.submit(BUY, LIMIT, 5, limit=98)
    scene.tape(FIRST, 98, 100, 100, volume=20)
    assert [(f.qty, f.price) for f in scene.fills] == [(2, 98)]


def test_a_resting_fill_pays_the_maker_fee() -> None:
    scene = Scene()
    scene.open(100)
    scene.submit(BUY, LIMIT, 1, limit=98)
    scene.tape(FIRST, 97)
    assert scene.fills[0].fee == Decimal("0.0015")


def test_a_resting_limit_that_the_quote_crosses_inside_a_bar_fills_at_its_limit() -> None:
    scene = Scene()
    scene.open(100)
    scene.submit(BUY, LIMIT, 1, limit=98)
    scene.tape(FIRST, 90, 100, 90)
    assert prices(scene) == [98]


def test_a_gap_over_a_limit_at_a_bars_open_gives_the_better_quote() -> None:
    scene = Scene()
    scene.open(100)
    scene.submit(BUY, LIMIT, 1, limit=98)
    scene.tape(CLOSE, 100)
    scene.open(90)
    assert prices(scene) == [Decimal("90.5")]
    assert scene.fills[0].fee == Decimal("0.0015")


def test_no_better_price_at_an_open_where_the_market_stood_beyond_the_limit_before() -> None:
    scene = Scene()
    scene.open(100)
    scene.tape(FIRST, 100)
    scene.submit(BUY, LIMIT, 1, limit=98)  # rests inside the bar: it may not trade there
    scene.tape(CLOSE, 95)
    scene.open(90)
    assert prices(scene) == [98]


def test_a_sell_limit_mirrors_a_buy() -> None:
    scene = holding(2)
    scene.submit(SELL, LIMIT, 1, limit=102, symbol=SPY)
    scene.submit(SELL, LIMIT, 1, limit=103, symbol=SPY)
    scene.tape(OPEN, 100, symbol=SPY)
    scene.tape(FIRST, 100, 103, 100, symbol=SPY)
    assert prices(scene) == [102]


# ---- how much ----


def test_a_market_order_takes_its_share_of_each_tape_until_it_is_done() -> None:
    scene = Scene(volume_share=Decimal("0.25"))
    scene.open(100, volume=8)
    order_id = scene.submit(BUY, MARKET, 5)
    assert scene.words == ["new", "partial_fill"]
    assert scene.books.orders[order_id].status is OrderStatus.PARTIALLY_FILLED
    scene.tape(FIRST, 99, 100, 99, volume=8)
    scene.tape(SECOND, 99, 101, 101, volume=8)
    assert [(f.qty, f.price) for f in scene.fills] == [
        (2, Decimal("100.5")),
        (2, Decimal("99.5")),
        (1, Decimal("101.5")),
    ]


def test_the_rest_of_a_marketable_limit_follows_the_quote_while_it_may_and_then_rests() -> None:
    scene = Scene(volume_share=Decimal("0.25"))
    scene.open(100, volume=4)
    order_id = scene.submit(BUY, LIMIT, 3, limit=101)
    scene.tape(FIRST, 100, 100, 100, volume=4)
    scene.tape(SECOND, 102, volume=4)
    assert not scene.books.orders[order_id].taker
    scene.tape(CLOSE, 95, 102, 95, volume=4)
    assert [f.price for f in scene.fills] == [Decimal("100.5"), Decimal("100.5"), 101]
    assert [f.fee for f in scene.fills] == [Decimal("0.0025"), Decimal("0.0025"), Decimal("0.0015")]


def test_an_ioc_order_cancels_what_it_cannot_get_at_once() -> None:
    scene = Scene(volume_share=Decimal("0.25"))
    scene.open(100, volume=8)
    scene.submit(BUY, LIMIT, 5, limit=101, tif=IOC)
    assert scene.words == ["new", "partial_fill", "canceled"]
    scene.submit(BUY, LIMIT, 1, limit=99, tif=IOC)
    assert scene.words == ["new", "canceled"]
    assert not scene.books.orders


def test_orders_share_one_volume_by_price_then_time() -> None:
    scene = Scene(volume_share=Decimal("0.25"))
    scene.open(100)
    worse = scene.submit(BUY, LIMIT, 2, limit=97)
    early = scene.submit(BUY, LIMIT, 2, limit=98)
    late = scene.submit(BUY, LIMIT, 2, limit=98)
    scene.tape(FIRST, 96, 100, 96, volume=12)
    assert [(f.order_id, f.qty) for f in scene.fills] == [(early, 2), (late, 1)]
    assert worse in scene.books.orders


def test_a_fired_stop_goes_before_a_resting_limit_where_volume_is_scarce() -> None:
    scene = holding(4)
    scene.submit(SELL, LIMIT, 2, limit=102, symbol=SPY)
    stop = scene.submit(SELL, STOP, 2, stop=98, symbol=SPY)
    scene.open(100, symbol=SPY)
    scene.tape(FIRST, 97, 103, 97, symbol=SPY, volume=2)
    assert [f.order_id for f in scene.fills] == [stop]


def test_the_volume_of_a_tape_is_spent_once_for_arrivals_too() -> None:
    scene = Scene(volume_share=Decimal("0.5"))
    scene.open(100, volume=4)
    scene.submit(BUY, MARKET, 2)
    scene.submit(BUY, MARKET, 1)
    assert [f.qty for f in scene.fills] == [2]


def test_no_trading_no_fill_but_an_unknown_volume_is_no_cap() -> None:
    scene = Scene()
    scene.open(100)
    scene.submit(BUY, LIMIT, 1, limit=98)
    scene.tape(FIRST, 97, 100, 97, volume=0)
    assert scene.fills == []
    scene.tape(SECOND, 97, 100, 97, volume=0, uncapped=True)
    assert prices(scene) == [98]


def test_quote_sizes_limit_where_they_are_told_to() -> None:
    scene = Scene(quote_size_limits=True)
    scene.open(100)
    scene.submit(BUY, MARKET, 5)
    assert [f.qty for f in scene.fills] == [2]


def test_whole_shares_fill_in_whole_shares() -> None:
    scene = Scene(volume_share=Decimal("0.25"))
    scene.open(100, symbol=SPY, volume=10)
    scene.submit(BUY, MARKET, 5, symbol=SPY)
    assert [f.qty for f in scene.fills] == [2]


def test_a_market_buy_that_slips_beyond_the_cash_gets_what_the_cash_pays() -> None:
    scene = Scene(cash=1_000, volume_share=Decimal("0.25"))
    scene.open(100, volume=16)
    scene.submit(BUY, MARKET, 9)
    scene.tape(FIRST, 100, 200, 200, volume=1000)
    assert scene.books.cash >= 0
    assert scene.words[-1] == "canceled"
    assert not scene.books.orders


# ---- books that are too old ----


def test_a_book_that_is_too_old_fills_nothing_but_what_the_market_traded_through() -> None:
    scene = Scene()
    scene.tape(OPEN, 100, fresh_for=-HOUR)
    scene.submit(BUY, MARKET, 1)
    assert scene.words == ["new"]
    scene.submit(BUY, LIMIT, 1, limit=99)
    scene.tape(OPEN, 98, 98, 98, fresh_for=-HOUR)
    assert prices(scene) == [99]  # not the better quote of a gap, and nothing for the market order
    scene.tape(FIRST, 98, fresh_for=HOUR)
    assert prices(scene)[1:] == [Decimal("98.5")]


def test_a_book_ages_until_an_order_arrives() -> None:
    scene = Scene()
    scene.tape(OPEN, 100, fresh_for=HOUR)
    scene.at += HOUR
    scene.submit(BUY, MARKET, 1)
    assert scene.words == ["new", "fill"]
    scene.at += timedelta(microseconds=1)
    scene.submit(BUY, LIMIT, 1, limit=105, tif=IOC)
    assert scene.words == ["new", "canceled"]


# ---- halts and closed markets ----


def test_a_halted_symbol_fills_nothing_and_its_orders_rest() -> None:
    scene = Scene()
    scene.open(100)
    resting = scene.submit(BUY, LIMIT, 1, limit=98)
    scene.send(Halted(at=scene.at, symbol=BTC, halted=True))
    scene.tape(FIRST, 90)
    arrived = scene.submit(BUY, LIMIT, 1, limit=120)
    assert scene.words == ["accepted"]
    assert scene.fills == []
    scene.send(Halted(at=scene.at, symbol=BTC, halted=False))
    scene.open(99)
    assert [(f.order_id, f.price) for f in scene.fills] == [(arrived, Decimal("99.5"))]
    assert resting in scene.books.orders


def test_a_stock_order_outside_the_session_waits_for_the_open_and_takes_its_price() -> None:
    scene = Scene()
    scene.tape(CLOSE, 100, symbol=SPY)
    scene.submit(BUY, LIMIT, 1, limit=110, symbol=SPY, tif=DAY, market_open=False)
    assert scene.words == ["accepted"]
    scene.open(104, symbol=SPY)
    assert scene.words == ["new", "fill"]
    assert prices(scene) == [Decimal("104.5")]


def test_an_extended_hours_order_trades_where_there_is_such_a_market_and_others_do_not() -> None:
    scene = Scene()
    scene.tape(CLOSE, 100, symbol=SPY, regular=False)
    scene.submit(BUY, LIMIT, 1, limit=110, symbol=SPY, tif=DAY, market_open=False)
    scene.submit(BUY, LIMIT, 2, limit=110, symbol=SPY, tif=DAY, market_open=False, extended_hours=True)
    scene.tape(OPEN, 100, symbol=SPY, regular=False)
    assert [f.qty for f in scene.fills] == [2]


def test_the_regular_session_does_not_begin_on_the_book_of_the_hours_before_it() -> None:
    scene = Scene()
    scene.tape(CLOSE, 100, symbol=SPY, regular=False)
    scene.submit(BUY, MARKET, 1, symbol=SPY, tif=DAY)
    assert scene.fills == []
    scene.tape(OPEN, 104, symbol=SPY)
    assert prices(scene) == [Decimal("104.5")]


def test_crypto_ignores_the_stock_session() -> None:
    scene = Scene()
    scene.open(100)
    scene.submit(BUY, MARKET, 1, tif=GTC, market_open=False)
    assert scene.words == ["new", "fill"]
