"""The venue driven in process: time, sessions, the order of a bar's extremes, fee tiers, what is synced."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trader.core.fees import schedule_for
from trader.core.types import AssetClass, OrderClass, OrderSide, OrderStatus, OrderType, Symbol, Timeframe, TimeInForce
from trader.exchange.engine.answers import VenueRefusal
from trader.exchange.engine.requests import NewOrder
from trader.exchange.ledger.queries import OrderQuery
from trader.exchange.market.market import MarketOptions, open_market
from trader.exchange.venue import Venue

BTC, AAPL = Symbol("BTC/USD"), Symbol("AAPL")
THURSDAY = datetime(2024, 2, 1, 15, 0, tzinfo=UTC)


def opened(*, cash: int = 100_000, bars: int | None = None) -> Venue:
    options = MarketOptions(
        symbols=(BTC, AAPL), context=40, timeframe=Timeframe(15, "Min"), start=THURSDAY, bars=bars, seed=3
    )
    return Venue.open(open_market(options), cash=Decimal(cash))


@pytest.fixture
def venue() -> Iterator[Venue]:
    found = opened()
    yield found
    found.close()


def order(
    symbol: Symbol, side: OrderSide, qty: str, limit: Decimal | None = None, tif: TimeInForce = TimeInForce.GTC
) -> NewOrder:
    kind = OrderType.MARKET if limit is None else OrderType.LIMIT
    return NewOrder(symbol=symbol.text, side=side, type=kind, tif=tif, qty=Decimal(qty), limit_price=limit)


def last(venue: Venue, symbol: Symbol) -> Decimal:
    return venue.books.tapes[symbol].last


def test_time_that_brings_nothing_is_written_but_not_synced(venue: Venue) -> None:
    synced = venue.ledger.synced_commits
    for _ in range(50):
        venue.advance(venue.now + timedelta(minutes=10))
    assert venue.ledger.synced_commits == synced
    venue.submit(order(BTC, OrderSide.BUY, "0.1"))
    assert venue.ledger.synced_commits == synced + 1
    venue.advance(venue.now + timedelta(hours=3))
    assert venue.ledger.synced_commits == synced + 1


def test_day_order_in_a_stock_expires_at_the_close(venue: Venue) -> None:
    resting = venue.submit(order(AAPL, OrderSide.BUY, "1", round(last(venue, AAPL) / 2, 2), TimeInForce.DAY))
    close = datetime(2024, 2, 1, 21, tzinfo=UTC)
    venue.advance(close - timedelta(minutes=1))
    assert resting.id in venue.books.orders
    venue.advance(close)
    found = venue.order(resting.id)
    assert found is not None
    assert found.status is OrderStatus.EXPIRED
    assert found.expired_at == close


def test_stock_order_outside_the_session_waits_for_the_open(venue: Venue) -> None:
    venue.advance(datetime(2024, 2, 2, 3, tzinfo=UTC))
    waiting = venue.submit(order(AAPL, OrderSide.BUY, "1", tif=TimeInForce.DAY))
    assert not waiting.filled_qty
    done = venue.advance(datetime(2024, 2, 3, tzinfo=UTC))
    assert done.reason == "fill"
    assert done.now >= datetime(2024, 2, 2, 14, 30, tzinfo=UTC)


def test_worse_extreme_comes_first(venue: Venue) -> None:
    price = last(venue, BTC)
    assert venue._low_first(BTC) is True
    venue.submit(order(BTC, OrderSide.BUY, "0.1", round(price / 2, 2)))
    assert venue._low_first(BTC) is False  # waiting to buy
    venue.submit(order(BTC, OrderSide.BUY, "0.1"))
    assert venue._low_first(BTC) is True  # long
    venue.submit(order(AAPL, OrderSide.SELL, "10", tif=TimeInForce.DAY))
    assert venue.books.holdings[AAPL].qty == -10
    assert venue._low_first(AAPL) is False  # short


def test_legs_of_a_filled_parent_are_never_hidden(venue: Venue) -> None:
    price = last(venue, AAPL)
    parent = venue.submit(
        NewOrder(
            symbol="AAPL",
            side=OrderSide.BUY,
            type=OrderType.MARKET,
            tif=TimeInForce.DAY,
            qty=Decimal(2),
            order_class=OrderClass.BRACKET,
            take_profit=round(price * 2, 2),
            stop_loss=round(price / 2, 2),
        )
    )
    assert parent.status is OrderStatus.FILLED
    shown = venue.ledger.orders(OrderQuery(is_open=True, top_level=True))
    assert {o.parent_id for o in shown} == {parent.id}
    assert len(shown) == 2
    assert len(venue.ledger.legs(parent.id)) == 2


def test_oco_protects_a_held_stock(venue: Venue) -> None:
    venue.submit(order(AAPL, OrderSide.BUY, "2", tif=TimeInForce.DAY))
    price = last(venue, AAPL)
    protection = venue.submit(
        NewOrder(
            symbol="AAPL",
            side=OrderSide.SELL,
            type=OrderType.LIMIT,
            tif=TimeInForce.DAY,
            qty=Decimal(2),
            order_class=OrderClass.OCO,
            take_profit=round(price * 2, 2),
            stop_loss=round(price / 2, 2),
        )
    )
    venue.cancel(protection.id)
    assert venue.books.orders == {}


def test_refusal_changes_nothing(venue: Venue) -> None:
    before, counts = venue.books, venue.ledger.counts()
    with pytest.raises(VenueRefusal):
        venue.submit(order(BTC, OrderSide.BUY, "1000"))
    with pytest.raises(VenueRefusal):
        venue.cancel("never-was")
    assert venue.books is before
    assert venue.ledger.counts() == counts


def test_fee_tier_follows_the_volume_of_thirty_days() -> None:
    venue = opened(cash=1_000_000)
    for _ in range(4):
        venue.submit(order(BTC, OrderSide.BUY, "2"))
    assert venue.ledger.crypto_volume_since(THURSDAY) > 100_000
    assert venue.books.crypto_fees == schedule_for(AssetClass.CRYPTO)
    while venue.now < THURSDAY + timedelta(days=2):  # the rest of the orders may fill on the way
        venue.advance(THURSDAY + timedelta(days=2))
    volume = venue.ledger.crypto_volume_since(THURSDAY)
    assert venue.books.crypto_fees == schedule_for(AssetClass.CRYPTO, volume) != schedule_for(AssetClass.CRYPTO)
    while venue.now < THURSDAY + timedelta(days=33):
        venue.advance(venue.now + timedelta(days=1))
    assert venue.books.crypto_fees == schedule_for(AssetClass.CRYPTO)
    venue.close()


def test_end_of_the_data_is_told_and_time_stays_there() -> None:
    venue = opened(bars=4)
    assert venue.advance(venue.now + timedelta(days=30)).reason == "end"
    assert venue.now == venue.market.end
    assert venue.advance(venue.now + timedelta(days=30)).now == venue.market.end
    venue.close()


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(1, 400), min_size=1, max_size=12))
def test_however_time_is_cut_the_same_happens(cuts: list[int]) -> None:
    whole, cut = opened(bars=60), opened(bars=60)
    for venue in (whole, cut):
        venue.submit(order(BTC, OrderSide.BUY, "0.5", round(last(venue, BTC) * Decimal("0.998"), 2)))
    until = whole.now + timedelta(minutes=sum(cuts))
    while whole.now < until and whole.advance(until).reason == "fill":
        pass
    for minutes in cuts:
        goal = min(until, cut.now + timedelta(minutes=minutes))
        cut.advance(goal)
    while cut.now < until and cut.advance(until).reason == "fill":
        pass
    assert cut.books == whole.books
    assert cut.ledger.executions() == whole.ledger.executions()
    for venue in (whole, cut):
        venue.close()


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(1, 900), min_size=1, max_size=6))
def test_what_nobody_waits_for_may_be_passed_over(cuts: list[int]) -> None:
    """Without orders and holdings only the last tape of each symbol counts, in one leap or in steps."""
    leaping, stepping = opened(), opened()
    for minutes in cuts:
        goal = leaping.now + timedelta(minutes=minutes)
        leaping.advance(goal)
        while (following := stepping.market.next_time(stepping.now)) is not None and following <= goal:
            stepping.advance(following)
        stepping.advance(goal)
        assert leaping.books == stepping.books
        assert (leaping.now, leaping.last_equity) == (stepping.now, stepping.last_equity)
    for venue in (leaping, stepping):
        venue.submit(order(BTC, OrderSide.BUY, "0.5"))
        venue.advance(venue.now + timedelta(hours=2))
    assert leaping.books == stepping.books
    for venue in (leaping, stepping):
        venue.close()
