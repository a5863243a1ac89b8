"""The ports in process show what the wire shows, to the last digit."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from tests.research.backtest.material import bars_of, run, settings_for, written
from trader.adapters.alpaca import convert
from trader.adapters.alpaca.data import _bars_of
from trader.adapters.journal.codec import encode
from trader.core.types import OrderSide, OrderType, Symbol, Timeframe, TimeInForce
from trader.exchange.api import data as api_data
from trader.exchange.api import trading as api_trading
from trader.exchange.api import wire
from trader.exchange.api.call import Call
from trader.exchange.engine.events import MatchingRules
from trader.exchange.engine.requests import NewOrder
from trader.exchange.ledger.memory import MemoryLedger
from trader.exchange.market.market import open_market
from trader.exchange.venue import Venue
from trader.research.backtest.inprocess import VenueBroker, VenueClock, VenueData, open_in_memory, order_of, plain
from trader.research.backtest.simulate import Recording, market_options

BTC, AAPL = Symbol("BTC/USD"), Symbol("AAPL")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("bars")
    return {s: written(bars_of(s, 400, n), folder / f"{n}.parquet") for n, s in enumerate(("BTC/USD", "AAPL"))}


@pytest.fixture(scope="module")
def recording(files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Recording:
    found, _ = run(settings_for(files, tmp_path_factory.mktemp("state")), cycles=120)
    assert found.journal.fills
    return found


def venue_of(files: dict[str, Path], state: Path) -> tuple[Venue, MemoryLedger]:
    market = open_market(market_options(settings_for(files, state)))
    return open_in_memory(market, cash=Decimal(100_000))


def test_every_order_of_a_run_is_shown_as_the_wire_would_show_it(recording: Recording) -> None:
    ledger = recording.venue.ledger
    assert isinstance(ledger, MemoryLedger)
    for order in ledger.history.values():
        legs = ledger.legs(order.id)
        shown = convert.order_of(wire.order(order, legs=legs))
        assert encode(order_of(order, tuple(order_of(leg, ()) for leg in legs))) == encode(shown)


def test_account_and_positions_are_those_of_the_wire(files: dict[str, Path], tmp_path: Path) -> None:
    venue, ledger = venue_of(files, tmp_path)
    broker = VenueBroker(venue, ledger)
    for text, qty in (("BTC/USD", "0.123456789"), ("AAPL", "3.7")):
        while not venue.market.is_open(Symbol(text), venue.now):
            venue.advance(venue.now + timedelta(hours=1))
        tif = TimeInForce.GTC if "/" in text else TimeInForce.DAY
        venue.submit(NewOrder(symbol=text, side=OrderSide.BUY, type=OrderType.MARKET, tif=tif, qty=Decimal(qty)))
    venue.advance(venue.now + timedelta(hours=2))
    call = Call(venue=venue, params={}, path={}, body=b"", faults=())
    account = convert.account_of(api_trading.get_account(call).body, venue.now)
    positions = [convert.position_of(row) for row in api_trading.list_positions(call).body]
    assert len(positions) == 2
    assert encode(broker.account()) == encode(account)
    assert [encode(each) for each in broker.positions()] == [encode(each) for each in positions]


def test_bars_and_quotes_are_those_of_the_wire(files: dict[str, Path], tmp_path: Path) -> None:
    venue, _ = venue_of(files, tmp_path)
    data = VenueData(venue)
    call = Call(venue=venue, params={}, path={}, body=b"", faults=())
    rows = venue.market.bars(BTC, Timeframe(4, "Hour"), start=None, end=venue.now, limit=12, newest=True)
    shown = _bars_of(BTC, Timeframe(4, "Hour"), [api_data.wire_data.bar(row) for row in rows])
    found = data.bars([BTC], Timeframe(4, "Hour"), end=venue.now, count=12)[BTC]
    assert np.array_equal(found.times, shown.times)
    assert np.array_equal(found.values, shown.values)
    quote = api_data._quote(call, BTC)
    assert quote is not None
    assert encode(data.quotes([BTC])[BTC]) == encode(
        convert.quote_of(BTC, api_data.wire_data.quote(quote), "alpaca:us")
    )


def test_no_bar_is_shown_before_it_has_closed(files: dict[str, Path], tmp_path: Path) -> None:
    venue, _ = venue_of(files, tmp_path)
    data = VenueData(venue)
    later = venue.now + timedelta(days=3)
    found = data.bars([BTC], Timeframe(1, "Hour"), end=later, count=1000)[BTC]
    assert found.last_start + timedelta(hours=1) <= venue.now


def test_the_clock_stops_at_a_fill_and_at_the_end(files: dict[str, Path], tmp_path: Path) -> None:
    venue, _ = venue_of(files, tmp_path)
    end = venue.now + timedelta(hours=5)
    clock = VenueClock(venue, end)
    price = plain(venue.quote(BTC).bid * Decimal("0.999")).quantize(Decimal("0.01"))  # type: ignore[union-attr]
    venue.submit(
        NewOrder(
            symbol="BTC/USD", side=OrderSide.BUY, type=OrderType.LIMIT, tif=TimeInForce.GTC, qty=Decimal("0.1"),
            limit_price=price,
        )
    )  # fmt: skip
    stops: list[datetime] = []
    while not clock.ended:
        stops.append(clock.wait_until(end + timedelta(hours=1)))
    assert stops[-1] == end
    assert len(stops) == 1 + venue.fills
    assert clock.wait_until(end + timedelta(days=1)) == end


def test_a_second_order_of_one_name_is_refused_as_a_duplicate(recording: Recording) -> None:
    broker = VenueBroker(recording.venue, recording.venue.ledger)  # type: ignore[arg-type]
    record = next(iter(recording.journal.intents()))
    outcome = broker.submit(record.intent)
    assert getattr(outcome, "duplicate", False)


def test_the_optimistic_order_of_extremes_is_the_other_one(files: dict[str, Path], tmp_path: Path) -> None:
    market = open_market(market_options(settings_for(files, tmp_path)))
    worse, _ = open_in_memory(market, cash=Decimal(100_000))
    better, _ = open_in_memory(market, cash=Decimal(100_000), rules=MatchingRules(optimistic=True))
    assert worse._low_first(BTC) is not better._low_first(BTC)
