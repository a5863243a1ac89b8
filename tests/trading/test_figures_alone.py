"""No figure of the venue's is believed alone: equity, the peak; and what goes wrong again and again ends entries."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.trading.bench import CONTEXT, Bench, bench_on, level_bars
from trader.adapters.journal import Journal
from trader.core.equity import Counted
from trader.core.types import Account, OrderIntent, Portfolio, Symbol
from trader.exchange.ledger.memory import MemoryLedger
from trader.exchange.venue import Venue
from trader.research.backtest.inprocess import VenueBroker
from trader.trading.commands import Commands
from trader.trading.ports import Refused, Submission

BTC = Symbol("BTC/USD")
D = Decimal


class Lying(VenueBroker):
    """`factor`: of the equity that is told, `cash` of the cash. `no`: entries are refused."""

    def __init__(self, venue: Venue, ledger: MemoryLedger) -> None:
        super().__init__(venue, ledger)
        self.factor = self.cash = D(1)
        self.no = False

    def account(self) -> Account:
        found = super().account()
        power = found.buying_power * max(self.factor, D(1))
        return replace(
            found, equity=found.equity * self.factor, cash=found.cash * self.cash, buying_power=power
        )  # fmt: skip

    def submit(self, intent: OrderIntent) -> Submission:
        if self.no and not intent.purpose.reduces:
            return Refused(reason="no", code=40399999, status=403)
        return super().submit(intent)


def on(folder: Path, **flags: object) -> tuple[Bench, Lying]:
    bench = bench_on({"BTC/USD": level_bars(count=140)}, folder, broker_of=Lying, **flags)
    bench.want(BTC, "99.50", "103.00", "97.00")
    broker = bench.desk.broker
    assert isinstance(broker, Lying)
    return bench, broker


@pytest.mark.parametrize("factor", ["10", "0.1", "0", "-1"])
def test_an_equity_that_cash_and_units_contradict_enters_nothing_and_is_told(tmp_path: Path, factor: str) -> None:
    bench, broker = on(tmp_path)
    bench.cycle()
    before = bench.open_orders(BTC)[0].qty
    broker.factor = D(factor)
    for _ in range(3):
        bench.cycle()
        assert not bench.open_orders(BTC)
    assert [alert.severity for alert in bench.alerts("equity")] == ["error"]
    broker.factor = D(1)
    bench.cycle()
    assert bench.open_orders(BTC)[0].qty == before
    assert not bench.alerts("gate"), "no gate has latched on it"
    assert [alert.severity for alert in bench.alerts("equity")] == ["error", "info"]


@pytest.mark.parametrize("factor", ["10", "0.1", "0", "-1"])
def test_cash_that_the_venues_own_equity_contradicts_is_booked_by_nobody_but_a_person(
    tmp_path: Path, factor: str
) -> None:
    bench, broker = on(tmp_path)
    bench.cycle()
    broker.cash = D(factor)
    for _ in range(3):
        bench.cycle()
        assert not bench.open_orders(BTC)
    assert bench.desk.known.books().cash == 100_000
    assert [each.kind for each in bench.journal.corrections] == ["opening"]
    assert "knows nothing of it" in bench.alerts("books")[0].detail
    assert not bench.alerts("halt"), "an answer that is wrong for a while wakes nobody"
    broker.cash = D(1)
    bench.cycle()
    assert bench.open_orders(BTC)


class Unsteady(VenueBroker):
    """Its first answers tell of ten times the cash."""

    odd = 3

    def account(self) -> Account:
        found = super().account()
        self.odd -= 1
        return replace(found, cash=found.cash * 10) if self.odd >= 0 else found


def test_the_books_do_not_open_on_cash_that_the_equity_contradicts(tmp_path: Path) -> None:
    bench = bench_on({"BTC/USD": level_bars()}, tmp_path, broker_of=Unsteady)
    assert bench.desk.known.books().cash == 100_000
    assert [each.kind for each in bench.journal.corrections] == ["opening"]


def test_a_tenfold_equity_is_recorded_beside_our_own_count_and_is_no_day_of_profit(tmp_path: Path) -> None:
    bench, broker = on(tmp_path)
    bench.cycle()
    broker.factor = D(10)
    for _ in range(3):
        bench.cycle()
    broker.factor = D(1)
    bench.cycle()
    doubtful = [point for point in bench.journal.points if point.doubtful]
    assert {(point.equity, point.own) for point in doubtful} == {(1_000_000, 100_000)}
    path = tmp_path / "journal.db"
    with Journal.open(f"sqlite:///{path}") as journal:
        for point in bench.journal.points:
            count = Counted(equity=point.own, moved=point.moved, doubtful=point.doubtful)
            account = replace(broker.account(), equity=point.equity, cash=point.cash)
            book = Portfolio(account=account, positions={}, orders=(), at=point.at)
            journal.save_sync(book, (), (), count)
        assert {point.equity for point in journal.equity_points(doubtful=True)} == {100_000, 1_000_000}
        points = [(point.at, point.equity) for point in journal.equity_points()]
        last = journal.last_equity(doubtful[-1].at + timedelta(seconds=1))
    assert {equity for _, equity in points} == {D(100_000)}
    assert last is not None
    assert last.equity == 100_000


@pytest.mark.parametrize(("answers", "band"), [(1, "100"), (2, "100"), (3, "0.02"), (9, "0.02")])
def test_a_first_equity_that_is_wrong_is_no_peak(tmp_path: Path, answers: int, band: str) -> None:
    """So many answers of the account are: a few that nothing contradicts, or more that our own count does."""

    class LyingFirst(Lying):
        def account(self) -> Account:
            nonlocal answers
            found = super().account()
            if not bench_is_up:
                return found
            answers -= 1
            return replace(found, equity=found.equity * 10) if answers >= 0 else found

    bench_is_up = False
    bench = bench_on({"BTC/USD": level_bars(count=140)}, tmp_path, broker_of=LyingFirst)
    bench.want(BTC, "99.50", "103.00", "97.00")
    bench.desk.equity_band = D(band)
    bench_is_up = True
    portfolio = bench.desk.sync()
    state = bench.desk.risk_state(portfolio)
    assert (state.peak_equity, state.day_start_equity) == (None, 100_000)
    for _ in range(12):
        bench.cycle()
        assert answers < 0 or not bench.open_orders(BTC), "nothing is entered meanwhile"
    assert bench.open_orders(BTC)
    state = bench.desk.risk_state(bench.desk.sync())
    assert (state.peak_equity, state.day_start_equity) == (100_000, 100_000)


def test_one_tenfold_answer_wakes_nobody_and_ends_nothing(tmp_path: Path) -> None:
    bench, broker = on(tmp_path)
    broker.factor = D(10)
    bench.desk.sync()
    broker.factor = D(1)
    bench.cycle()
    assert bench.open_orders(BTC)
    assert not bench.alerts("equity")


@dataclass(frozen=True)
class Asked:
    kind: str
    id: int = 1
    args: dict[str, str] = field(default_factory=dict)


def test_a_drawdown_gate_is_told_each_day_and_a_person_can_measure_anew(tmp_path: Path) -> None:
    bench, _ = on(tmp_path, risk__max_drawdown=D("0.10"), risk__max_daily_loss=D("0.9"))
    bench.cycle()
    bench.desk._memory.peak.value = D(200_000)
    for _ in range(30):
        bench.cycle()
        assert not bench.open_orders(BTC)
    told = [alert.at.date() for alert in bench.alerts("gate")]
    assert len(told) == len(set(told)) >= 2
    assert "reset-peak" in bench.alerts("gate")[0].detail
    Commands(desk=bench.desk, on_reload=str, on_resume=bench.manager.guards.clear).carry_out(Asked("resume"))
    bench.cycle()
    assert not bench.open_orders(BTC)
    Commands(desk=bench.desk, on_reload=str, on_resume=bench.manager.guards.clear).carry_out(
        Asked("resume", args={"reset_peak": "yes"})
    )
    bench.cycle()
    assert bench.open_orders(BTC)
    assert bench.alerts("gate")[-1].severity == "info"


def test_entries_refused_in_a_row_end_entries_until_a_person_resumes(tmp_path: Path) -> None:
    bench, broker = on(tmp_path, risk__max_refusals=3)
    broker.no = True
    for _ in range(5):
        bench.cycle()
    assert len([each for each in bench.journal.all_intents.values() if not each.intent.purpose.reduces]) == 3
    assert bench.alerts("gate")
    broker.no = False
    bench.cycle()
    assert not bench.open_orders(BTC)
    Commands(desk=bench.desk, on_reload=str, on_resume=bench.manager.guards.clear).carry_out(Asked("resume"))
    bench.cycle()
    assert bench.open_orders(BTC)


@pytest.mark.parametrize("flags", [{"risk__max_day_orders": 2}, {"risk__max_day_notional": D("0.15")}])
def test_what_is_entered_in_a_day_is_bounded_and_the_next_day_begins_anew(
    tmp_path: Path, flags: dict[str, object]
) -> None:
    bench, _ = on(tmp_path, **flags)
    for _ in range(4):
        bench.cycle()
    assert not bench.open_orders(BTC)
    assert len(bench.journal.all_intents) == 2
    assert bench.alerts("gate")
    bench.go(bench.venue.now.replace(hour=0, minute=1) + timedelta(days=1))
    bench.cycle()
    assert bench.open_orders(BTC)


def test_losing_exits_in_a_row_end_entries(tmp_path: Path) -> None:
    bars = level_bars()
    for bar in (1, 3, 5, 7, 9):
        bars.loc[CONTEXT + bar, "low"] = 96.0
    bench = bench_on(
        {"BTC/USD": bars}, tmp_path, risk__max_losing_exits=2, risk__cooldown_s=0, exits__exit_rests="stop"
    )
    bench.want(BTC, "99.50", "103.00", "97.00")
    for _ in range(10):
        bench.cycle()
        bench.go(bench.venue.now.replace(minute=59))
        bench.manage()
    exits = [fill for fill in bench.journal.executions() if fill.side.sign < 0]
    assert len({fill.order_id for fill in exits}) == 2
    assert any("losing_exits" in alert.detail for alert in bench.alerts("gate"))
