"""What the venue's activities tell besides fills is booked as what it is, once, whenever it is told and wherever the
daemon dies; and no fee, deposit or withdrawal is taken for a loss or a profit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import ROUND_UP, Decimal
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.trading.bench import CONTEXT, Bench, bench_on, level_bars, restarted
from trader.core.performance import performance
from trader.core.postings import Posting
from trader.core.types import Account, Execution, OrderSide, Symbol
from trader.exchange.engine.events import Posted
from trader.exchange.ledger.memory import MemoryLedger
from trader.exchange.venue import Venue
from trader.research.backtest.inprocess import VenueBroker, VenueClock, fill_of
from trader.research.backtest.memory_journal import MemoryJournal

BTC, AAPL = Symbol("BTC/USD"), Symbol("AAPL")
D = Decimal
NUMBERS = count()


def on(folder: Path, **more: Any) -> Bench:
    bars = level_bars(count=140)
    bars.loc[CONTEXT + 1, "low"] = 99.0  # for `enter`
    return bench_on({"BTC/USD": bars}, folder, **more)


def post(bench: Bench, kind: str, cash: str = "0", *, late_s: float = 0, symbol: Symbol | None = None, qty: str = "0"):  # type: ignore[no-untyped-def]
    now = bench.venue.now
    entry = Posted(
        id=f"{now:%Y%m%d}000000000::{next(NUMBERS)}", kind=kind, listed_at=now + timedelta(seconds=late_s),
        day=now.date(), cash=D(cash), symbol=symbol, qty=D(qty), units=D(qty),
    )  # fmt: skip
    bench.venue.post(entry)
    return entry


def later(bench: Bench, seconds: float = 5) -> None:
    bench.go(bench.venue.now + timedelta(seconds=seconds))
    bench.desk.sync()


def kinds(bench: Bench) -> list[tuple[str, Decimal]]:
    return [(each.kind, each.cash) for each in bench.journal.corrections[1:]]


def agrees(bench: Bench) -> bool:
    return bench.journal.believed().cash == bench.venue.books.cash and not bench.desk.flags()["halted"]


@pytest.mark.parametrize(
    ("kind", "cash", "booked"),
    [
        ("CSD", "50000", "transfer"), ("CSW", "-40000", "transfer"), ("JNLC", "-300", "transfer"),
        ("DIV", "200", "div"),
        ("INT", "-150", "int"), ("FEE", "-500", "fee"), ("CFEE", "-80", "cfee"), ("ODD", "-700", "odd"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("late_s", [0, 40])
def test_money_is_booked_by_the_type_of_its_activity_and_never_halts(
    tmp_path: Path, kind: str, cash: str, booked: str, late_s: float
) -> None:
    """Told at once, or within the minute that the lists are out of step on any day."""
    bench = on(tmp_path)
    bench.desk.risk_state(bench.desk.sync())
    post(bench, kind, cash, late_s=late_s)
    for _ in range(15):
        later(bench)
    bench.go(bench.venue.now + timedelta(hours=2))
    bench.desk.sync()
    assert kinds(bench) == [(booked, D(cash))]
    assert kind in bench.journal.corrections[-1].detail
    assert agrees(bench)
    assert not bench.desk.doubt()
    moved = D(cash) if booked == "transfer" else D(0)
    assert bench.journal.moved() == moved
    after = bench.desk.risk_state(bench.desk.sync())
    assert (after.day_start_equity, after.peak_equity) == (100_000 + moved, 100_000 + moved)


def test_units_that_an_activity_explains_are_booked_and_a_split_is_asked_about(tmp_path: Path) -> None:
    bench = on(tmp_path)
    bench.by_hand(BTC, OrderSide.BUY, "1")
    bench.desk.sync()
    post(bench, "JNLS", symbol=BTC, qty="2")
    later(bench)
    assert bench.journal.believed().positions[BTC] == bench.held(BTC)
    assert not bench.desk.doubt()
    post(bench, "SPLIT", symbol=BTC, qty="2.5")
    later(bench)
    assert bench.desk.doubt()


def test_a_dividend_that_was_taken_for_a_deposit_is_none_once_it_is_told(tmp_path: Path) -> None:
    bench = on(tmp_path)
    bench.desk.risk_state(bench.desk.sync())
    post(bench, "DIV", "900", late_s=5000)
    later(bench)
    assert kinds(bench) == [("transfer", D(900))]
    bench.go(bench.venue.now + timedelta(hours=3))
    bench.desk.sync()
    assert kinds(bench) == [("div", D(900))]
    assert bench.journal.moved() == 0
    assert bench.desk.risk_state(bench.desk.sync()).day_start_equity == 100_000
    assert agrees(bench)


# ---- fees that are posted when the day is over ----


class FeesLate(VenueBroker):
    """As the venue is: a fee is posted the day after, in a coin with its symbol, in dollars without and to the cent."""

    def executions(self, after: datetime) -> Sequence[Execution]:
        fills = [fill_of(replace(each, fee=D(0))) for each in self._ledger.fills_since(after)]
        return tuple(sorted(fills, key=lambda fill: (fill.at, fill.id)))

    def postings(self, after: datetime) -> Sequence[Posting]:
        found = list(super().postings(after))
        for each in self._ledger.fills:
            day = each.at.date()
            if day < self._venue.now.date() and day >= after.date():
                found.append(self._posted(each))
        return tuple(reversed(found))

    def _posted(self, fill: Execution) -> Posting:
        coin = fill.side is OrderSide.BUY
        return Posting(
            id=f"fee-{fill.id}", kind="CFEE", day=fill.at.date(), symbol=fill.symbol if coin else None,
            qty=-fill.fee if coin else D(0), cash=D(0) if coin else -fill.fee.quantize(D("0.01"), ROUND_UP),
        )  # fmt: skip


class TakenLate(FeesLate):
    """And what is charged in dollars is taken an hour before that."""

    def account(self) -> Account:
        found, ends = super().account(), self._venue.now + timedelta(hours=1)
        owed = sum([f.fee for f in self._ledger.fills if f.side is OrderSide.SELL and f.at.date() == ends.date()], D(0))
        return replace(found, cash=found.cash + owed, equity=found.equity + owed)


def traded(bench: Bench) -> None:
    bench.desk.sync()
    bench.by_hand(BTC, OrderSide.BUY, "40", "99.50")  # a maker: less than our estimate
    bench.go(bench.venue.now + timedelta(hours=2))
    bench.desk.sync()
    assert bench.held(BTC)
    for side, qty in ((OrderSide.BUY, "300"), (OrderSide.SELL, "8"), (OrderSide.SELL, "250")):
        bench.by_hand(BTC, side, qty)
        bench.desk.sync()


@pytest.mark.parametrize("broker", [FeesLate, TakenLate])
def test_fees_of_the_day_become_the_posted_ones_and_nothing_halts(tmp_path: Path, broker: type[FeesLate]) -> None:
    """Whether they are taken at once, or hours before anything tells of them."""
    bench = on(tmp_path, broker_of=broker)
    traded(bench)
    assert all(fill.fee_estimated for fill in bench.journal.fills)
    midnight = bench.venue.now.replace(hour=0, minute=0, second=0) + timedelta(days=1)
    bench.go(midnight - timedelta(minutes=50))
    for _ in range(20):
        later(bench, 30)
        assert not bench.desk.doubt()
    bench.go(midnight + timedelta(hours=2))
    bench.desk.sync()
    later(bench)
    true = {fill.id: fill.fee for fill in bench.ledger.fills}
    assert not any(fill.fee_estimated for fill in bench.journal.fills)
    for fill in bench.journal.fills:
        assert abs(fill.fee - true[fill.id]) <= (D("0.01") if fill.side is OrderSide.SELL else D(0))
    assert abs(bench.journal.believed().cash - bench.venue.books.cash) < D("0.01")
    assert bench.journal.believed().positions.get(BTC, D(0)) == bench.held(BTC)
    assert not bench.alerts("halt")
    assert not bench.desk.doubt()


def test_a_restart_on_the_day_after_finds_the_fees_of_the_day_before(tmp_path: Path) -> None:
    bench = on(tmp_path, broker_of=FeesLate)
    traded(bench)
    bench.go(bench.venue.now.replace(hour=0, minute=0, second=0) + timedelta(days=1, hours=2))
    again = restarted(bench, "BTC/USD", tmp_path, broker=FeesLate(bench.venue, bench.ledger))
    later(again)
    assert not any(fill.fee_estimated for fill in bench.journal.fills)
    assert not again.alerts("halt")


# ---- wherever it dies ----


class Dies(BaseException):
    """As `kill -9` does: nothing of the daemon's catches it."""


