"""Market data through the published clients: history, paging, the latest, and nothing from the future."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from alpaca.common.enums import Sort
from alpaca.data.requests import (
    CryptoBarsRequest,
    CryptoLatestBarRequest,
    CryptoLatestOrderbookRequest,
    CryptoLatestQuoteRequest,
    CryptoLatestTradeRequest,
    CryptoQuoteRequest,
    CryptoSnapshotRequest,
    CryptoTradesRequest,
    StockBarsRequest,
    StockLatestBarRequest,
    StockLatestQuoteRequest,
    StockLatestTradeRequest,
    StockQuotesRequest,
    StockSnapshotRequest,
    StockTradesRequest,
)
from alpaca.data.timeframe import TimeFrame, TimeFrameUnit

from tests.exchange.api.conftest import START
from tests.exchange.api.running import Running

QUARTER = TimeFrame(15, TimeFrameUnit.Minute)
BOTH = ["BTC/USD", "ETH/USD"]
LONG_AGO = datetime(2024, 1, 1, tzinfo=UTC)


def now(exchange: Running) -> datetime:
    return datetime.fromisoformat(exchange.get("/sim/clock").json()["now"])


def test_bars_are_closed_ones_oldest_first(exchange: Running) -> None:
    bars = exchange.crypto.get_crypto_bars(CryptoBarsRequest(symbol_or_symbols=BOTH, timeframe=QUARTER, start=LONG_AGO))
    for rows in bars.data.values():
        times = [row.timestamp for row in rows]
        assert times == sorted(times)
        assert times[-1] + timedelta(minutes=15) <= now(exchange)
        assert all(row.low <= min(row.open, row.close) <= max(row.open, row.close) <= row.high for row in rows)
        assert all(row.vwap and row.trade_count for row in rows)


def test_coarser_bars_are_made_of_finer_ones(exchange: Running) -> None:
    query = {"symbol_or_symbols": "BTC/USD", "start": LONG_AGO}
    fine = exchange.crypto.get_crypto_bars(CryptoBarsRequest(timeframe=QUARTER, **query))["BTC/USD"]
    hour = exchange.crypto.get_crypto_bars(CryptoBarsRequest(timeframe=TimeFrame.Hour, **query))["BTC/USD"][-1]
    parts = [b for b in fine if hour.timestamp <= b.timestamp < hour.timestamp + timedelta(hours=1)]
    assert (hour.open, hour.close) == (parts[0].open, parts[-1].close)
    assert hour.high == max(p.high for p in parts)


@pytest.mark.parametrize("sort", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 7, 40])
def test_pages_join_to_the_whole(exchange: Running, sort: str, limit: int) -> None:
    query = {"symbols": "ETH/USD,BTC/USD,NO/USD", "timeframe": "15Min", "start": "2024-02-01T09:00:00Z", "sort": sort}
    whole = exchange.get("/v1beta3/crypto/us/bars", **query).json()
    assert whole["next_page_token"] is None
    found: dict[str, list[object]] = {}
    token = None
    while True:
        page = exchange.get("/v1beta3/crypto/us/bars", **query, limit=limit, page_token=token).json()
        assert sum(len(rows) for rows in page["bars"].values()) <= limit
        for symbol, rows in page["bars"].items():
            found.setdefault(symbol, []).extend(rows)
        token = page["next_page_token"]
        if token is None:
            break
    assert found == whole["bars"]
    assert set(found) == set(BOTH)


def test_client_limit_and_sort_are_obeyed(exchange: Running) -> None:
    request = CryptoBarsRequest(symbol_or_symbols="BTC/USD", timeframe=QUARTER, start=LONG_AGO, limit=5, sort=Sort.DESC)
    rows = exchange.crypto.get_crypto_bars(request)["BTC/USD"]
    assert len(rows) == 5
    assert rows[0].timestamp > rows[-1].timestamp
    assert rows[0].timestamp + timedelta(minutes=15) == now(exchange)


def test_latest_of_crypto_in_every_form(exchange: Running) -> None:
    quote = exchange.crypto.get_crypto_latest_quote(CryptoLatestQuoteRequest(symbol_or_symbols=BOTH))["BTC/USD"]
    assert 0 < quote.bid_price < quote.ask_price
    assert quote.conditions == ["SYNTHETIC"]
    assert quote.timestamp == now(exchange)
    trade = exchange.crypto.get_crypto_latest_trade(CryptoLatestTradeRequest(symbol_or_symbols="BTC/USD"))["BTC/USD"]
    assert quote.bid_price <= trade.price <= quote.ask_price
    bar = exchange.crypto.get_crypto_latest_bar(CryptoLatestBarRequest(symbol_or_symbols="BTC/USD"))["BTC/USD"]
    assert bar.timestamp + timedelta(minutes=15) <= now(exchange)
    book = exchange.crypto.get_crypto_latest_orderbook(CryptoLatestOrderbookRequest(symbol_or_symbols="BTC/USD"))
    assert book["BTC/USD"].bids[0].price == quote.bid_price
    snapshot = exchange.crypto.get_crypto_snapshot(CryptoSnapshotRequest(symbol_or_symbols="BTC/USD"))["BTC/USD"]
    assert snapshot.latest_quote == quote
    assert snapshot.daily_bar is not None
    assert snapshot.daily_bar.high >= snapshot.minute_bar.high


def test_history_of_quotes_and_trades(exchange: Running) -> None:
    start = datetime.fromisoformat(START) - timedelta(hours=2)
    quotes = exchange.crypto.get_crypto_quotes(CryptoQuoteRequest(symbol_or_symbols="BTC/USD", start=start))["BTC/USD"]
    trades = exchange.crypto.get_crypto_trades(CryptoTradesRequest(symbol_or_symbols="BTC/USD", start=start))["BTC/USD"]
    assert len(quotes) == len(trades) >= 8
    assert all(start <= t.timestamp <= now(exchange) for t in trades)


def test_stocks_speak_their_own_paths(exchange: Running) -> None:
    client = exchange.stocks
    assert len(
        client.get_stock_bars(StockBarsRequest(symbol_or_symbols="AAPL", timeframe=QUARTER, start=LONG_AGO))["AAPL"]
    )
    quote = client.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols="AAPL"))["AAPL"]
    assert quote.conditions == ["SYNTHETIC"]
    assert 0 < quote.bid_price < quote.ask_price
    assert client.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols="AAPL"))["AAPL"].price > 0
    assert client.get_stock_latest_bar(StockLatestBarRequest(symbol_or_symbols="AAPL"))["AAPL"].volume > 0
    assert client.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols="AAPL"))["AAPL"].latest_quote == quote
    start = datetime(2024, 1, 31, 15, tzinfo=UTC)
    assert client.get_stock_quotes(StockQuotesRequest(symbol_or_symbols="AAPL", start=start))["AAPL"]
    assert client.get_stock_trades(StockTradesRequest(symbol_or_symbols="AAPL", start=start))["AAPL"]


def test_unknown_symbols_are_absent_and_other_classes_too(exchange: Running) -> None:
    body = exchange.get("/v1beta3/crypto/us/latest/quotes", symbols="BTC/USD,NO/USD,AAPL").json()
    assert set(body["quotes"]) == {"BTC/USD"}
    unquoted = exchange.get("/v1beta3/crypto/us/latest/quotes", symbols="DOGE/USD").json()
    assert unquoted == {"quotes": {}}


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"symbols": "BTC/USD", "timeframe": "7Parsecs"},
        {"symbols": "BTC/USD", "timeframe": "1Min"},
        {"symbols": "BTC/USD", "timeframe": "1Hour", "limit": "0"},
        {"symbols": "BTC/USD", "timeframe": "1Hour", "limit": "10001"},
        {"symbols": "BTC/USD", "timeframe": "1Hour", "page_token": "rubbish"},
        {"symbols": "BTC/USD", "timeframe": "1Hour", "start": "yesterday"},
        {"symbols": "BTC/USD", "timeframe": "1Hour", "sort": "sideways"},
    ],
)
def test_bad_query_is_a_clear_4xx(exchange: Running, params: dict[str, str]) -> None:
    answer = exchange.get("/v1beta3/crypto/us/bars", **params)
    assert answer.status_code in (400, 422)
    assert answer.json()["message"]
