"""Orders that arrive after their POST, rejections that come later, cancels that wait in a queue; fees posted late."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from alpaca.common.exceptions import APIError
from alpaca.trading.enums import OrderSide, TimeInForce
from alpaca.trading.requests import LimitOrderRequest, MarketOrderRequest

from tests.exchange.api.running import Running, running

BUY, GTC = OrderSide.BUY, TimeInForce.GTC
ARGUMENTS = ["--symbol", "BTC/USD,ETH/USD", "--timeframe", "15Min", "--start", "2024-02-01T15:00:00Z"]


@pytest.fixture(scope="module")
def slow() -> Iterator[Running]:
    with running([*ARGUMENTS, "--accept-s", "2", "--cancel-s", "60", "--late-fees"]) as found:
        yield found


@pytest.fixture(autouse=True)
def calm(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    for name in ("slow", "exchange"):
        if name in request.fixturenames:
            request.getfixturevalue(name).delete("/sim/faults")


def later(exchange: Running, **by: float) -> None:
    until = exchange.trading.get_clock().timestamp + timedelta(**by)
    while datetime.fromisoformat(exchange.advance(until.isoformat())["now"]) < until:
        pass


def buy(exchange: Running, qty: float = 0.01) -> Any:
    return exchange.trading.submit_order(MarketOrderRequest(symbol="BTC/USD", qty=qty, side=BUY, time_in_force=GTC))


def rest(exchange: Running, price: float = 4000) -> Any:
    order = LimitOrderRequest(symbol="BTC/USD", qty=0.01, side=BUY, limit_price=price, time_in_force=GTC)
    return exchange.trading.submit_order(order)


def told(exchange: Running, order: Any) -> str:
    return str(exchange.trading.get_order_by_id(order.id).status.value)


def test_a_market_order_is_pending_then_filled(slow: Running) -> None:
    order = buy(slow)
    assert (order.status.value, order.filled_qty) == ("pending_new", "0")
    assert [o.id for o in slow.trading.get_orders()] == [order.id]
    later(slow, seconds=1)
    assert told(slow, order) == "pending_new"
    later(slow, seconds=1)
    filled = slow.trading.get_order_by_id(order.id)
    assert filled.status.value == "filled"
    assert filled.filled_at - order.submitted_at == timedelta(seconds=2)


def test_the_fill_ends_an_advance(slow: Running) -> None:
    order = buy(slow)
    answer = slow.advance((order.submitted_at + timedelta(minutes=10)).isoformat())
    assert answer["reason"] == "fill"
    assert datetime.fromisoformat(answer["now"]) == order.submitted_at + timedelta(seconds=2)


def test_a_cancel_is_answered_and_the_order_stays(slow: Running) -> None:
    order = rest(slow)
    later(slow, seconds=2)
    assert told(slow, order) == "new"
    slow.trading.cancel_order_by_id(order.id)
    assert told(slow, order) == "pending_cancel"
    with pytest.raises(APIError) as again:
        slow.trading.cancel_order_by_id(order.id)
    assert again.value.status_code == 422
    later(slow, seconds=59)
    assert told(slow, order) == "pending_cancel"
    later(slow, seconds=1)
    assert told(slow, order) == "canceled"


def test_fees_are_posted_at_the_end_of_the_day(slow: Running) -> None:
    order = buy(slow)
    later(slow, seconds=2)

    def fees() -> list[dict[str, Any]]:
        return slow.trading.get("/account/activities/CFEE")

    fills = [row for row in slow.trading.get("/account/activities/FILL") if row["order_id"] == str(order.id)]
    assert len(fills) == 1
    assert fees() == []
    assert float(slow.trading.get_open_position("BTCUSD").qty) < sum(
        float(row["qty"]) for row in slow.trading.get("/account/activities/FILL")
    )
    midnight = order.submitted_at.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    slow.advance((midnight - timedelta(seconds=1)).isoformat())
    assert fees() == []
    slow.advance(midnight.isoformat())
    posted = fees()
    assert len(posted) == len(slow.trading.get("/account/activities/FILL"))
    day = order.submitted_at.date()
    assert {row["date"] for row in posted} == {day.isoformat()}
    assert all("transaction_time" not in row and "order_id" not in row for row in posted)
    assert all(row["id"].startswith(f"{day:%Y%m%d}000000000::") for row in posted)


def test_late_fees_are_paged_without_a_gap(slow: Running) -> None:
    whole = [row["id"] for row in slow.trading.get("/account/activities", {"direction": "asc"})]
    paged: list[str] = []
    while True:
        token = {"page_token": paged[-1]} if paged else {}
        page = slow.trading.get("/account/activities", {"direction": "asc", "page_size": 2, **token})
        if not page:
            break
        paged += [row["id"] for row in page]
    assert paged == whole
    assert len(set(whole)) == len(whole)


# ---- single orders, by a script ----


def test_an_order_is_accepted_then_rejected(exchange: Running) -> None:
    exchange.faults({"on": {"side": "buy", "count": 1}, "do": {"reject_late": "volatile market", "after_s": 5}})
    order = buy(exchange)
    assert order.status.value == "pending_new"
    answer = exchange.advance((order.submitted_at + timedelta(minutes=5)).isoformat())
    assert datetime.fromisoformat(answer["now"]) == order.submitted_at + timedelta(seconds=5)
    ended = exchange.trading.get_order_by_id(order.id)
    assert (ended.status.value, ended.filled_qty) == ("rejected", "0")
    assert ended.failed_at == order.submitted_at + timedelta(seconds=5)
    assert exchange.get(f"/v2/orders/{order.id}").json()["reject_reason"] == "volatile market"
    assert buy(exchange).status.value == "filled"


def test_one_orders_arrival_and_cancel_are_slow(exchange: Running) -> None:
    exchange.faults(
        {"on": {"type": "limit"}, "do": {"accept_s": 30}},
        {"on": {"endpoint": "cancel", "symbol": "BTC/USD"}, "do": {"cancel_s": 300}},
    )
    order = rest(exchange)
    assert (order.status.value, buy(exchange).status.value) == ("pending_new", "filled")
    later(exchange, seconds=30)
    assert told(exchange, order) == "new"
    exchange.trading.cancel_order_by_id(order.id)
    later(exchange, seconds=299)
    assert told(exchange, order) == "pending_cancel"
    later(exchange, seconds=1)
    assert told(exchange, order) == "canceled"


def test_positions_are_marked_at_yesterdays_close(exchange: Running) -> None:
    buy(exchange)
    exchange.faults({"do": {"figure": "mark", "yesterday": True}})
    position = exchange.trading.get_open_position("BTCUSD")
    assert position.current_price == position.lastday_price
