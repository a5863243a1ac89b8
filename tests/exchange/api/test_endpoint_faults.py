"""Faults of one endpoint, one symbol, one order: what the real client meets, and what stays as it is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from alpaca.common.exceptions import APIError
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, TimeInForce
from alpaca.trading.requests import GetOrdersRequest, LimitOrderRequest, MarketOrderRequest, StopLimitOrderRequest

from tests.exchange.api.running import Running

BUY, SELL, GTC = OrderSide.BUY, OrderSide.SELL, TimeInForce.GTC


def later(exchange: Running, **by: float) -> None:
    until = exchange.trading.get_clock().timestamp + timedelta(**by)
    while datetime.fromisoformat(exchange.advance(until.isoformat())["now"]) < until:
        pass


@pytest.fixture(autouse=True)
def calm(exchange: Running) -> Iterator[None]:
    yield
    assert exchange.delete("/sim/faults").json() == {"rules": 0}
    exchange.trading.close_all_positions(cancel_orders=True)
    later(exchange, minutes=15)  # a phase's volume is there only once, and what is left of the closing sells needs it


def buy(client: TradingClient, symbol: str = "BTC/USD", qty: float = 0.01) -> Any:
    return client.submit_order(MarketOrderRequest(symbol=symbol, qty=qty, side=BUY, time_in_force=GTC))


def far_bid(client: TradingClient, symbol: str = "BTC/USD", client_id: str | None = None) -> Any:
    """A limit that rests: a tenth of what it would have to be."""
    price = {"BTC/USD": 4000, "ETH/USD": 200}[symbol]
    order = LimitOrderRequest(
        symbol=symbol, qty=0.1, side=BUY, limit_price=price, time_in_force=GTC, client_order_id=client_id
    )
    return client.submit_order(order)


CALLS: dict[str, Any] = {
    "account": lambda c: c.get_account(),
    "positions": lambda c: c.get_all_positions(),
    "orders": lambda c: c.get_orders(),
    "order": lambda c: c.get_order_by_id("00000000-0000-0000-0000-000000000000"),
    "order_by_client_id": lambda c: c.get_order_by_client_id("nobody"),
    "activities": lambda c: c.get("/account/activities"),
    "clock": lambda c: c.get_clock(),
    "calendar": lambda c: c.get_calendar(),
    "assets": lambda c: c.get_all_assets(),
    "asset": lambda c: c.get_asset("BTCUSD"),
    "submit": buy,
    "cancel": lambda c: c.cancel_order_by_id("00000000-0000-0000-0000-000000000000"),
}


def status_of(call: Any, client: TradingClient) -> int:
    try:
        call(client)
    except APIError as error:
        return int(error.status_code)
    return 200


@pytest.mark.parametrize("endpoint", CALLS)
def test_one_endpoint_fails_and_the_others_do_not(exchange: Running, endpoint: str) -> None:
    exchange.faults({"on": {"endpoint": endpoint}, "do": {"status": 502}})
    failing = {name for name, call in CALLS.items() if status_of(call, exchange.trading) == 502}
    assert failing == {endpoint}


@pytest.mark.parametrize("endpoint", ["quotes", "bars"])
def test_one_kind_of_market_data_fails(exchange: Running, endpoint: str) -> None:
    exchange.faults({"on": {"endpoint": endpoint}, "do": {"status": 500}})
    paths = {"quotes": "/v1beta3/crypto/us/latest/quotes", "bars": "/v1beta3/crypto/us/bars"}
    answers = {name: exchange.get(path, symbols="BTC/USD").status_code for name, path in paths.items()}
    assert [name for name, status in answers.items() if status == 500] == [endpoint]


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (403, 40310100, "trade denied due to pattern day trading protection"),
        (403, 40310010, "asset is halted"),
        (403, 40310000, "insufficient balance"),
        (403, 40399999, "something new"),
        (401, 40110000, "request is not authorized"),
        (422, 42210000, "invalid limit_price"),
    ],
)
def test_a_refusal_says_what_the_script_says(exchange: Running, status: int, code: int, message: str) -> None:
    refusal = {"status": status, "code": code, "message": message}
    exchange.faults({"on": {"endpoint": "submit", "count": 1}, "do": refusal})
    with pytest.raises(APIError) as told:
        buy(exchange.trading)
    assert (told.value.status_code, told.value.code, told.value.message) == (status, code, message)
    assert buy(exchange.trading).symbol == "BTC/USD"


def test_a_403_about_keys_has_no_code(exchange: Running) -> None:
    exchange.faults({"on": {"endpoint": "account"}, "do": {"status": 403, "code": None, "message": "forbidden."}})
    answer = exchange.get("/v2/account")
    assert (answer.status_code, answer.json()) == (403, {"message": "forbidden."})


def test_429_says_when_to_come_back(exchange: Running) -> None:
    exchange.faults({"on": {"endpoint": "account"}, "do": {"status": 429, "retry_after_s": 7}})
    answer = exchange.get("/v2/account")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")


@pytest.mark.parametrize(
    ("page", "text"),
    [
        (
            {"status": 200, "code": 50010000, "message": "internal error"},
            '{"code":50010000,"message":"internal error"}',
        ),
        ({"status": 200, "body": ""}, ""),
        ({"status": 200, "body": {"any": [1.5, None]}}, '{"any":[1.5,null]}'),
        ({"status": 503, "body": "upstream connect error"}, "upstream connect error"),
    ],
)
def test_any_body_can_stand_in_an_answer(exchange: Running, page: dict[str, Any], text: str) -> None:
    exchange.faults({"on": {"endpoint": "positions"}, "do": page})
    answer = exchange.get("/v2/positions")
    assert (answer.status_code, answer.text) == (page["status"], text)


def test_a_fault_can_be_about_one_kind_of_order(exchange: Running) -> None:
    buy(exchange.trading)
    exchange.faults({"on": {"endpoint": "submit", "side": "sell", "type": "stop_limit"}, "do": {"status": 403}})
    stop = StopLimitOrderRequest(
        symbol="BTC/USD", qty=0.005, side=SELL, stop_price=4000, limit_price=3900, time_in_force=GTC
    )
    with pytest.raises(APIError):
        exchange.trading.submit_order(stop)
    assert buy(exchange.trading).symbol == "BTC/USD"


def test_a_fault_can_be_about_one_order(exchange: Running) -> None:
    far_bid(exchange.trading, client_id="the-one")
    far_bid(exchange.trading, client_id="the-other")
    exchange.faults({"on": {"endpoint": "order_by_client_id", "order": "^.*the-one"}, "do": {"status": 500}})
    with pytest.raises(APIError):
        exchange.trading.get_order_by_client_id("the-one")
    assert exchange.trading.get_order_by_client_id("the-other").client_order_id == "the-other"


# ---- lists ----


def held(exchange: Running) -> set[str]:
    return {position.symbol for position in exchange.trading.get_all_positions()}


def test_a_position_is_left_out_of_the_list(exchange: Running) -> None:
    buy(exchange.trading)
    buy(exchange.trading, "ETH/USD", 0.1)
    exchange.faults({"on": {"endpoint": "positions", "symbol": "BTC/USD"}, "do": {"lack": True}})
    assert held(exchange) == {"ETHUSD"}
    assert exchange.trading.get_open_position("BTCUSD").symbol == "BTCUSD"


def test_a_position_is_left_out_wherever_it_is_asked_for(exchange: Running) -> None:
    buy(exchange.trading)
    exchange.faults({"on": {"symbol": "BTC/USD"}, "do": {"lack": True}})
    assert held(exchange) == set()
    with pytest.raises(APIError) as told:
        exchange.trading.get_open_position("BTCUSD")
    assert told.value.status_code == 404


def test_an_order_is_left_out_of_the_list(exchange: Running) -> None:
    for client_id in ("shown-1", "hidden-1"):
        far_bid(exchange.trading, client_id=client_id)
    exchange.faults({"on": {"endpoint": "orders", "order": "hidden"}, "do": {"lack": True}})
    assert {order.client_order_id for order in exchange.trading.get_orders()} == {"shown-1"}
    assert exchange.trading.get_order_by_client_id("hidden-1").client_order_id == "hidden-1"


def test_positions_lag_behind_the_fills(exchange: Running) -> None:
    exchange.faults({"on": {"endpoint": "positions"}, "do": {"lag_s": 60}})
    order = buy(exchange.trading)
    assert str(order.status.value) == "filled"
    assert held(exchange) == set()
    later(exchange, seconds=59)
    assert held(exchange) == set()
    later(exchange, seconds=1)
    assert held(exchange) == {"BTCUSD"}


def test_one_symbol_lags_alone(exchange: Running) -> None:
    exchange.faults({"on": {"endpoint": "positions", "symbol": "BTC/USD"}, "do": {"lag_s": 60}})
    buy(exchange.trading)
    buy(exchange.trading, "ETH/USD", 0.1)
    assert held(exchange) == {"ETHUSD"}
    later(exchange, seconds=60)
    assert held(exchange) == {"BTCUSD", "ETHUSD"}


def test_orders_lag(exchange: Running) -> None:
    resting = far_bid(exchange.trading)
    later(exchange, seconds=60)
    exchange.faults({"on": {"endpoint": "orders"}, "do": {"lag_s": 30}})
    exchange.trading.cancel_order_by_id(resting.id)
    new = far_bid(exchange.trading)
    everything = GetOrdersRequest(status="all", after=resting.submitted_at - timedelta(seconds=1))
    assert [o.id for o in exchange.trading.get_orders()] == [resting.id]
    assert [(o.id, o.status.value) for o in exchange.trading.get_orders(everything)] == [(resting.id, "new")]
    assert exchange.trading.get_order_by_id(resting.id).status.value == "canceled"
    later(exchange, seconds=30)
    assert [o.id for o in exchange.trading.get_orders()] == [new.id]


def activities(exchange: Running, order_id: object) -> list[str]:
    rows = exchange.trading.get("/account/activities/FILL")
    return [row["id"] for row in rows if row["order_id"] == str(order_id)]


def test_activities_lag(exchange: Running) -> None:
    exchange.faults({"on": {"endpoint": "activities"}, "do": {"lag_s": 60}})
    order = buy(exchange.trading)
    assert activities(exchange, order.id) == []
    later(exchange, seconds=60)
    assert len(activities(exchange, order.id)) == 1


def test_activities_come_in_any_order(exchange: Running) -> None:
    for _ in range(8):
        buy(exchange.trading, qty=0.001)
    true = [row["id"] for row in exchange.trading.get("/account/activities")]
    exchange.faults({"on": {"endpoint": "activities"}, "do": {"shuffle": True}})
    told = [row["id"] for row in exchange.trading.get("/account/activities")]
    assert told != true
    assert sorted(told) == sorted(true)


def test_the_account_lags(exchange: Running) -> None:
    before = exchange.trading.get_account().cash
    exchange.faults({"on": {"endpoint": "account"}, "do": {"lag_s": 60}})
    buy(exchange.trading)
    assert exchange.trading.get_account().cash == before
    later(exchange, seconds=60)
    assert exchange.trading.get_account().cash != before


# ---- one rule at a time, while it runs ----


def test_a_named_rule_is_set_replaced_and_ended(exchange: Running) -> None:
    def put(body: dict[str, Any]) -> None:
        answer = exchange.session.put(exchange.url + "/sim/faults/books", json=body, timeout=20)
        assert answer.status_code == 200, answer.text

    exchange.faults({"on": {"endpoint": "clock"}, "do": {"status": 500}})
    put({"on": {"endpoint": "account"}, "do": {"status": 502}})
    assert exchange.get("/v2/account").status_code == 502
    assert exchange.get("/sim/faults").json()["by_name"] == {"books": 1}
    put({"on": {"endpoint": "account"}, "do": {"status": 504}})
    assert exchange.get("/v2/account").status_code == 504
    assert exchange.get("/sim/faults").json()["by_name"] == {"books": 1}
    assert exchange.delete("/sim/faults/books").json() == {"rules": 1}
    assert exchange.get("/v2/account").status_code == 200
    assert exchange.get("/v2/clock").status_code == 500
    assert exchange.delete("/sim/faults/books").status_code == 404


def test_a_rule_can_be_awake_by_the_wall_clock(exchange: Running) -> None:
    never = {"endpoint": "account", "wall_from_s": 3600}
    now = {"endpoint": "clock", "wall_until_s": 3600}
    exchange.faults({"on": never, "do": {"status": 500}}, {"on": now, "do": {"status": 500}})
    assert exchange.get("/v2/account").status_code == 200
    assert exchange.get("/v2/clock").status_code == 500


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"on": {"endpoint": "moon"}, "do": {"status": 500}}, "no endpoint is named moon"),
        ({"on": {"endpont": "account"}, "do": {"status": 500}}, "`on` has no endpont"),
        ({"do": {"lacks": True}}, "exactly one of"),
        ({"do": {"lack": True}}, "lack needs on.symbol, on.order or on.endpoint"),
        ({"do": {"figure": "wealth", "times": 2}}, "no figure wealth"),
        ({"do": {"figure": "equity"}}, "one of"),
        ({"do": {"figure": "equity", "times": 2, "value": 1}}, "one of"),
        ({"on": {"endpoint": "positions"}, "do": {"figure": "equity", "times": 2}}, "figure acts on account"),
        ({"do": {"figure": "qty", "swap_with": "ETH/USD"}}, "a swap needs on.symbol"),
        ({"do": {"inject": {}}}, "inject needs on.endpoint"),
        ({"on": {"endpoint": "account"}, "do": {"shuffle": True}}, "shuffle needs on.endpoint"),
        ({"do": {"quote": "absurd", "bid": 1}}, "quote absurd takes ask, bid"),
        ({"do": {"quote": "crossed", "with": "ETH/USD"}}, "quote crossed takes nothing else"),
        ({"do": {"status": 503, "body": "x", "code": 1}}, "either body, or code and message"),
        ({"do": {"status": 204}}, "status must be"),
        ({"do": {"set": {}}}, "set takes fields"),
        ({"name": "a/b", "do": {"status": 500}}, "name must be"),
    ],
)
def test_a_wrong_rule_is_refused_with_one_clear_line(exchange: Running, rule: dict[str, Any], words: str) -> None:
    answer = exchange.post("/sim/faults", {"rules": [rule]})
    assert answer.status_code == 422
    message = answer.json()["message"]
    assert message.startswith("rule 1: ")
    assert words in message
    assert "\n" not in message
