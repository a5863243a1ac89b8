"""Numbers that are not the true ones, quotes that nobody should trade on, entries that nobody can read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from alpaca.data.requests import CryptoLatestQuoteRequest
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, TimeInForce
from alpaca.trading.requests import GetAssetsRequest, LimitOrderRequest, MarketOrderRequest

from tests.exchange.api.running import Running

GTC = TimeInForce.GTC


@pytest.fixture(scope="module")
def held(exchange: Running) -> Running:
    """BTC and ETH are held, one order rests; nothing in this module changes that."""
    for symbol, qty in (("BTC/USD", 0.01), ("ETH/USD", 0.1)):
        order = MarketOrderRequest(symbol=symbol, qty=qty, side=OrderSide.BUY, time_in_force=GTC)
        exchange.trading.submit_order(order)
    rest = LimitOrderRequest(symbol="BTC/USD", qty=0.1, side=OrderSide.BUY, limit_price=4000, time_in_force=GTC)
    exchange.trading.submit_order(rest)
    return exchange


@pytest.fixture(autouse=True)
def calm(exchange: Running) -> Iterator[None]:
    yield
    exchange.delete("/sim/faults")


def positions(client: TradingClient) -> dict[str, Any]:
    return {position.symbol: position for position in client.get_all_positions()}


def quotes(exchange: Running) -> dict[str, Any]:
    return exchange.crypto.get_crypto_latest_quote(CryptoLatestQuoteRequest(symbol_or_symbols=["BTC/USD", "ETH/USD"]))


def asset(client: TradingClient) -> Any:
    return next(a for a in client.get_all_assets(GetAssetsRequest(asset_class="crypto")) if a.symbol == "BTC/USD")


def order(client: TradingClient) -> Any:
    return client.get_orders()[0]


TOLD: dict[str, Any] = {
    "equity": lambda e: e.trading.get_account().equity,
    "cash": lambda e: e.trading.get_account().cash,
    "buying_power": lambda e: e.trading.get_account().buying_power,
    "qty": lambda e: positions(e.trading)["BTCUSD"].qty,
    "avg_price": lambda e: positions(e.trading)["BTCUSD"].avg_entry_price,
    "mark": lambda e: positions(e.trading)["BTCUSD"].current_price,
    "filled_qty": lambda e: order(e.trading).filled_qty,
    "limit_price": lambda e: order(e.trading).limit_price,
    "tick": lambda e: asset(e.trading).price_increment,
    "lot": lambda e: asset(e.trading).min_trade_increment,
    "min_size": lambda e: asset(e.trading).min_order_size,
    "bid": lambda e: quotes(e)["BTC/USD"].bid_price,
    "ask": lambda e: quotes(e)["BTC/USD"].ask_price,
}


@pytest.mark.parametrize("factor", [10, 0.1, 0, -1])
@pytest.mark.parametrize("figure", TOLD)
def test_a_figure_is_told_by_a_factor(held: Running, figure: str, factor: float) -> None:
    true = Decimal(str(TOLD[figure](held)))
    held.faults({"do": {"figure": figure, "times": factor}})
    assert float(TOLD[figure](held)) == pytest.approx(float(true) * factor)


@pytest.mark.parametrize("figure", TOLD)
def test_a_figure_is_told_as_not_a_number(held: Running, figure: str) -> None:
    held.faults({"do": {"figure": figure, "value": "NaN"}})
    assert math.isnan(float(TOLD[figure](held)))


def test_a_figure_can_be_absent(held: Running) -> None:
    held.faults({"on": {"endpoint": "orders"}, "do": {"figure": "filled_qty", "value": 0.75}})
    assert order(held.trading).filled_qty == "0.75"
    held.faults({"on": {"endpoint": "positions"}, "do": {"figure": "mark", "value": None}})
    assert positions(held.trading)["BTCUSD"].current_price is None


def test_a_figure_of_one_symbol_alone(held: Running) -> None:
    true = positions(held.trading)
    held.faults({"on": {"symbol": "ETH/USD"}, "do": {"figure": "qty", "times": 10}})
    told = positions(held.trading)
    assert told["BTCUSD"].qty == true["BTCUSD"].qty
    assert Decimal(told["ETHUSD"].qty) == 10 * Decimal(true["ETHUSD"].qty)
    assert Decimal(held.trading.get_open_position("ETHUSD").qty) == 10 * Decimal(true["ETHUSD"].qty)


def test_two_symbols_figures_are_swapped(held: Running) -> None:
    true = positions(held.trading)
    held.faults({"on": {"symbol": "BTC/USD"}, "do": {"figure": ["qty", "mark"], "swap_with": "ETH/USD"}})
    told = positions(held.trading)
    assert (told["BTCUSD"].qty, told["ETHUSD"].current_price) == (true["ETHUSD"].qty, true["BTCUSD"].current_price)


def later(exchange: Running, **by: float) -> None:
    exchange.advance((exchange.trading.get_clock().timestamp + timedelta(**by)).isoformat())


def test_a_figure_stands_still(held: Running) -> None:
    before = (held.trading.get_account().equity, positions(held.trading)["ETHUSD"].current_price)
    held.faults(
        {"do": {"figure": "equity", "frozen": True}},
        {"on": {"symbol": "BTC/USD"}, "do": {"figure": "mark", "frozen": True}},
    )
    mark = positions(held.trading)["BTCUSD"].current_price
    assert held.trading.get_account().equity == before[0]
    later(held, minutes=45)
    told = positions(held.trading)
    assert (held.trading.get_account().equity, told["BTCUSD"].current_price) == (before[0], mark)
    assert told["ETHUSD"].current_price != before[1]


def test_a_single_wrong_figure(held: Running) -> None:
    true = held.trading.get_account().equity
    held.faults({"on": {"count": 1, "after_n": 1}, "do": {"figure": "equity", "times": 10}})
    told = [held.trading.get_account().equity for _ in range(3)]
    assert [Decimal(equity) / Decimal(true) for equity in told] == [1, 10, 1]


# ---- quotes ----


def test_a_quote_is_frozen_with_its_time(held: Running) -> None:
    held.faults({"on": {"symbol": "BTC/USD"}, "do": {"quote": "frozen"}})
    first = quotes(held)
    later(held, minutes=45)
    told = quotes(held)
    assert told["BTC/USD"] == first["BTC/USD"]
    assert told["ETH/USD"].timestamp > first["ETH/USD"].timestamp


def test_a_quote_is_stuck_though_its_time_goes_on(held: Running) -> None:
    held.faults({"on": {"symbol": "BTC/USD"}, "do": {"quote": "stuck"}})
    first = quotes(held)["BTC/USD"]
    later(held, minutes=45)
    told = quotes(held)["BTC/USD"]
    assert (told.bid_price, told.ask_price) == (first.bid_price, first.ask_price)
    assert told.timestamp > first.timestamp


def test_a_quote_is_absurd(held: Running) -> None:
    held.faults({"on": {"symbol": "BTC/USD"}, "do": {"quote": "absurd", "bid": 150, "ask": 260}})
    told = quotes(held)
    assert (told["BTC/USD"].bid_price, told["BTC/USD"].ask_price) == (150, 260)
    assert told["ETH/USD"].ask_price not in (150, 260)


def test_two_quotes_are_swapped_however_they_are_asked_for(held: Running) -> None:
    true = quotes(held)
    held.faults({"on": {"symbol": "BTC/USD"}, "do": {"quote": "swapped", "with": "ETH/USD"}})
    told = quotes(held)
    assert told["BTC/USD"].bid_price == true["ETH/USD"].bid_price
    assert told["ETH/USD"].bid_price == true["BTC/USD"].bid_price
    alone = held.crypto.get_crypto_latest_quote(CryptoLatestQuoteRequest(symbol_or_symbols="ETH/USD"))
    assert alone["ETH/USD"].bid_price == true["BTC/USD"].bid_price


def test_a_symbol_lacks_in_the_quotes(held: Running) -> None:
    held.faults({"on": {"endpoint": "quotes", "symbol": "BTC/USD"}, "do": {"lack": True}})
    assert set(quotes(held)) == {"ETH/USD"}


# ---- what a person's own orders bring ----


def raw(held: Running, path: str) -> list[dict[str, Any]]:
    """What the client would have to parse."""
    answer = held.get(path).json()
    assert isinstance(answer, list)
    return answer


def test_an_order_of_a_kind_that_nobody_knows_is_in_the_list(held: Running) -> None:
    strange = {"id": "x-1", "order_class": "mleg", "symbol": None, "qty": None, "legs": [{"symbol": "AAPL250117C1"}]}
    held.faults({"on": {"endpoint": "orders"}, "do": {"inject": strange}})
    assert raw(held, "/v2/orders")[-1] == strange
    with pytest.raises(ValueError, match=r"order_class|client_order_id"):
        held.trading.get_orders()


def test_a_position_whose_name_nobody_can_read_is_in_the_list(held: Running) -> None:
    strange = {"symbol": "AAPL1.250117C00150000", "qty": "3", "asset_class": "us_option"}
    held.faults({"on": {"endpoint": "positions"}, "do": {"inject": [strange]}})
    assert [row["symbol"] for row in raw(held, "/v2/positions")] == ["BTCUSD", "ETHUSD", strange["symbol"]]


def test_fields_of_an_order_are_told_otherwise(held: Running) -> None:
    resting = order(held.trading)
    by_value = {"qty": None, "notional": "250", "status": "pending_cancel"}
    held.faults({"on": {"order": str(resting.id)}, "do": {"set": by_value}})
    for told in (order(held.trading), held.trading.get_order_by_id(resting.id)):
        assert (told.qty, told.notional, told.status.value) == (None, "250", "pending_cancel")


def test_a_notional_order_is_taken_and_shown(held: Running) -> None:
    order = MarketOrderRequest(symbol="ETH/USD", notional=50, side=OrderSide.BUY, time_in_force=GTC)
    placed = held.trading.submit_order(order)
    told = held.trading.get_order_by_id(placed.id)
    assert (told.qty, told.notional) == (None, "50")


def test_an_asset_is_told_as_not_tradable(held: Running) -> None:
    held.faults({"on": {"symbol": "BTC/USD"}, "do": {"set": {"tradable": False, "status": "inactive"}}})
    assert (asset(held.trading).tradable, asset(held.trading).status.value) == (False, "inactive")