class Mortal(MemoryJournal):
    """Dies before its `dies_at`-th write from now."""

    dies_at: int | None = None

    def __getattribute__(self, name: str) -> Any:
        if name in ("save_sync", "correction", "set_meta", "claim", "settle_fees"):
            left = object.__getattribute__(self, "dies_at")
            if left is not None:
                self.dies_at = left - 1
                if left <= 0:
                    raise Dies
        return super().__getattribute__(name)


@pytest.mark.parametrize("late_s", [0, 30, 7200])
@pytest.mark.parametrize("place", range(8))
def test_a_deposit_then_a_crash_then_midnight_counts_once(tmp_path: Path, place: int, late_s: float) -> None:
    journal = Mortal()
    bench = on(tmp_path, journal=journal)
    bench.desk.risk_state(bench.desk.sync())
    midnight = bench.venue.now.replace(hour=0, minute=0) + timedelta(days=1)
    bench.go(midnight - timedelta(minutes=2))
    bench.desk.sync()
    post(bench, "CSD", "50000", late_s=late_s)
    journal.dies_at = place
    try:
        for _ in range(3):
            later(bench)
    except Dies:
        bench.go(midnight + timedelta(minutes=30))
        journal.dies_at = None
        bench = restarted(bench, "BTC/USD", tmp_path)
    journal.dies_at = None
    bench.go(midnight + timedelta(hours=4))
    for _ in range(3):
        later(bench)
    state = bench.desk.risk_state(bench.desk.sync())
    assert (state.day_start_equity, state.peak_equity) == (150_000, 150_000)
    assert sum(each.cash for each in journal.corrections if each.kind == "transfer") == journal.moved() == 50_000
    assert agrees(bench)
    points = [(each.at, each.equity) for each in journal.points if not each.doubtful]
    moved = [(each.at, each.cash) for each in journal.corrections if each.kind == "transfer"]
    found = performance([*points, (bench.venue.now, D(150_000))], [], {}, {}, timedelta(hours=1), moved)
    assert found is not None
    assert (found.total_return, found.max_drawdown) == (0, 0)


