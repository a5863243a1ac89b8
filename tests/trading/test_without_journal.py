"""A journal that takes nothing while something is held: entries wait, what rests stays, exits go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.trading.bench import CONTEXT, Bench, bench_on, level_bars, restarted
from tests.trading.test_partly_there import beats, protected, stops
from trader.adapters.journal.store import DiskFull
from trader.adapters.reserve import Reserve
from trader.core.exits import ExitWish
from trader.core.ids import parse_client_order_id
from trader.core.orders import IntentState
from trader.core.types import OrderIntent, OrderSide, Purpose, Symbol
from trader.errors import DatabaseAway
from trader.research.backtest.inprocess import VenueBroker
from trader.research.backtest.memory_journal import MemoryJournal
from trader.trading import failpoints
from trader.trading.in_reserve import InReserve, take_in
from trader.trading.last_run import leave_safe
from trader.trading.ports import Submission

D = Decimal
BTC, ETH = Symbol("BTC/USD"), Symbol("ETH/USD")
READS = (
    "cycle", "intents", "attempts", "believed", "executions", "levels", "pending_commands", "get_meta", "flag", "moved",
    "postings", "unclaimed", "last_execution_at", "last_equity",
)  # fmt: skip
WRITES = (
    "begin_cycle", "close_cycle", "save_plan", "add_intents", "set_intent", "save_sync", "correction", "save_levels",
    "drop_levels", "set_flag", "finish_command", "alert", "set_meta", "put_status", "claim", "settle_fees",
)  # fmt: skip
Crash = type("Crash", (BaseException,), {})


class Ailing(MemoryJournal):
    """`error`: of each write, and with `deaf` of each read, too."""

    error: Exception | None = None
    deaf = True

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        error = super().__getattribute__("error")
        if error is None or not (name in WRITES or (name in READS and super().__getattribute__("deaf"))):
            return found

        def fail(*args: object, **named: object) -> None:
            raise error

        return fail


class Noting(VenueBroker):
    """`on_submit` is told of each order before it goes."""

    on_submit: Callable[[OrderIntent], object] = staticmethod(lambda intent: None)  # type: ignore[assignment]

    def submit(self, intent: OrderIntent) -> Submission:
        self.on_submit(intent)
        return super().submit(intent)


def on(
    folder: Path, *symbols: str, broker_of: type[Noting] = Noting, journal: Ailing | None = None, **flags: object
) -> tuple[Bench, Ailing, Reserve]:
    bars = {}
    for symbol in symbols or ("BTC/USD",):
        bars[symbol] = level_bars(symbol)
        bars[symbol].loc[CONTEXT + 1, "low"] = 99.0
    flags = {"exits__exit_rests": "stop", **flags}
    journal = journal or Ailing()
    bench = bench_on(bars, folder, broker_of=broker_of, journal=journal, **flags)
    return bench, journal, with_reserve(bench, folder)


def with_reserve(bench: Bench, folder: Path) -> Reserve:
    reserve = Reserve(folder / "state", "sim", bench.desk.account_id, 1)
    bench.manager.without.store = reserve
    bench.manage()
    return reserve


def held(folder: Path, **flags: object) -> tuple[Bench, Ailing, Reserve]:
    bench, journal, reserve = on(folder, **flags)
    bench.enter(BTC)
    return bench, journal, reserve


def lose_the_stop(bench: Bench) -> None:
    """Long after it was placed: soon after, it would count as refused."""
    beats(bench, timedelta(seconds=30))
    bench.venue.cancel(bench.open_orders(BTC)[0].id)
    bench.desk.pause(1.0)


def names(reserve: Reserve) -> list[str]:
    return [each.intent.client_order_id for each in reserve.kept()]


def told(bench: Bench, words: str) -> list[str]:
    return [text for _, what, text in bench.desk.board.events if what == "alert" and words in text]


TROUBLES = [
    (DatabaseAway("connection refused"), True),
    (DiskFull("the disk is full"), False),
]


@contextmanager
def away(journal: Ailing, error: Exception, deaf: bool) -> Iterator[None]:
    journal.error, journal.deaf = error, deaf
    yield
    journal.error = None


@pytest.mark.parametrize(("error", "deaf"), TROUBLES)
def test_what_rests_stays_for_an_hour_and_no_entry_is_made(tmp_path: Path, error: Exception, deaf: bool) -> None:
    bench, journal, reserve = held(tmp_path)
    resting = stops(bench)
    bench.want(ETH, "99.50", "103.00", "97.00")
    with away(journal, error, deaf):
        beats(bench, timedelta(minutes=30), every_s=30.0)
        bench.cycle()
        beats(bench, timedelta(minutes=30), every_s=30.0)
        assert stops(bench) == resting
        assert names(reserve) == []
        assert str(error) in bench.desk.doubt()
    beats(bench, timedelta(minutes=2), every_s=30.0)
    assert stops(bench) == resting
    assert bench.desk.doubt() == ""
    assert [each.severity for each in bench.alerts("journal")][-1] == "info"
    assert bench.desk.flags()["halted"] == ""


@pytest.mark.parametrize(("error", "deaf"), TROUBLES)
def test_an_exit_that_is_needed_is_in_the_reserve_before_it_is_sent_and_in_the_journal_afterwards(
    tmp_path: Path, error: Exception, deaf: bool
) -> None:
    bench, journal, reserve = held(tmp_path)
    sent: list[str] = []
    broker = bench.desk.broker
    assert isinstance(broker, Noting)

    def look(intent: OrderIntent) -> None:
        assert intent.client_order_id in names(reserve)
        sent.append(intent.client_order_id)

    broker.on_submit = look  # type: ignore[method-assign]
    with away(journal, error, deaf):
        bench.venue.cancel(bench.open_orders(BTC)[0].id)
        beats(bench, timedelta(minutes=5))
        assert protected(bench)
        assert len(sent) == 1
        assert sent[0] not in journal.all_intents
    beats(bench, timedelta(minutes=2))
    assert protected(bench)
    assert len(sent) == 1
    assert names(reserve) == []
    assert journal.all_intents[sent[0]].state == IntentState.ACCEPTED
    assert bench.desk.doubt() == ""
    assert bench.desk.flags()["halted"] == ""
    assert not bench.alerts("books")


def test_what_is_sold_meanwhile_is_booked_once_when_the_journal_is_back(tmp_path: Path) -> None:
    bench, journal, reserve = held(tmp_path)
    with away(journal, DatabaseAway("connection refused"), True):
        bench.desk._memory.flags["flatten"] = "BTC/USD"  # as a person's command left it
        bench.desk.board.flags = bench.desk.flags()
        beats(bench, timedelta(minutes=5))
        assert bench.held(BTC) < D("0.01")
        (sale,) = [name for name in names(reserve) if "-flatten-" in name]
    beats(bench, timedelta(minutes=5))
    assert journal.believed().positions.get(BTC, D(0)) == bench.held(BTC)
    assert journal.all_intents[sale].state == IntentState.DONE
    assert [each.side for each in journal.fills] == [OrderSide.BUY, OrderSide.SELL]
    assert [each.kind for each in journal.corrections] == ["opening"]
    assert bench.desk.doubt() == ""


def test_an_entry_that_fills_while_it_is_away_has_its_stop(tmp_path: Path) -> None:
    bench, journal, _ = on(tmp_path)
    bench.want(BTC, "99.50", "103.00", "97.00")
    bench.cycle()
    bench.wish.clear()
    with away(journal, DatabaseAway("connection refused"), True):
        bench.go(bench.venue.now.replace(minute=59))  # nobody has looked before it filled
        bench.manage()
        assert bench.held(BTC) > 0
        assert protected(bench)
        beats(bench, timedelta(minutes=30), every_s=60.0)
        assert protected(bench)
    beats(bench, timedelta(minutes=2))
    assert protected(bench)
    assert journal.believed().positions == {BTC: bench.held(BTC)}
    assert bench.desk.doubt() == ""


def test_an_entry_that_is_out_is_cancelled(tmp_path: Path) -> None:
    bench, journal, _ = on(tmp_path)
    bench.want(BTC, "98.00", "103.00", "96.00")
    bench.cycle()
    bench.wish.clear()
    assert bench.open_orders(BTC)
    with away(journal, DatabaseAway("connection refused"), True):
        bench.manage()
        assert not bench.open_orders(BTC)


def test_an_exit_that_can_be_recorded_nowhere_is_not_sent_and_somebody_is_told(tmp_path: Path) -> None:
    bench, journal, reserve = held(tmp_path)
    with away(journal, DatabaseAway("connection refused"), True):
        bench.manage()
        reserve.path.unlink()
        reserve.path.mkdir()  # it can't be opened any more
        bench.venue.cancel(bench.open_orders(BTC)[0].id)
        beats(bench, timedelta(minutes=2))
        assert not bench.open_orders(BTC)
        assert told(bench, "no exit at rest")


def test_the_stop_is_what_rests_when_the_daemon_is_ended_meanwhile(tmp_path: Path) -> None:
    bench, journal, reserve = held(tmp_path, exits__exit_rests="target")
    assert stops(bench)[0][1] is None
    with away(journal, DatabaseAway("connection refused"), True):
        bench.manage()
        leave_safe(bench.manager)
        assert protected(bench)
        assert len(names(reserve)) == 1
    take_in(journal, reserve, bench.venue.now)
    again = restarted(bench, "BTC/USD", tmp_path)
    assert again.desk.flags()["halted"] == ""


# ---- crashes ----


@pytest.fixture
def crash_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """The process dies where this failpoint is."""
    armed: list[str] = []

    def reach(name: str) -> None:
        if name in armed:
            armed.remove(name)
            raise Crash

    monkeypatch.setattr(failpoints, "reach", reach)
    return armed.append


@pytest.mark.parametrize("point", ["after_exit_intent", "before_post", "after_post", "after_accepted", "after_exit"])
def test_an_exit_is_sent_once_though_the_process_dies_at_any_point_of_it(
    tmp_path: Path, point: str, crash_at: Callable[[str], None]
) -> None:
    bench, journal, reserve = held(tmp_path)
    journal.error = DatabaseAway("connection refused")
    bench.manage()
    lose_the_stop(bench)
    crash_at(point)
    with pytest.raises(Crash):
        bench.manage()
    (name,) = names(reserve)
    journal.error = None
    take_in(journal, reserve, bench.venue.now)
    again = restarted(bench, "BTC/USD", tmp_path)
    with_reserve(again, tmp_path)
    beats(again, timedelta(minutes=3))
    assert protected(again)
    at_the_venue = [o for o in again.ledger.history.values() if o.client_order_id == name]
    assert len(at_the_venue) == 1, "the one that was recorded, and no other beside it"
    assert journal.all_intents[name].state == IntentState.ACCEPTED
    exits = [o for o in again.ledger.history.values() if o.side is OrderSide.SELL]
    assert len(exits) == 2
    assert again.desk.flags()["halted"] == ""
    assert again.desk.doubt() == ""


@pytest.mark.parametrize("point", ["amid_taking_in", "before_clearing", "after_clearing"])
def test_an_exit_is_taken_in_once_though_the_process_dies_meanwhile(
    tmp_path: Path, point: str, crash_at: Callable[[str], None]
) -> None:
    bench, journal, reserve = held(tmp_path)
    journal.error = DatabaseAway("connection refused")
    lose_the_stop(bench)
    bench.manage()
    (name,) = names(reserve)
    journal.error = None
    crash_at(point)
    with pytest.raises(Crash):
        bench.manage()
    take_in(journal, reserve, bench.venue.now)
    assert names(reserve) == []
    again = restarted(bench, "BTC/USD", tmp_path)
    beats(again, timedelta(minutes=2))
    assert protected(again)
    assert journal.all_intents[name].state == IntentState.ACCEPTED
    assert [n for n in journal.all_intents if parse_client_order_id(n).purpose is Purpose.STOP][1:] == [name]  # type: ignore[union-attr]


@pytest.mark.parametrize("heard", [False, True])
def test_a_commit_after_which_the_journal_goes_away_is_not_counted_twice(tmp_path: Path, heard: bool) -> None:
    bench, journal, _ = on(tmp_path)
    bench.want(BTC, "99.50", "103.00", "97.00")
    bench.cycle()
    bench.wish.clear()
    bench.go(bench.venue.now.replace(minute=59))
    save = MemoryJournal.save_sync

    def lost(self: MemoryJournal, *args: Any) -> Any:
        fresh = save(self, *args)
        journal.error = DatabaseAway("server closed the connection")
        if not heard:
            raise journal.error
        return fresh

    journal.save_sync = lost.__get__(journal)  # type: ignore[method-assign]
    bench.manage()
    assert protected(bench)
    journal.error = None
    del journal.save_sync  # type: ignore[method-assign]
    beats(bench, timedelta(minutes=3))
    assert protected(bench)
    assert len(journal.fills) == len({each.id for each in journal.fills})
    assert journal.believed().positions == {BTC: bench.held(BTC)}
    assert bench.desk.doubt() == ""


# ---- room ----


def test_on_a_full_disk_the_room_is_given_back_and_entries_wait_until_it_is_there_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, journal, reserve = held(tmp_path)
    assert reserve.is_whole()
    with away(journal, DiskFull("the disk is full"), False):
        lose_the_stop(bench)
        bench.manage()
        assert not reserve.is_whole()
    monkeypatch.setattr(type(reserve.ballast), "lacking", lambda self: 3 * 2**20)
    bench.want(ETH, "99.50", "103.00", "97.00")
    cycles = len(journal.cycles)
    beats(bench, timedelta(minutes=2))
    bench.cycle()
    assert "4 MiB more must be free" in bench.desk.doubt()
    assert not any(name.endswith("-trade") for name in list(journal.cycles)[cycles:])
    assert protected(bench)
    monkeypatch.undo()
    beats(bench, timedelta(minutes=2))
    assert reserve.is_whole()
    assert bench.desk.doubt() == ""
    assert [each.severity for each in bench.alerts("journal")][-1] == "info"


def test_names_are_never_given_twice_though_the_time_stands_still(tmp_path: Path) -> None:
    bench, _, reserve = held(tmp_path)
    intent = next(each.intent for each in bench.desk.known.live() if each.intent.purpose is Purpose.STOP)
    wish = ExitWish(**{each.name: getattr(intent, each.name) for each in fields(ExitWish)})
    names_of = InReserve(reserve)
    found = [names_of.under(wish, bench.desk.account_id, bench.venue.now)[1].client_order_id for _ in range(3)]
    assert len(set(found)) == 3
