"""At what price, how much, and who pays which fee."""

from __future__ import annotations

from decimal import Decimal

import pytest

from trader.core.types import OrderStatus
from trader.exchange.events import Halted, Phase

from .scene import BTC, BUY, DAY, GTC, IOC, LIMIT, MARKET, SELL, SPY, STOP, STOP_LIMIT, Scene

OPEN, FIRST, SECOND, CLOSE = Phase


def prices(scene: Scene) -> list[Decimal]:
    return [fill.price for fill in scene.fills]


def holding(qty: int | str, at: int = 100, cash: int = 10_000) -> Scene:
    """Bought at the open of a bar that is over."""
    scene = Scene(cash=cash)
    scene.open(at, symbol=SPY)
    scene.submit(BUY, MARKET, qty, symbol=SPY)
    scene.tape(CLOSE, at, symbol=SPY)
    scene.outputs.clear()
    return scene


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


# ---- stops ----


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


def test_an_order_that_takes_waits_while_there_is_no_quote_to_take() -> None:
    scene = Scene(volume_share=Decimal("0.25"))
    scene.open(100, volume=4)
    scene.submit(BUY, LIMIT, 2, limit=105)
    scene.tape(FIRST, 100, quoted=False)
    scene.tape(SECOND, 99)
    assert prices(scene) == [Decimal("100.5"), Decimal("99.5")]


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


def test_crypto_ignores_the_stock_session() -> None:
    scene = Scene()
    scene.open(100)
    scene.submit(BUY, MARKET, 1, tif=GTC, market_open=False)
    assert scene.words == ["new", "fill"]
