"""The two bounds within one bar: what each assumes of the order in which its extremes came."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.exchange.engine.scene import BUY, LIMIT, MARKET, SELL, SPY, Scene
from tests.research.backtest.material import bars_of, settings_for, written
from trader.core.types import OrderSide, OrderType, Symbol, TimeInForce
from trader.exchange.engine.events import MatchingRules, Phase
from trader.exchange.engine.requests import NewOrder
from trader.exchange.market.market import open_market
from trader.research.backtest.inprocess import open_in_memory
from trader.research.backtest.simulate import market_options

OPEN, FIRST, SECOND, CLOSE = Phase
BTC = Symbol("BTC/USD")


@pytest.mark.parametrize(("optimistic", "fills"), [(False, [BUY]), (True, [BUY, SELL])])
def test_an_exit_in_the_bar_of_its_entry_is_for_optimists(optimistic: bool, fills: list[OrderSide]) -> None:
    scene = Scene(optimistic=optimistic)
    scene.open(100, symbol=SPY)
    scene.submit(BUY, MARKET, 1, symbol=SPY)
    scene.submit(SELL, LIMIT, 1, limit=105, symbol=SPY)
    scene.tape(FIRST, 100, 110, 110, symbol=SPY)
    assert [fill.side for fill in scene.fills] == fills


@pytest.mark.parametrize(("optimistic", "price"), [(False, 90), (True, 110)])
def test_a_bar_that_touches_stop_and_target_ends_where_the_bound_says(
    tmp_path: Path, optimistic: bool, price: int
) -> None:
    """An order at each extreme, and a bar that has both: what is held leaves at the worse, or at the better one."""
    bars = bars_of("BTC/USD", 70)
    bars.loc[:, ["open", "high", "low", "close"]] = 100.0
    bars.loc[:, "volume"] = 1e6
    bars.loc[bars.index[62], ["high", "low"]] = [112.0, 88.0]
    options = market_options(settings_for({"BTC/USD": written(bars, tmp_path / "bars.parquet")}, tmp_path))
    venue, ledger = open_in_memory(
        open_market(options), cash=Decimal(100_000), rules=MatchingRules(optimistic=optimistic)
    )
    half = Decimal("0.5")
    venue.submit(order(OrderSide.BUY, Decimal(1), MARKET))
    venue.submit(order(OrderSide.SELL, half, OrderType.LIMIT, limit=Decimal(110)))
    venue.submit(
        order(OrderSide.SELL, half - Decimal("0.01"), OrderType.STOP_LIMIT, limit=Decimal(80), stop=Decimal(90))
    )
    end = bars["timestamp"].iloc[63].to_pydatetime()
    while venue.now < end and len(ledger.fills) < 2:
        venue.advance(end)
    assert abs(ledger.fills[1].price - price) < Decimal("0.2")


def order(
    side: OrderSide, qty: Decimal, kind: OrderType, *, limit: Decimal | None = None, stop: Decimal | None = None
) -> NewOrder:
    return NewOrder(
        symbol="BTC/USD", side=side, type=kind, tif=TimeInForce.GTC, qty=qty, limit_price=limit, stop_price=stop
    )


def test_a_tape_that_nobody_waits_for_leaves_the_same_books(tmp_path: Path) -> None:
    """The short way of the engine for a symbol without orders, against the long one."""
    from trader.exchange.engine.engine import apply
    from trader.exchange.engine.matching import on_tape
    from trader.exchange.engine.working_books import Desk

    options = market_options(
        settings_for({"BTC/USD": written(bars_of("BTC/USD", 90), tmp_path / "b.parquet")}, tmp_path)
    )
    market = open_market(options)
    venue, _ = open_in_memory(market, cash=Decimal(100_000))
    venue.submit(order(OrderSide.BUY, Decimal(1), MARKET))
    at = venue.now
    for _ in range(20):
        at = market.next_time(at) or at + timedelta(hours=1)
        for tape in market.tapes(at, lambda symbol: True):
            desk = Desk(venue.books, tape.at)
            on_tape(desk, tape, venue.books)
            assert apply(venue.books, tape) == (desk.books(), ())
            venue.books = desk.books()
