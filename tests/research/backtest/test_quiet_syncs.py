"""A sync that finds the venue as it was does not reconcile again; one that finds anything else does."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.research.backtest.material import bars_of, settings_for, written
from trader.core.decision import Levels
from trader.core.exits import ExitWish
from trader.core.reconcile import Believed, Reconciliation, Reported, reconcile
from trader.core.types import EntrySide, OrderSide, OrderType, Purpose, Symbol, TimeInForce
from trader.exchange.engine.requests import NewOrder
from trader.exchange.market.market import open_market
from trader.exchange.venue import Venue
from trader.research.backtest.inprocess import VenueBroker, VenueClock, open_in_memory
from trader.research.backtest.memory_journal import MemoryJournal
from trader.research.backtest.simulate import market_options
from trader.trading import bookkeeping
from trader.trading.desk import Desk
from trader.trading.status import Board

BTC = Symbol("BTC/USD")


class Reconciling:
    """Counts, and does it."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, believed: Believed, reported: Reported, *, accepted: str = "") -> Reconciliation:
        self.times += 1
        return reconcile(believed, reported, accepted=accepted)


@pytest.fixture
def reconciling(monkeypatch: pytest.MonkeyPatch) -> Reconciling:
    counted = Reconciling()
    monkeypatch.setattr(bookkeeping, "reconcile", counted)
    return counted


@pytest.fixture
def venue(tmp_path: Path) -> Venue:
    files = {"BTC/USD": written(bars_of("BTC/USD", 200), tmp_path / "bars.parquet")}
    return open_in_memory(open_market(market_options(settings_for(files, tmp_path))), cash=Decimal(100_000))[0]


@pytest.fixture
def desk(venue: Venue) -> Desk:
    clock = VenueClock(venue)
    board = Board(
        mode="sim", backend="none", strategy="flat", timeframe="1Hour", symbols=(BTC,), market_time=clock.now()
    )
    broker = VenueBroker(venue, venue.ledger)
    made = Desk(broker, MemoryJournal(), clock, board, broker.account().id, lambda *alert: None)
    made.sync()
    made.sync()  # the first one opened the books
    return made


def bought_by_hand(venue: Venue, limit: Decimal | None = None) -> str:
    kind = OrderType.MARKET if limit is None else OrderType.LIMIT
    order = NewOrder(
        symbol="BTC/USD", side=OrderSide.BUY, type=kind, tif=TimeInForce.GTC, qty=Decimal("0.1"), limit_price=limit
    )
    return venue.submit(order).id


def test_nothing_new_is_not_reconciled_again(desk: Desk, venue: Venue, reconciling: Reconciling) -> None:
    for _ in range(5):
        venue.advance(venue.now + timedelta(hours=1))
        desk.sync()
    assert reconciling.times == 0


def test_what_somebody_else_bought_is_seen(desk: Desk, venue: Venue, reconciling: Reconciling) -> None:
    bought_by_hand(venue)
    desk.sync()
    assert reconciling.times > 0
    kinds = {each.kind for each in desk.journal.corrections if each.kind != "opening"}
    assert not kinds  # the venue told the execution
    assert desk.journal.believed().positions == {BTC: venue.books.holdings[BTC].qty}


def test_an_order_of_somebody_else_is_seen_come_and_go(desk: Desk, venue: Venue, reconciling: Reconciling) -> None:
    name = bought_by_hand(venue, Decimal(1_000))
    desk.sync()
    assert reconciling.times == 1
    desk.sync()
    assert reconciling.times == 1
    venue.cancel(name)
    desk.sync()
    assert reconciling.times == 2


def test_an_intent_that_may_be_lost_is_asked_for_at_each_sync(desk: Desk, reconciling: Reconciling) -> None:
    """Journaled, and never heard of: the venue's report stays the same, and the intent is asked for all the same."""
    wish = ExitWish(
        symbol=BTC,
        purpose=Purpose.STOP,
        entry_side=EntrySide.LONG,
        qty=Decimal("0.1"),
        type=OrderType.STOP_LIMIT,
        tif=TimeInForce.GTC,
        limit_price=Decimal(900),
        stop_price=Decimal(1_000),
    )
    desk.intent_for(wish, lambda: "20240101T000000Z-manage")
    desk.sync()
    once = reconciling.times
    desk.sync()
    assert reconciling.times == 2 * once >= 2


def test_the_equity_is_kept_where_only_marks_move(desk: Desk, venue: Venue, reconciling: Reconciling) -> None:
    bought_by_hand(venue)
    desk.sync()
    desk.sync()
    done, points = reconciling.times, len(desk.journal.points)
    for _ in range(3):
        venue.advance(venue.now + timedelta(hours=1))
        desk.sync()
    assert reconciling.times == done
    assert len(desk.journal.points) == points + 3


def test_a_report_that_contradicts_the_books_is_doubted_again(desk: Desk, reconciling: Reconciling) -> None:
    """The journal has changed, the venue has not: a sync must not rest on what it found before."""
    desk.known.correct("test", desk.clock.now(), cash=Decimal(-5_000))
    desk.sync()
    assert reconciling.times > 0
    assert any(each.kind == "transfer" for each in desk.journal.corrections)


def test_levels_that_were_made_anew_are_looked_at_again(desk: Desk, reconciling: Reconciling) -> None:
    """A split is told from them, too."""
    fresh = Levels(
        symbol=BTC,
        entry_side=EntrySide.LONG,
        target=None,
        stop=Decimal(1_000),
        set_at=desk.clock.now(),
        expires_at=None,
    )
    desk.known.save_levels([fresh])
    desk.sync()
    assert reconciling.times == 1
    desk.sync()
    assert reconciling.times == 1