def test_a_day_that_begins_with_a_start_does_not_count_a_deposit_of_the_day_before_again(tmp_path: Path) -> None:
    bench = on(tmp_path)
    bench.desk.risk_state(bench.desk.sync())
    post(bench, "CSD", "50000")
    later(bench)
    bench.by_hand(BTC, OrderSide.BUY, "1")
    later(bench)
    bench.go(bench.venue.now.replace(hour=0, minute=0) + timedelta(days=1, hours=2))
    bench = restarted(bench, "BTC/USD", tmp_path)
    start = bench.desk.risk_state(bench.desk.sync()).day_start_equity
    assert start is not None
    assert abs(start - 150_000) < 1


@pytest.mark.parametrize("place", range(12))
def test_fees_that_are_settled_while_it_dies_are_settled_once(tmp_path: Path, place: int) -> None:
    journal = Mortal()
    bench = on(tmp_path, journal=journal, broker_of=FeesLate)
    traded(bench)
    bench.go(bench.venue.now.replace(hour=0, minute=0, second=0) + timedelta(days=1, hours=2))
    journal.dies_at = place
    try:
        for _ in range(2):
            later(bench, 20)
    except Dies:
        journal.dies_at = None
        bench = restarted(bench, "BTC/USD", tmp_path, broker=FeesLate(bench.venue, bench.ledger))
    journal.dies_at = None
    for _ in range(3):
        later(bench, 20)
    assert not any(fill.fee_estimated for fill in journal.fills)
    assert abs(journal.believed().cash - bench.venue.books.cash) < D("0.01")
    assert journal.believed().positions.get(BTC, D(0)) == bench.held(BTC)
    assert not bench.alerts("halt")


# ---- clocks, and fills that are owed ----


def shifted(by: timedelta) -> Callable[[Venue], VenueClock]:
    class Shifted(VenueClock):
        def now(self) -> datetime:
            return super().now() + by

        def wait_until(self, moment: datetime) -> datetime:
            super().wait_until(moment - by)
            return self.now()

    return Shifted


@pytest.mark.parametrize("hours", [-1, 0, 1])
def test_a_clock_that_is_off_by_an_hour_neither_loses_nor_doubles_a_fill(tmp_path: Path, hours: int) -> None:
    """One minute before the first start, and one minute after it."""

    class TradedBefore(VenueBroker):
        def __init__(self, venue: Venue, ledger: MemoryLedger) -> None:
            super().__init__(venue, ledger)
            bench = Bench(venue, ledger, None, _Pause(venue), None, None)  # type: ignore[arg-type]
            bench.by_hand(BTC, OrderSide.BUY, "1")
            venue.advance(venue.now + timedelta(minutes=1))

    bench = on(tmp_path, broker_of=TradedBefore, clock_of=shifted(timedelta(hours=hours)))
    assert not bench.journal.fills
    bench.venue.advance(bench.venue.now + timedelta(minutes=1))
    bench.by_hand(BTC, OrderSide.BUY, "2")
    for _ in range(3):
        later(bench, 30)
    assert [fill.qty for fill in bench.journal.fills] == [2]
    assert bench.journal.believed().positions[BTC] == bench.held(BTC)
    assert agrees(bench)
    assert not bench.desk.doubt()


class _Pause:
    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def pause(self, seconds: float) -> None:
        self._venue.advance(self._venue.now + timedelta(seconds=seconds))


class TellsNone(VenueBroker):
    untold = False

    def executions(self, after: datetime) -> Sequence[Execution]:
        return () if self.untold else super().executions(after)


def test_a_fill_that_is_owed_for_minutes_is_told_once_and_when_it_is_over(tmp_path: Path) -> None:
    bench = on(tmp_path, broker_of=TellsNone)
    broker = bench.desk.broker
    assert isinstance(broker, TellsNone)
    broker.untold = True
    bench.enter(BTC)
    for _ in range(4):
        later(bench, 60)
    assert not bench.alerts("owed"), "a minute or four are a venue's lag"
    for _ in range(4):
        later(bench, 60)
    assert [each.severity for each in bench.alerts("owed")] == ["error"]
    broker.untold = False
    later(bench, 60)
    assert [each.severity for each in bench.alerts("owed")] == ["error", "info"]
    assert bench.journal.fills
