"""A journal that goes away in the middle of something, or again as soon as it is back: what is known of the books, of
fills and of orders is of one moment, and what is held has its stop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.trading.bench import Bench
from tests.trading.test_activities_booked import FeesLate, post
from tests.trading.test_partly_there import beats, protected
from tests.trading.test_without_journal import Ailing, Noting, away, held, lose_the_stop, on, told
from trader.core.orders import IntentState
from trader.core.types import Execution, OrderIntent, OrderSide, Symbol
from trader.errors import DatabaseAway
from trader.trading.ports import Submission, Undetermined

D = Decimal
BTC = Symbol("BTC/USD")
AWAY = DatabaseAway("connection refused")


class Tripping(Ailing):
    """Goes away at the next call of that name; with `late`, once that call has done its work."""

    at: str = ""
    late = False

    def __getattribute__(self, name: str) -> Any:
        if name in ("error", "deaf", "at", "late") or name != super().__getattribute__("at"):
            return super().__getattribute__(name)
        call, self.at = super().__getattribute__(name), ""

        def trip(*args: object, **named: object) -> None:
            if self.late:
                call(*args, **named)
            self.error = AWAY
            raise self.error

        return trip


class Halves(Noting):
    """Each fill is told of in two."""

    def executions(self, after: Any) -> Sequence[Execution]:
        found = list[Execution]()
        for each in super().executions(after):
            half = (each.qty / 2).quantize(D("0.000000001"))
            parts = {"a": half, "b": each.qty - half}
            found += [replace(each, id=f"{each.id}{n}", qty=qty, fee=each.fee / 2) for n, qty in parts.items()]
        return tuple(found)


class NotesLate(Noting, FeesLate):
    """Fees are posted the day after."""


def settled(bench: Bench, journal: Ailing) -> None:
    journal.error = None
    beats(bench, timedelta(minutes=3))
    assert journal.believed().positions.get(BTC, D(0)) == bench.held(BTC)
    assert journal.believed().cash == bench.venue.books.cash
    assert bench.desk.doubt() == ""
    assert bench.desk.flags()["halted"] == ""


@pytest.mark.parametrize("at", ["flag", "intents", "believed", "moved", "levels", "executions", "last_execution_at"])
def test_one_that_goes_away_again_while_it_is_read_costs_no_protection(tmp_path: Path, at: str) -> None:
    journal = Tripping()
    bench, _, _ = on(tmp_path, journal=journal)
    bench.enter(BTC)
    journal.error = AWAY
    bench.manage()
    journal.error, journal.at = None, at
    bench.manage()
    assert journal.error is not None, "it was not asked for"
    lose_the_stop(bench)
    beats(bench, timedelta(minutes=1))
    assert protected(bench)
    settled(bench, journal)
    assert protected(bench)


@pytest.mark.parametrize("at", ["set_meta", "executions"])
def test_fills_are_counted_once_though_it_goes_away_between_them(tmp_path: Path, at: str) -> None:
    """Counted twice they would be more than is held, and the venue would refuse an exit for it."""
    journal = Tripping()
    bench, _, _ = on(tmp_path, broker_of=Halves, journal=journal)
    bench.want(BTC, "99.50", "103.00", "97.00")
    bench.cycle()
    bench.wish.clear()
    bench.go(bench.venue.now.replace(minute=59))
    bench.desk._memory.counts.refusals = 1  # a fill ends them, which is written down
    journal.at = at
    bench.manage()
    assert journal.error is not None
    beats(bench, timedelta(minutes=1))
    assert protected(bench)
    settled(bench, journal)
    assert protected(bench)
    assert len(journal.fills) == 2


def test_what_fills_meanwhile_is_no_doubt_about_the_equity(tmp_path: Path) -> None:
    bench, journal, _ = on(tmp_path)
    bench.want(BTC, "99.50", "103.00", "97.00")
    bench.cycle()
    bench.wish.clear()
    bench.go(bench.venue.now.replace(minute=59))
    with away(journal, AWAY, True):
        beats(bench, timedelta(minutes=3))
    assert bench.held(BTC) > 0
    assert not told(bench, "equity")


@pytest.mark.parametrize("side", [OrderSide.SELL, OrderSide.BUY])
def test_what_a_person_trades_meanwhile_is_what_is_protected(tmp_path: Path, side: OrderSide) -> None:
    bench, journal, _ = held(tmp_path)
    with away(journal, AWAY, True):
        bench.manage()
        lose_the_stop(bench)
        bench.by_hand(BTC, side, "5" if side is OrderSide.BUY else str(bench.held(BTC)))
        beats(bench, timedelta(minutes=3))
        assert protected(bench) or not (bench.held(BTC) or bench.open_orders(BTC))
        assert not told(bench, "no exit")
        assert not told(bench, "equity")
    settled(bench, journal)


class Silent(Noting):
    """`kept`: orders of which it is not heard whether the venue has them. It has not, yet."""

    silent = False
    kept: list[OrderIntent]

    def submit(self, intent: OrderIntent) -> Submission:
        if self.silent:
            self.kept.append(intent)
            return Undetermined(reason="timed out", sent=True)
        return super().submit(intent)


def test_an_exit_of_the_reserve_that_was_given_up_and_comes_after_all_is_one_of_ours(tmp_path: Path) -> None:
    bench, journal, _ = on(tmp_path, broker_of=Silent)
    bench.enter(BTC)
    broker = bench.desk.broker
    assert isinstance(broker, Silent)
    with away(journal, AWAY, True):
        lose_the_stop(bench)
        broker.silent, broker.kept = True, []
        beats(bench, timedelta(minutes=3))
        broker.silent = False
        beats(bench, timedelta(minutes=2))
    beats(bench, timedelta(minutes=1))
    name = broker.kept[0].client_order_id
    assert journal.all_intents[name].state == IntentState.REJECTED
    lose_the_stop(bench)
    broker.submit(broker.kept[0])
    bench.desk.pause(1.0)
    bench.manage()
    assert journal.all_intents[name].state != IntentState.REJECTED
    settled(bench, journal)
    assert [each.qty for each in bench.open_orders(BTC)] == [bench.held(BTC)]


class Latched:
    def __init__(self) -> None:
        self.flags: dict[str, str] = {}

    def read(self) -> Mapping[str, str]:
        return self.flags

    def clear(self) -> None:
        self.flags = {}


def test_what_is_latched_meanwhile_is_written_down_when_it_is_back(tmp_path: Path) -> None:
    bench, journal, _ = held(tmp_path)
    latch = bench.manager.guards.latch = Latched()  # type: ignore[assignment]
    with away(journal, AWAY, True):
        bench.manage()
        latch.flags["killed"] = "by a person"
        beats(bench, timedelta(minutes=1))
    beats(bench, timedelta(minutes=1))
    assert journal.flag("killed") == "by a person"


def test_a_halt_that_was_written_and_seemed_to_fail_is_in_force(tmp_path: Path) -> None:
    journal = Tripping()
    bench, _, _ = on(tmp_path, journal=journal)
    journal.late, journal.at = True, "set_flag"
    with pytest.raises(DatabaseAway):
        bench.desk.halt("it does not add up")
    bench.manage()
    assert bench.desk.reserve is not None
    journal.error = None
    beats(bench, timedelta(minutes=1))
    assert bench.desk.flags()["halted"] == "it does not add up"
    assert [each.detail for each in bench.alerts("halt")] == ["it does not add up"]


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("at", ["save_sync", "settle_fees"])
def test_fees_find_their_fills_though_it_went_away_while_they_were_booked(tmp_path: Path, at: str, late: bool) -> None:
    journal = Tripping()
    bench, _, _ = on(tmp_path, broker_of=NotesLate, journal=journal)
    midnight = bench.venue.now.replace(hour=0, minute=0) + timedelta(days=1)
    bench.by_hand(BTC, OrderSide.BUY, "40")
    journal.late = late
    if at == "settle_fees":
        beats(bench, timedelta(minutes=1))
        bench.go(midnight + timedelta(hours=2))
    journal.at = at
    bench.manage()
    assert journal.error is not None
    journal.error = None
    beats(bench, timedelta(minutes=3))
    bench.go(max(bench.venue.now, midnight + timedelta(hours=2)))
    beats(bench, timedelta(minutes=3))
    assert [each.fee_estimated for each in journal.fills] == [False]
    assert not any(each.fee_estimated for each in bench.desk.books.history._guessed.values())


def test_units_that_come_without_a_trade_are_told_of_and_have_a_stop_near_the_market(tmp_path: Path) -> None:
    """They may come with no entry price."""
    bench, _, _ = on(tmp_path)
    post(bench, "JNLS", symbol=BTC, qty="2")
    bench.desk.pause(1.0)
    beats(bench, timedelta(minutes=1))
    (stop,) = bench.open_orders(BTC)
    assert stop.stop_price is not None
    assert 90 < stop.stop_price < 100
    (alert,) = bench.alerts("adopt")
    assert "JNLS, shares journaled: 2 BTC/USD" in alert.detail
