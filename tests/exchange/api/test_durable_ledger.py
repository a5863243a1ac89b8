"""The exchange is killed at any moment and comes back as it was: orders, holdings, cash, ids, clock."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import psutil
import pytest
import requests

from tests.exchange.api.running import AT_ONCE, Running, running
from tests.waiting import GENEROUS_S
from trader.core.types import OrderSide, OrderType, Symbol, TimeInForce
from trader.exchange.engine.answers import VenueRefusal
from trader.exchange.engine.events import Books
from trader.exchange.engine.requests import NewOrder, Patch
from trader.exchange.ledger.sqlite import Ledger, LedgerError
from trader.exchange.market.market import MarketOptions, open_market
from trader.exchange.venue import Venue

OPTIONS = MarketOptions(symbols=(Symbol("BTC/USD"), Symbol("ETH/USD")), context=60)


def opened(path: Path | None) -> Venue:
    return Venue.open(open_market(OPTIONS), cash=Decimal(100_000), ledger_path=path)


def buy(venue: Venue, qty: str, limit: Decimal | None = None, client_id: str | None = None) -> str:
    new = NewOrder(
        symbol="BTC/USD",
        side=OrderSide.BUY,
        type=OrderType.MARKET if limit is None else OrderType.LIMIT,
        tif=TimeInForce.GTC,
        qty=Decimal(qty),
        limit_price=limit,
        client_order_id=client_id,
    )
    return venue.submit(new).id


def busy(venue: Venue) -> None:
    """Fills, rests, cancels, replaces, and lets time pass between."""
    price = venue.books.tapes[Symbol("BTC/USD")].last
    for number in range(12):
        buy(venue, "0.01", client_id=f"market-{number}")
        resting = buy(venue, "0.02", limit=round(price * Decimal("0.97"), 2), client_id=f"limit-{number}")
        venue.advance(venue.now + timedelta(minutes=37 * number))
        if resting in venue.books.orders and number % 3 == 0:
            venue.cancel(resting)
        elif resting in venue.books.orders and number % 3 == 1:
            venue.replace(resting, Patch(limit_price=round(price * Decimal("0.9"), 2)))


def test_reopened_books_equal_those_that_were_closed(tmp_path: Path) -> None:
    venue = opened(tmp_path / "exchange.db")
    busy(venue)
    books, now = venue.books, venue.now
    executions = venue.ledger.executions()
    venue.close()
    again = opened(tmp_path / "exchange.db")
    assert again.now == now
    assert again.books == books
    assert again.ledger.executions() == executions
    assert len(executions) == books.executions
    assert again.ledger.cash_moved() == books.cash
    again.close()


def test_future_after_a_restart_is_the_future_without_one(tmp_path: Path) -> None:
    straight, broken = opened(None), opened(tmp_path / "exchange.db")
    for venue in (straight, broken):
        busy(venue)
    assert straight.books == broken.books
    broken.close()
    broken = opened(tmp_path / "exchange.db")
    for venue in (straight, broken):
        buy(venue, "0.03", client_id="later")
        for _ in range(40):
            venue.advance(venue.now + timedelta(minutes=53))
    assert straight.books == broken.books
    assert straight.now == broken.now
    assert straight.ledger.executions() == broken.ledger.executions()
    for venue in (straight, broken):
        venue.close()


def test_client_ids_are_known_after_a_restart(tmp_path: Path) -> None:
    venue = opened(tmp_path / "exchange.db")
    buy(venue, "0.01", client_id="first")
    venue.close()
    venue = opened(tmp_path / "exchange.db")
    with pytest.raises(VenueRefusal) as refused:
        buy(venue, "0.01", client_id="first")
    assert refused.value.refusal.status == 422
    venue.close()


def test_ledger_of_another_market_is_refused(tmp_path: Path) -> None:
    opened(tmp_path / "exchange.db").close()
    other = MarketOptions(symbols=OPTIONS.symbols, context=60, seed=2)
    with pytest.raises(LedgerError, match="another market"):
        Venue.open(open_market(other), cash=Decimal(1), ledger_path=tmp_path / "exchange.db")


def test_ledger_in_use_or_damaged_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    venue = opened(path)
    other = sqlite3.connect(path, timeout=0)
    with pytest.raises(sqlite3.OperationalError):
        other.execute("SELECT * FROM orders")
    other.close()
    venue.close()
    path.write_bytes(b"not a database at all, and long enough to be taken for one" * 50)
    with pytest.raises(LedgerError, match="not usable"):
        Ledger.open(path, "any")


def test_advance_without_events_keeps_the_clock(tmp_path: Path) -> None:
    venue = opened(tmp_path / "exchange.db")
    now = venue.advance(venue.now + timedelta(hours=7, minutes=3)).now
    books: Books = venue.books
    venue.close()
    again = opened(tmp_path / "exchange.db")
    assert (again.now, again.books) == (now, books)
    again.close()


def test_killed_between_requests_it_comes_back_whole(tmp_path: Path) -> None:
    ledger = tmp_path / "exchange.db"
    with running(ledger=ledger) as exchange:
        exchange.order(client_order_id="before")
        exchange.order(client_order_id="resting", type="limit", limit_price=1000)
        exchange.advance((datetime.fromisoformat(exchange.ready["start"]) + timedelta(hours=5)).isoformat())
        truth, account, positions = snapshot(exchange)
        exchange.process.kill()
        exchange.process.wait()
    with running(ledger=ledger) as exchange:
        assert snapshot(exchange) == (truth, account, positions)
        assert exchange.order(client_order_id="before").status_code == 422
        assert exchange.order(client_order_id="after").status_code == 200
        assert set(truth["orders"]) | {"after"} == set(exchange.ledger()["orders"])


def test_killed_amid_requests_every_answered_order_is_there(tmp_path: Path) -> None:
    ledger = tmp_path / "exchange.db"  # at once: each order that was answered has its fill in the same commit
    answered: list[str] = []
    with running(AT_ONCE, ledger=ledger) as exchange:
        for number in range(1000):
            if number == 60:
                threading.Timer(0.02, exchange.process.kill).start()  # somewhere among the next requests
            try:
                if exchange.order(qty=0.001, client_order_id=f"n{number}").status_code == 200:
                    answered.append(f"n{number}")
            except requests.ConnectionError:
                break
        exchange.process.wait()
    assert 60 <= len(answered) < 1000
    with running(AT_ONCE, ledger=ledger) as exchange:
        truth = exchange.ledger()
    assert set(answered) <= set(truth["orders"])
    assert len(truth["orders"]) - len(answered) <= 1  # the one whose answer was cut off
    assert Decimal(truth["cash"]) == Decimal(truth["cash_movements"])
    assert truth["counts"]["executions"] == len(truth["executions"]) == len(truth["orders"])


def snapshot(exchange: Running) -> tuple[dict[str, object], object, object]:
    return exchange.ledger(), exchange.get("/v2/account").json(), exchange.get("/v2/positions").json()


def test_day_boundary_keeps_yesterdays_equity(tmp_path: Path) -> None:
    venue = opened(tmp_path / "exchange.db")
    buy(venue, "1")
    while venue.now < datetime(2024, 1, 6, tzinfo=UTC) or venue.last_equity == 100_000:
        venue.advance(venue.now + timedelta(hours=12))
    kept = venue.last_equity
    venue.close()
    again = opened(tmp_path / "exchange.db")
    assert again.last_equity == kept != 100_000
    again.close()


def test_a_ledger_that_cannot_be_written_any_more_ends_the_exchange_with_one_line(tmp_path: Path) -> None:
    """Memory is ahead of the ledger then: whatever it answered after that would not survive it."""
    path = tmp_path / "ledger.db"
    with running(["--symbol", "BTC/USD"], ledger=path) as exchange:
        statuses = [exchange.order().status_code]
        limit = 50_000 + max(file.stat().st_size for file in tmp_path.iterdir())
        psutil.Process(exchange.process.pid).rlimit(psutil.RLIMIT_FSIZE, (limit, limit))
        with suppress(requests.ConnectionError):
            while statuses[-1] == 200 and len(statuses) < 500:
                statuses.append(exchange.order().status_code)
        assert exchange.process.wait(timeout=GENEROUS_S) == 74
        assert exchange.process.stderr is not None
        (line,) = exchange.process.stderr.read().splitlines()
    assert statuses.count(200) in (len(statuses), len(statuses) - 1)
    assert "the ledger can't be written (" in line
    with running(["--symbol", "BTC/USD"], ledger=path) as again:
        assert len(again.ledger()["orders"]) == statuses.count(200)
