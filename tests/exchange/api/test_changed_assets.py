"""Assets whose rules change while the exchange runs, and the venue's limit for one order in a coin."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from alpaca.common.exceptions import APIError
from alpaca.trading.enums import OrderSide, TimeInForce
from alpaca.trading.requests import LimitOrderRequest, MarketOrderRequest

from tests.exchange.api.running import Running, running

BUY, SELL, GTC, DAY = OrderSide.BUY, OrderSide.SELL, TimeInForce.GTC, TimeInForce.DAY


@pytest.fixture(autouse=True)
def calm(exchange: Running) -> Iterator[None]:
    yield
    exchange.delete("/sim/faults")
    exchange.trading.close_all_positions(cancel_orders=True)
    until = exchange.trading.get_clock().timestamp + timedelta(minutes=15)
    while datetime.fromisoformat(exchange.advance(until.isoformat())["now"]) < until:
        pass


def limit(exchange: Running, price: float, qty: float = 0.01, symbol: str = "BTC/USD") -> Any:
    order = LimitOrderRequest(symbol=symbol, qty=qty, side=BUY, limit_price=price, time_in_force=GTC)
    return exchange.trading.submit_order(order)


def market(exchange: Running, side: OrderSide, qty: float, symbol: str = "BTC/USD") -> Any:
    tif = DAY if symbol == "AAPL" else GTC
    return exchange.trading.submit_order(MarketOrderRequest(symbol=symbol, qty=qty, side=side, time_in_force=tif))


def changed(exchange: Running, symbol: str, **asset: object) -> None:
    exchange.faults({"on": {"symbol": symbol}, "do": {"asset": asset}})


def refused(exchange: Running, **fields: object) -> tuple[int, str]:
    answer = exchange.order(**fields)
    return answer.status_code, answer.json().get("message", "")


def test_the_tick_changes_for_orders_and_in_the_list(exchange: Running) -> None:
    limit(exchange, 4000.01)
    changed(exchange, "BTC/USD", tick=0.1)
    status, message = refused(exchange, type="limit", limit_price=4000.01)
    assert (status, message) == (422, "limit_price 4000.01 must be a multiple of 0.1")
    assert limit(exchange, 4000.1).symbol == "BTC/USD"
    assert exchange.trading.get_asset("BTCUSD").price_increment == 0.1
    exchange.delete("/sim/faults")
    assert limit(exchange, 4000.02).symbol == "BTC/USD"
    assert exchange.trading.get_asset("BTCUSD").price_increment == 0.01


def test_lot_and_smallest_order_change(exchange: Running) -> None:
    changed(exchange, "BTC/USD", lot=0.01, min_size=0.05)
    assert refused(exchange, qty=0.055)[0] == 422
    assert refused(exchange, qty=0.04)[0] in (403, 422)
    told = exchange.trading.get_asset("BTCUSD")
    assert (told.min_trade_increment, told.min_order_size) == (0.01, 0.05)


def test_what_is_not_tradable_can_be_left_but_not_entered(exchange: Running) -> None:
    market(exchange, BUY, 0.01)
    changed(exchange, "BTC/USD", tradable=False)
    assert refused(exchange) == (422, 'asset "BTC/USD" is not tradable')
    assert exchange.trading.get_asset("BTCUSD").tradable is False
    assert market(exchange, SELL, 0.005).symbol == "BTC/USD"
    assert exchange.order(symbol="ETH/USD", qty=0.1).status_code == 200


def test_what_cannot_be_borrowed_is_not_sold_short(exchange: Running) -> None:
    changed(exchange, "AAPL", easy_to_borrow=False)
    status, message = refused(exchange, symbol="AAPL", side="sell", qty=1, time_in_force="day")
    assert (status, message) == (422, 'asset "AAPL" cannot be sold short')
    told = exchange.trading.get_asset("AAPL")
    assert (told.shortable, told.easy_to_borrow) == (True, False)
    changed(exchange, "AAPL", shortable=False)
    told = exchange.trading.get_asset("AAPL")
    assert (told.shortable, told.easy_to_borrow) == (False, False)


def test_a_delisted_assets_orders_end(exchange: Running) -> None:
    resting, other = limit(exchange, 4000), limit(exchange, 200, 0.1, "ETH/USD")
    changed(exchange, "BTC/USD", delisted=True)
    assert exchange.trading.get_order_by_id(resting.id).status.value == "canceled"
    assert exchange.trading.get_order_by_id(other.id).status.value == "new"
    assert refused(exchange) == (422, "asset BTC/USD is not active")
    told = exchange.trading.get_asset("BTCUSD")
    assert (told.status.value, told.tradable) == ("inactive", False)


def test_an_asset_changes_at_its_time(exchange: Running) -> None:
    now = exchange.trading.get_clock().timestamp
    window = {"symbol": "BTC/USD", "from": (now + timedelta(minutes=10)).isoformat()}
    exchange.faults({"on": window, "do": {"asset": {"tick": 1}}})
    assert exchange.trading.get_asset("BTCUSD").price_increment == 0.01
    exchange.advance((now + timedelta(minutes=20)).isoformat())
    assert exchange.trading.get_asset("BTCUSD").price_increment == 1


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"do": {"asset": {"tick": 1}}}, "asset needs on.symbol"),
        ({"on": {"symbol": "BTC/USD"}, "do": {"asset": {}}}, "asset takes some of"),
        ({"on": {"symbol": "BTC/USD"}, "do": {"asset": {"tickk": 1}}}, "`asset` has no tickk"),
        ({"on": {"symbol": "BTC/USD"}, "do": {"asset": {"tick": 0}}}, "tick must be above 0"),
        ({"on": {"symbol": "BTC/USD"}, "do": {"asset": {"tradable": 1}}}, "tradable must be true or false"),
        ({"on": {"symbol": "BTC/USD", "nth": 2}, "do": {"asset": {"tick": 1}}}, "symbol, from and until alone"),
        ({"do": {"reject_late": ""}}, "reject_late takes the reason"),
        ({"do": {"figure": "qty", "yesterday": True}}, "yesterday's is known of mark alone"),
    ],
)
def test_a_wrong_change_is_refused(exchange: Running, rule: dict[str, Any], words: str) -> None:
    answer = exchange.post("/sim/faults", {"rules": [rule]})
    assert (answer.status_code, words in answer.json()["message"]) == (422, True)


@pytest.mark.parametrize(("limit_usd", "accepted"), [("200000", False), ("0", True)])
def test_one_order_in_a_coin_is_limited(limit_usd: str, accepted: bool) -> None:
    with running(["--symbol", "BTC/USD", "--cash", "1000000", "--coin-order-limit", limit_usd]) as rich:
        answer = rich.order(qty=5.1, type="limit", limit_price=39999)
        assert (answer.status_code == 200) is accepted
        if not accepted:
            assert answer.json()["code"] == 40310000
            assert answer.json()["message"] == "cost basis must be <= maximal amount of order 200000"
            with pytest.raises(APIError):
                limit(rich, 39999, 5.1)
        assert rich.order(qty=5, type="limit", limit_price=39999).status_code == 200
