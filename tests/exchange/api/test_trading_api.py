"""The trading API through the published client: every path, an order's life, the errors."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from alpaca.common.exceptions import APIError
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderClass, OrderSide, OrderStatus, OrderType, QueryOrderStatus, TimeInForce
from alpaca.trading.requests import (
    ClosePositionRequest,
    GetAssetsRequest,
    GetCalendarRequest,
    GetOrderByIdRequest,
    GetOrdersRequest,
    GetPortfolioHistoryRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    ReplaceOrderRequest,
    StopLimitOrderRequest,
    StopLossRequest,
    TakeProfitRequest,
)

from tests.exchange.api.running import Running, running


def bid_ask(exchange: Running, symbol: str = "BTC/USD") -> tuple[Decimal, Decimal]:
    quote = exchange.get("/v1beta3/crypto/us/latest/quotes", symbols=symbol).json()["quotes"][symbol]
    return Decimal(str(quote["bp"])), Decimal(str(quote["ap"]))


def resting_buy(exchange: Running, client_id: str | None = None) -> str:
    bid, _ = bid_ask(exchange)
    answer = exchange.order(type="limit", limit_price=float(round(bid * Decimal("0.5"), 2)), client_order_id=client_id)
    assert answer.status_code == 200, answer.text
    return answer.json()["id"]


def test_account_opens_with_its_cash_and_can_suspend_itself() -> None:
    with running(["--cash", "50000"]) as fresh:
        account = fresh.trading.get_account()
        assert Decimal(account.cash) == Decimal(account.equity) == Decimal(account.buying_power) == 50000
        assert account.status.value == "ACTIVE"
        assert account.pattern_day_trader is None
        configuration = fresh.trading.get_account_configurations()
        configuration.suspend_trade = True
        assert fresh.trading.set_account_configurations(configuration).suspend_trade is True
        assert fresh.trading.get_account().trading_blocked is True
        assert fresh.order().status_code == 403


def test_market_buy_fills_at_the_ask_and_its_fee_is_taken_in_coin(exchange: Running) -> None:
    _, ask = bid_ask(exchange, "ETH/USD")
    order = exchange.trading.submit_order(
        MarketOrderRequest(symbol="ETH/USD", qty=1, side=OrderSide.BUY, time_in_force=TimeInForce.GTC)
    )
    found = exchange.trading.get_order_by_id(order.id)
    assert found.status is OrderStatus.FILLED
    assert Decimal(found.filled_qty) == 1
    assert Decimal(found.filled_avg_price) == ask
    assert found.order_class is OrderClass.SIMPLE
    position = exchange.trading.get_open_position("ETHUSD")
    assert position.symbol == "ETHUSD"
    assert Decimal(position.qty) == Decimal(position.qty_available) == Decimal("0.9975")
    closed = exchange.trading.close_position("ETHUSD")
    assert closed.side is OrderSide.SELL
    assert [p.symbol for p in exchange.trading.get_all_positions() if p.symbol == "ETHUSD"] == []


def test_resting_limit_is_listed_by_every_query_and_cancelled_once(exchange: Running) -> None:
    order_id = resting_buy(exchange, "life-1")
    found = exchange.trading.get_order_by_client_id("life-1")
    assert str(found.id) == order_id
    assert found.type is OrderType.LIMIT
    assert found.status is OrderStatus.NEW
    assert order_id in {str(o.id) for o in exchange.trading.get_orders()}
    exchange.trading.cancel_order_by_id(order_id)
    assert exchange.trading.get_order_by_id(order_id).status is OrderStatus.CANCELED
    assert order_id not in {str(o.id) for o in exchange.trading.get_orders()}
    closed = exchange.trading.get_orders(GetOrdersRequest(status=QueryOrderStatus.CLOSED, symbols=["BTC/USD"]))
    assert order_id in {str(o.id) for o in closed}
    with pytest.raises(APIError) as late:
        exchange.trading.cancel_order_by_id(order_id)
    assert late.value.status_code == 422


def test_orders_after_and_until_are_exclusive_and_limited(exchange: Running) -> None:
    ids = [resting_buy(exchange) for _ in range(3)]
    at = exchange.trading.get_order_by_id(ids[0]).submitted_at
    nothing = exchange.trading.get_orders(GetOrdersRequest(status=QueryOrderStatus.ALL, after=at, until=at))
    assert nothing == []
    second = timedelta(seconds=1)
    query = GetOrdersRequest(status=QueryOrderStatus.ALL, after=at - second, until=at + second, limit=500)
    assert set(ids) <= {str(o.id) for o in exchange.trading.get_orders(query)}
    assert len(exchange.trading.get_orders(GetOrdersRequest(status=QueryOrderStatus.ALL, limit=2))) == 2
    sells = exchange.trading.get_orders(GetOrdersRequest(status=QueryOrderStatus.OPEN, side=OrderSide.SELL))
    assert not {str(o.id) for o in sells} & set(ids)
    statuses = {r.status for r in exchange.trading.cancel_orders()}
    assert statuses == {200}
    assert exchange.trading.get_orders() == []


def test_replace_gives_a_new_order_and_closes_the_old_one(exchange: Running) -> None:
    old = resting_buy(exchange)
    bid, _ = bid_ask(exchange)
    new = exchange.trading.replace_order_by_id(old, ReplaceOrderRequest(limit_price=float(round(bid * 2 / 5, 2))))
    assert str(new.id) != old
    assert str(new.replaces) == old
    before = exchange.trading.get_order_by_id(old)
    assert before.status is OrderStatus.REPLACED
    assert before.replaced_by == new.id
    exchange.trading.cancel_order_by_id(new.id)


def test_client_order_id_is_unique_for_ever(exchange: Running) -> None:
    exchange.trading.cancel_order_by_id(resting_buy(exchange, "once-only"))
    again = exchange.order(client_order_id="once-only")
    assert again.status_code == 422
    assert again.json()["code"] == 40010001


def test_stop_limit_sell_holds_the_quantity(exchange: Running) -> None:
    exchange.order(qty=0.2)
    bid, _ = bid_ask(exchange)
    stop = exchange.trading.submit_order(
        StopLimitOrderRequest(
            symbol="BTC/USD",
            qty=0.1,
            side=OrderSide.SELL,
            time_in_force=TimeInForce.GTC,
            stop_price=float(round(bid * Decimal("0.8"), 2)),
            limit_price=float(round(bid * Decimal("0.79"), 2)),
        )
    )
    assert stop.type is OrderType.STOP_LIMIT
    position = exchange.trading.get_open_position("BTCUSD")
    assert Decimal(position.qty) - Decimal(position.qty_available) == Decimal("0.1")
    too_much = exchange.order(qty=0.15, side="sell", type="limit", limit_price=float(round(bid * 2, 2)))
    assert too_much.status_code == 403
    assert too_much.json()["code"] == 40310000
    rows = exchange.trading.close_all_positions(cancel_orders=True)
    assert {r.status for r in rows} == {200}
    assert exchange.trading.get_all_positions() == []
    assert exchange.trading.get_orders() == []


def test_close_position_takes_a_quantity_or_a_percentage(exchange: Running) -> None:
    exchange.order(qty=0.2)
    held = Decimal(exchange.trading.get_open_position("BTC/USD").qty)
    exchange.trading.close_position("BTCUSD", ClosePositionRequest(percentage="50"))
    assert Decimal(exchange.trading.get_open_position("BTCUSD").qty) == held / 2
    exchange.trading.close_position("BTCUSD", ClosePositionRequest(qty="0.01"))
    assert Decimal(exchange.trading.get_open_position("BTCUSD").qty) == held / 2 - Decimal("0.01")
    exchange.trading.close_position("BTCUSD")
    with pytest.raises(APIError) as gone:
        exchange.trading.close_position("BTCUSD")
    assert gone.value.status_code == 404
    assert exchange.delete("/v2/positions/BTCUSD", qty="1", percentage="2").status_code == 422


def test_bracket_is_nested_under_its_parent(exchange: Running) -> None:
    quote = exchange.get("/v2/stocks/quotes/latest", symbols="AAPL").json()["quotes"]["AAPL"]
    ask = Decimal(str(quote["ap"]))
    parent = exchange.trading.submit_order(
        LimitOrderRequest(
            symbol="AAPL",
            qty=2,
            side=OrderSide.BUY,
            time_in_force=TimeInForce.DAY,
            limit_price=float(round(ask / 2, 2)),
            order_class=OrderClass.BRACKET,
            take_profit=TakeProfitRequest(limit_price=float(round(ask * 2, 2))),
            stop_loss=StopLossRequest(stop_price=float(round(ask / 4, 2))),
        )
    )
    assert parent.order_class is OrderClass.BRACKET
    assert {leg.status for leg in parent.legs or []} == {OrderStatus.HELD}
    nested = exchange.trading.get_orders(GetOrdersRequest(nested=True, symbols=["AAPL"]))
    assert [str(o.id) for o in nested] == [str(parent.id)]
    assert len(nested[0].legs or []) == 2
    flat = exchange.trading.get_orders(GetOrdersRequest(nested=False, symbols=["AAPL"]))
    assert len(flat) == 3
    assert all(o.legs is None for o in flat)
    alone = exchange.trading.get_order_by_id(parent.id, GetOrderByIdRequest(nested=True))
    assert len(alone.legs or []) == 2
    exchange.trading.cancel_order_by_id(parent.id)
    assert exchange.trading.get_orders(GetOrdersRequest(symbols=["AAPL"])) == []


def test_assets_tell_increments_and_unknown_ones_are_404(exchange: Running) -> None:
    bitcoin = exchange.trading.get_asset("BTC/USD")
    assert bitcoin.exchange.value == "CRYPTO"
    assert bitcoin.min_order_size is not None
    assert exchange.trading.get_asset(str(bitcoin.id)).symbol == "BTC/USD"
    classes = {a.asset_class.value for a in exchange.trading.get_all_assets(GetAssetsRequest(asset_class="crypto"))}
    assert classes == {"crypto"}
    with pytest.raises(APIError) as missing:
        exchange.trading.get_asset("NOSUCH")
    assert missing.value.status_code == 404
    assert missing.value.code == 40410000


def test_clock_and_calendar_follow_new_york() -> None:
    with running(["--symbol", "AAPL", "--timeframe", "15Min", "--start", "2024-02-01T15:00:00Z"]) as fresh:
        clock = fresh.trading.get_clock()
        days = fresh.trading.get_calendar(GetCalendarRequest(start=date(2024, 2, 16), end=date(2024, 2, 20)))
    assert clock.is_open is True
    assert clock.next_close.astimezone(UTC) == datetime(2024, 2, 1, 21, tzinfo=UTC)
    assert clock.next_open.astimezone(UTC) == datetime(2024, 2, 2, 14, 30, tzinfo=UTC)
    assert [d.date for d in days] == [date(2024, 2, 16), date(2024, 2, 20)]  # a weekend, then Presidents' Day
    assert (days[0].open.hour, days[0].open.minute, days[0].close.hour) == (9, 30, 16)


def test_activities_page_through_fills_and_fees(exchange: Running) -> None:
    exchange.order(qty=0.05)
    exchange.order(qty=0.02, side="sell")
    rows, token = [], None
    while page := exchange.get("/v2/account/activities", page_size=2, direction="asc", page_token=token).json():
        rows += page
        token = page[-1]["id"]
    assert len(rows) == len({r["id"] for r in rows}) == exchange.ledger()["counts"]["activities"]
    fills = {r["execution_id"]: r for r in rows if r["activity_type"] == "FILL"}
    fees = [r for r in rows if r["activity_type"] == "CFEE"]
    assert fees
    for fee in fees:
        bought = fills[fee["execution_id"]]["side"] == "buy"
        assert (Decimal(fee["qty"]) < 0) is bought
        assert (Decimal(fee["net_amount"]) < 0) is not bought
    only = exchange.get("/v2/account/activities/FILL", direction="desc").json()
    assert {r["activity_type"] for r in only} == {"FILL"}
    assert only[0]["type"] == "fill"
    exchange.trading.close_all_positions(cancel_orders=True)


def test_portfolio_history_ends_at_the_account_equity(exchange: Running) -> None:
    exchange.order(qty=0.1)
    now = datetime.fromisoformat(exchange.get("/sim/clock").json()["now"])
    exchange.advance((now + timedelta(hours=6)).isoformat())
    history = exchange.trading.get_portfolio_history(GetPortfolioHistoryRequest(period="1D", timeframe="15Min"))
    assert history.equity[-1] == pytest.approx(float(exchange.trading.get_account().equity), abs=0.01)
    assert len(history.timestamp) == len(history.equity) == len(history.profit_loss)
    exchange.trading.close_all_positions(cancel_orders=True)


def test_cash_movements_add_up_to_the_cash(exchange: Running) -> None:
    truth = exchange.ledger()
    assert Decimal(truth["cash"]) == Decimal(truth["cash_movements"])


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"type": "trailing_stop", "trail_percent": 1}, 422),
        ({"time_in_force": "opg"}, 422),
        ({"time_in_force": "cls"}, 422),
        ({"order_class": "oto"}, 422),
        ({"qty": -1}, 422),
        ({"qty": None}, 422),
        ({"notional": 100}, 422),
        ({"symbol": "NOSUCH"}, 422),
        ({"surprise": 1}, 422),
        ({"qty": 1e-12}, 422),
        ({"client_order_id": "x" * 129}, 422),
        ({"qty": 1000}, 403),
    ],
)
def test_bad_order_is_refused_with_code_and_message(exchange: Running, fields: dict[str, object], status: int) -> None:
    answer = exchange.order(**fields)
    assert answer.status_code in (status, 403 if fields == {"qty": 1e-12} else status), answer.text
    assert set(answer.json()) >= {"code", "message"}
    assert exchange.trading.get_orders() == []


def test_keys_are_asked_for() -> None:
    with running(keys=("right", "pair")) as locked:
        assert locked.get("/v2/account").status_code == 403
        assert locked.session.get(locked.url + "/v2/account", headers={"APCA-API-KEY-ID": ""}).status_code == 401
        good = TradingClient("right", "pair", url_override=locked.url)
        assert good.get_account().currency == "USD"
        good._session.close()
        quotes = locked.url + "/v1beta3/crypto/us/latest/quotes?symbols=BTC/USD"
        anybody = locked.session.get(quotes, headers={"APCA-API-KEY-ID": None, "APCA-API-SECRET-KEY": None})
        assert anybody.status_code == 200


def test_rate_limit_counts_in_market_minutes() -> None:
    with running(["--rate-limit", "5"]) as limited:
        answers = [limited.get("/v2/clock") for _ in range(6)]
        assert [a.status_code for a in answers] == [200] * 5 + [429]
        assert [a.headers["X-RateLimit-Remaining"] for a in answers] == ["4", "3", "2", "1", "0", "0"]
        assert limited.get("/v1beta3/crypto/us/latest/quotes", symbols="BTC/USD").status_code == 200
        now = datetime.fromisoformat(limited.get("/sim/clock").json()["now"])
        limited.advance((now + timedelta(minutes=1)).isoformat())
        assert limited.get("/v2/clock").status_code == 200
