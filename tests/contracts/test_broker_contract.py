"""One suite for every broker: what the cycle relies on, against a venue that runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tests.exchange.api.running import AT_ONCE, Running, running
from trader.adapters.alpaca.broker import AlpacaBroker
from trader.adapters.alpaca.clients import AlpacaEndpoints, RequestLimiter, build_clients
from trader.adapters.alpaca.data import AlpacaMarketData
from trader.adapters.clock import SimClock
from trader.core.market import to_datetime
from trader.core.types import (
    EntrySide,
    Order,
    OrderClass,
    OrderIntent,
    OrderStatus,
    OrderType,
    Purpose,
    Symbol,
    Timeframe,
    TimeInForce,
)
from trader.errors import CredentialsRefused
from trader.trading.ports import Accepted, Broker, Clock, MarketData, Refused, Undetermined

BTC, AAPL, NOTHING = Symbol("BTC/USD"), Symbol("AAPL"), Symbol("ZZZZZ/USD")
BAR = Timeframe.parse("15Min")
START = datetime(2024, 2, 1, 15, tzinfo=UTC)  # a Thursday, half an hour into the session
BEGINNING = START - timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Desk:
    """What a broker is tried with. `venue` scripts the trouble and knows the truth."""

    broker: Broker
    market: MarketData
    clock: Clock
    venue: Running
    problems: list[tuple[str, str]]
    count: Iterator[int]

    def buy(self, symbol: Symbol = BTC, qty: str = "0.1", **fields: object) -> OrderIntent:
        values: dict[str, object] = {
            "client_order_id": f"contract-{next(self.count)}",
            "symbol": symbol,
            "purpose": Purpose.ENTRY,
            "entry_side": EntrySide.LONG,
            "order_side": EntrySide.LONG.opening,
            "qty": Decimal(qty),
            "type": OrderType.MARKET,
            "tif": TimeInForce.GTC if symbol is BTC else TimeInForce.DAY,
        }
        return OrderIntent(**(values | fields))  # type: ignore[arg-type]

    def resting(self, price: str = "1000") -> Order:
        intent = self.buy(type=OrderType.LIMIT, limit_price=Decimal(price))
        outcome = self.broker.submit(intent)
        assert isinstance(outcome, Accepted)
        return outcome.order


@pytest.fixture(scope="module")
def venue() -> Iterator[Running]:
    arguments = ["--symbol", "BTC/USD,ETH/USD,AAPL", "--timeframe", "15Min", "--start", START.isoformat(), *AT_ONCE]
    with running(arguments) as found:
        yield found


@pytest.fixture(scope="module")
def shared(venue: Running) -> Iterator[Desk]:
    clock = SimClock(venue.url)
    endpoints = AlpacaEndpoints(
        key="key",
        secret="secret",
        trading_url=venue.url,
        data_url=venue.ready["data_url"],
        trade_stream_url=venue.ready["trade_stream_url"],
    )
    clients = build_clients(endpoints, pace=RequestLimiter(10_000, clock), deadline_s=5, first_backoff_s=0.01)
    problems: list[tuple[str, str]] = []

    def heard(kind: str, detail: str) -> None:
        problems.append((kind, detail))

    yield Desk(
        AlpacaBroker(clients, clock, heard),
        AlpacaMarketData(clients, heard),
        clock,
        venue,
        problems,
        iter(range(1_000_000)),
    )
    clients.close()
    clock.close()


@pytest.fixture
def desk(shared: Desk) -> Iterator[Desk]:
    """Nothing rests and no fault is on when a test begins."""
    shared.problems.clear()
    yield shared
    shared.venue.faults()
    for order in shared.broker.open_orders():
        shared.broker.cancel(order.id)


def test_the_account_and_the_books_are_read(desk: Desk) -> None:
    account = desk.broker.account()
    assert account.status == "ACTIVE"
    assert account.equity == Decimal(desk.venue.ledger()["equity"])
    assert isinstance(desk.broker, AlpacaBroker)
    assert desk.broker.validate().id == account.id
    assert desk.broker.venue_time() == desk.clock.now()


def test_an_order_fills_its_position_and_its_execution_say_the_same(desk: Desk) -> None:
    outcome = desk.broker.submit(desk.buy())
    assert isinstance(outcome, Accepted)
    order = desk.broker.order(outcome.order.id)
    assert order is not None
    assert order.status is OrderStatus.FILLED
    (fill,) = [each for each in desk.broker.executions(BEGINNING) if each.order_id == order.id]
    assert (fill.qty, fill.price) == (order.filled_qty, order.filled_avg_price)
    assert (fill.fee_currency, fill.fee, fill.fee_estimated) == ("BTC", Decimal("0.1") * Decimal("0.0025"), False)
    truth = {row["id"]: row for row in desk.venue.ledger()["executions"]}
    assert Decimal(truth[fill.id]["fee"]) == fill.fee
    held = {position.symbol: position.qty for position in desk.broker.positions()}
    assert held[BTC] == Decimal(desk.venue.ledger()["holdings"]["BTC/USD"])


def test_executions_begin_at_the_moment_asked_for_oldest_first(desk: Desk) -> None:
    desk.broker.submit(desk.buy())
    desk.clock.wait_until(desk.clock.now() + timedelta(minutes=1))
    later = desk.broker.submit(desk.buy())
    assert isinstance(later, Accepted)
    found = desk.broker.executions(later.order.submitted_at)
    assert [fill.order_id for fill in found] == [later.order.id]
    everything = desk.broker.executions(BEGINNING)
    assert [fill.at for fill in everything] == sorted(fill.at for fill in everything)
    assert len({fill.id for fill in everything}) == len(everything)


def test_more_executions_than_a_page_are_all_there(desk: Desk) -> None:
    before = len(desk.broker.executions(BEGINNING))
    for _ in range(60):  # each is a fill and a fee
        desk.broker.submit(desk.buy(qty="0.001"))
    found = desk.broker.executions(BEGINNING)
    assert len(found) == before + 60
    assert not any(fill.fee_estimated for fill in found)


def test_guard_12_the_same_id_again_is_a_duplicate_and_one_order(desk: Desk) -> None:
    intent = desk.buy()
    assert isinstance(desk.broker.submit(intent), Accepted)
    again = desk.broker.submit(intent)
    assert isinstance(again, Refused)
    assert again.duplicate
    adopted = desk.broker.order_by_client_id(intent.client_order_id)
    assert adopted is not None
    assert adopted.client_order_id == intent.client_order_id


@pytest.mark.parametrize(
    "trouble", [{"status": 504, "after": True}, {"reset_after": True}, {"html": True, "after": True}]
)
def test_guard_25_an_order_lost_on_the_way_back_is_found_by_its_id(desk: Desk, trouble: dict[str, object]) -> None:
    desk.venue.faults({"on": {"method": "POST", "path": "orders"}, "do": trouble})
    intent = desk.buy()
    outcome = desk.broker.submit(intent)
    assert isinstance(outcome, Undetermined)
    assert outcome.sent
    assert desk.broker.order_by_client_id(intent.client_order_id) is not None
    assert list(desk.venue.ledger()["orders"]).count(intent.client_order_id) == 1


def test_an_order_lost_on_the_way_there_does_not_exist(desk: Desk) -> None:
    desk.venue.faults({"on": {"method": "POST", "path": "orders"}, "do": {"reset_before": True}})
    intent = desk.buy()
    assert isinstance(desk.broker.submit(intent), Undetermined)
    assert desk.broker.order_by_client_id(intent.client_order_id) is None


def test_the_venues_no_is_told_with_its_code(desk: Desk) -> None:
    outcome = desk.broker.submit(desk.buy(qty="100000"))
    assert isinstance(outcome, Refused)
    assert (outcome.status, outcome.code, outcome.duplicate) == (403, 40310000, False)


def test_a_resting_order_is_open_until_its_cancel_is_confirmed(desk: Desk) -> None:
    order = desk.resting()
    assert [each.id for each in desk.broker.open_orders()] == [order.id]
    assert desk.broker.cancel(order.id)
    canceled = desk.broker.order(order.id)
    assert canceled is not None
    assert canceled.status is OrderStatus.CANCELED
    assert desk.broker.open_orders() == ()


def test_guard_04_a_cancel_that_comes_too_late_is_false(desk: Desk) -> None:
    order = desk.resting()
    assert desk.broker.cancel(order.id)
    assert not desk.broker.cancel(order.id)
    assert not desk.broker.cancel("00000000-0000-0000-0000-000000000000")


def test_an_oco_protects_a_stock_and_shows_its_stop(desk: Desk) -> None:
    assert isinstance(desk.broker.submit(desk.buy(AAPL, "3")), Accepted)
    price = desk.market.quotes([AAPL])[AAPL].mid
    protect = desk.buy(
        AAPL,
        "3",
        purpose=Purpose.PROTECT,
        order_side=EntrySide.LONG.closing,
        type=OrderType.LIMIT,
        tif=TimeInForce.GTC,
        limit_price=round(price * Decimal("1.2"), 2),
        stop_price=round(price * Decimal("0.8"), 2),
        order_class=OrderClass.OCO,
    )
    assert isinstance(desk.broker.submit(protect), Accepted)
    (resting,) = desk.broker.open_orders()
    assert resting.order_class is OrderClass.OCO
    prices = {each.stop_price for each in (resting, *resting.legs)}
    assert protect.stop_price in prices
    (held,) = [position for position in desk.broker.positions() if position.symbol == AAPL]
    assert (held.qty, held.qty_available) == (3, 0)


def test_guard_23_increments_come_from_the_asset(desk: Desk) -> None:
    found = desk.broker.instruments([BTC, AAPL, NOTHING])
    assert set(found) == {BTC, AAPL}
    assert found[BTC].lot < found[AAPL].tick
    assert found[BTC].min_notional == 10


def test_guard_13_sessions_come_from_the_venues_calendar(desk: Desk) -> None:
    friday = datetime(2024, 2, 16, tzinfo=UTC)  # Monday the 19th is a holiday
    sessions = desk.broker.sessions(friday, friday + timedelta(days=5))
    assert [session.open.day for session in sessions] == [16, 20]
    assert sessions[0].open == datetime(2024, 2, 16, 14, 30, tzinfo=UTC)


def test_reads_go_through_passing_trouble(desk: Desk) -> None:
    for trouble in ({"status": 503}, {"status": 429}, {"html": True}, {"reset_before": True}):
        desk.venue.faults({"on": {"method": "GET", "path": "account", "nth": 1}, "do": trouble})
        assert desk.broker.account().status == "ACTIVE"


def test_guard_16_wrong_keys_are_refused_at_the_start() -> None:
    with running(keys=("right", "secret")) as venue:
        endpoints = AlpacaEndpoints(
            key="wrong", secret="secret", trading_url=venue.url, data_url=venue.url, trade_stream_url=""
        )
        broker = AlpacaBroker(build_clients(endpoints), SimClock(venue.url, key="right", secret="secret"))
        with pytest.raises(CredentialsRefused):
            broker.validate()
        with pytest.raises(CredentialsRefused):
            SimClock(venue.url, key="wrong", secret="secret")


# ---- market data ----


def test_bars_are_closed_ones_newest_last_and_the_count_asked_for(desk: Desk) -> None:
    now = desk.clock.now()
    found = desk.market.bars([BTC, NOTHING, AAPL], BAR, end=now, count=20)
    assert set(found) == {BTC, AAPL}
    bars = found[BTC]
    assert len(bars) == 20
    assert bars.last_start == BAR.floor(now) - BAR.duration
    assert (bars.values[:, 1] >= bars.values[:, 2]).all()
    between = to_datetime(bars.times[-1]) + BAR.duration - timedelta(seconds=1)
    earlier = desk.market.bars([BTC], BAR, end=between, count=5)[BTC]
    assert earlier.last_start == bars.last_start - BAR.duration


def test_bars_kept_between_calls_are_the_ones_that_the_venue_has(desk: Desk) -> None:
    assert isinstance(desk.market, AlpacaMarketData)
    for _ in range(4):
        desk.clock.wait_until(desk.clock.now() + BAR.duration)
        kept = desk.market.bars([BTC], BAR, end=desk.clock.now(), count=30)[BTC]
        fresh = AlpacaMarketData(desk.market._clients).bars([BTC], BAR, end=desk.clock.now(), count=30)[BTC]
        assert (kept.times == fresh.times).all()
        assert (kept.values == fresh.values).all()


def test_quotes_are_the_venues_unjudged(desk: Desk) -> None:
    quotes = desk.market.quotes([BTC, NOTHING])
    assert set(quotes) == {BTC}
    assert quotes[BTC].synthetic
    assert quotes[BTC].bid < quotes[BTC].ask
    for kind in ("zero", "crossed", "one_sided"):
        desk.venue.faults({"on": {"path": "quotes"}, "do": {"quote": kind}})
        odd = desk.market.quotes([BTC])[BTC]
        assert odd.bid <= 0 or odd.ask <= odd.bid
    desk.venue.faults({"on": {"path": "quotes"}, "do": {"quote": "absent"}})
    assert desk.market.quotes([BTC]) == {}
