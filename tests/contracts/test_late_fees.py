"""Fees that are posted when the day is over, read by the real adapter, are those of the fills that paid them."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.exchange.api.running import AT_ONCE, running
from trader.adapters.alpaca.broker import AlpacaBroker
from trader.adapters.alpaca.clients import AlpacaEndpoints, RequestLimiter, build_clients
from trader.adapters.clock import SimClock
from trader.core.posted_fees import joined, with_fee


def test_each_fee_of_the_day_before_finds_its_fill() -> None:
    arguments = ["--symbol", "BTC/USD,ETH/USD", "--timeframe", "15Min", "--start", "2024-02-01T15:00:00Z", *AT_ONCE]
    with running([*arguments, "--late-fees"]) as venue:
        clock = SimClock(venue.url)
        endpoints = AlpacaEndpoints(
            key="key", secret="secret", trading_url=venue.url, data_url=venue.ready["data_url"],
            trade_stream_url=venue.ready["trade_stream_url"],
        )  # fmt: skip
        clients = build_clients(endpoints, pace=RequestLimiter(10_000, clock), deadline_s=5, first_backoff_s=0.01)
        broker, began = AlpacaBroker(clients, clock), clock.now() - timedelta(days=1)
        for symbol, side, qty in (("BTC/USD", "buy", 0.5), ("ETH/USD", "buy", 3), ("BTC/USD", "sell", 0.2)):
            assert venue.order(symbol=symbol, side=side, qty=qty).status_code == 200
        broker.positions()
        told = broker.activities(began)
        assert len(told.executions) == 3
        assert all(fill.fee_estimated for fill in told.executions)
        assert not told.postings
        midnight = clock.now().replace(hour=0, minute=0, second=0) + timedelta(days=1)
        while datetime.fromisoformat(venue.advance((midnight + timedelta(minutes=1)).isoformat())["now"]) < midnight:
            pass
        later = broker.activities(began)
        fees = joined(later.executions, later.postings)
        truth = {row["id"]: row["fee"] for row in venue.ledger()["executions"]}
        clients.close()
        clock.close()
    assert {each.symbol is None for each in later.postings if each.cash} == {True}, "in dollars it names no symbol"
    assert {fill.id: str(with_fee(fill, fees[fill.id]).fee) for fill in later.executions} == truth
