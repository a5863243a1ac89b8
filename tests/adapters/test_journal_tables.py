"""The journal on both databases: what was written is there, once, and adds up."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.adapters import samples
from tests.adapters.samples import BTC, NOW
from tests.counting import calls_in
from tests.waiting import GENEROUS_S
from trader.adapters.journal import Journal, check
from trader.adapters.journal.codec import encode
from trader.core.types import ZERO, OrderSide, OrderStatus, Purpose, Symbol


def saved_plan(journal: Journal, cycle_id: str = "c1") -> None:
    journal.begin_cycle(cycle_id, "trade", NOW)
    journal.save_plan(cycle_id, samples.inputs(cycle_id=cycle_id), samples.plan(prefix=cycle_id))


def test_a_cycle_is_open_until_it_is_closed(journal: Journal) -> None:
    journal.begin_cycle("c1", "trade", NOW)
    begun = journal.cycle("c1")
    assert begun is not None
    assert begun.closed_at is None
    journal.close_cycle("c1", NOW + timedelta(seconds=2), "traded", "2 orders", {"bars": 0.25})
    closed = journal.cycles()[0]
    assert (closed.outcome, closed.note, closed.timings) == ("traded", "2 orders", {"bars": 0.25})
    assert closed.closed_at == NOW + timedelta(seconds=2)
    assert journal.cycle("c2") is None


def test_a_plan_is_kept_whole_and_gives_back_the_same_bytes(journal: Journal) -> None:
    saved_plan(journal)
    inputs = samples.inputs()
    assert encode(journal.inputs("c1")) == encode(inputs)
    assert journal.plan_bytes("c1") == encode(samples.plan(prefix="c1"))
    assert journal.last_plan_cycle() == "c1"
    assert journal.levels() == {BTC: samples.levels()}
    assert journal.last_quotes()[BTC].quote == samples.quote(BTC)
    assert journal.verdicts("c1")[0].denials == (("max_symbol", "0.3 > 0.2"),)
    forecast = journal.forecasts("c1")[BTC]
    assert forecast.paths is not None
    assert forecast.paths.shape == (64, 2, 4)
    with pytest.raises(KeyError):
        journal.inputs("c2")


def test_a_plan_that_fails_half_way_leaves_nothing(journal: Journal) -> None:
    saved_plan(journal)
    journal.begin_cycle("c2", "trade", NOW)
    with pytest.raises(sa.exc.IntegrityError):  # its intents carry ids that are there already
        journal.save_plan("c2", samples.inputs(cycle_id="c2"), samples.plan(prefix="c1"))
    with pytest.raises(KeyError):
        journal.plan_bytes("c2")
    assert len(journal.intents()) == 1
    journal.set_flag("still", "works", NOW)
    assert journal.flag("still") == "works"


def test_guard_25_an_intent_is_found_again_by_its_client_id(journal: Journal) -> None:
    journal.begin_cycle("c1", "trade", NOW)
    journal.add_intents("c1", [samples.intent("a"), samples.intent("b", purpose=Purpose.TARGET)], NOW)
    journal.set_intent("a", "accepted", NOW + timedelta(seconds=1), order_id="order-1")
    journal.set_intent("a", "filled", NOW + timedelta(seconds=2), reason="done")
    found = journal.intent("a")
    assert found is not None
    assert found.intent == samples.intent("a")
    assert (found.state, found.order_id, found.reason) == ("filled", "order-1", "done")
    assert [record.intent.client_order_id for record in journal.intents({"planned"})] == ["b"]
    assert journal.attempts("c1", BTC, Purpose.TARGET) == 1
    assert journal.attempts("c1", BTC, Purpose.STOP) == 0
    assert journal.intent("c") is None
    with pytest.raises(KeyError):
        journal.set_intent("c", "filled", NOW)


def test_guard_12_the_same_client_id_is_never_written_twice(journal: Journal) -> None:
    journal.begin_cycle("c1", "trade", NOW)
    journal.add_intents("c1", [samples.intent("a")], NOW)
    with pytest.raises(sa.exc.IntegrityError):
        journal.add_intents("c1", [samples.intent("b"), samples.intent("a")], NOW)
    assert [record.intent.client_order_id for record in journal.intents()] == ["a"]


def test_guard_27_a_fill_counts_once_however_often_it_is_reported(journal: Journal) -> None:
    fill = samples.execution(1)
    portfolio = samples.portfolio()
    assert journal.save_sync(portfolio, (), [fill, fill]) == (fill,)
    assert journal.save_sync(portfolio, (), [fill, samples.execution(2)]) == (samples.execution(2),)
    believed = journal.believed()
    assert believed.positions == {BTC: Decimal("1.9950")}
    assert believed.cash == Decimal(-200)
    assert journal.last_execution_at() == samples.execution(2).at


def test_a_posted_fee_replaces_the_estimate_and_moves_the_books(journal: Journal, url: str) -> None:
    guess = replace(samples.execution(1), fee_estimated=True)
    posted = replace(samples.execution(1), fee=Decimal("0.0015"))
    journal.save_sync(samples.portfolio(), (), [guess])
    assert journal.save_sync(samples.portfolio(), (), [posted]) == ()
    assert journal.executions() == [posted]
    assert journal.believed().positions == {BTC: Decimal("0.9985")}
    journal.save_sync(samples.portfolio(), (), [guess])  # an older answer does not undo it
    assert journal.executions() == [posted]
    journal.save_sync(samples.portfolio(), (), [replace(posted, fee=Decimal("0.5"))])  # nor does another fill's fee
    assert journal.executions() == [posted]
    assert check(url) == []


def test_a_round_trip_leaves_no_position_and_its_profit_after_fees(journal: Journal, url: str) -> None:
    entry = samples.execution(1, price="100", fee="0.0025")
    leave = replace(samples.execution(2, OrderSide.SELL, price="110", fee="0.274"), qty=Decimal("0.9975"))
    journal.save_sync(samples.portfolio(), (), [entry, leave])
    assert journal.believed().positions == {}
    assert journal.believed().cash == Decimal("0.9975") * 110 - 100 - Decimal("0.274")
    (trade,) = journal.trades()
    assert trade.pnl == journal.believed().cash
    assert trade.fees == Decimal("0.0025") * 100 + Decimal("0.274")
    assert trade.closed_at == leave.at
    assert check(url) == []


def test_a_coin_is_never_sold_short_by_a_fee_that_was_less_than_its_estimate(journal: Journal) -> None:
    """Until the venue posts it a maker's fee is booked as a taker's, and more is sold than was thought to be held."""
    for number in (1, 3, 5):
        bought = samples.execution(number, price="100", fee="0.0025")
        sold = replace(samples.execution(number + 1, OrderSide.SELL, price="101", fee="0.25"), qty=Decimal("0.9985"))
        journal.save_sync(samples.portfolio(), (), [bought, sold])
    trades = journal.trades()
    assert [(trade.entry_order_side, trade.qty) for trade in trades] == [(OrderSide.BUY, Decimal("0.9985"))] * 3
    assert [trade.pnl for trade in trades] == [Decimal("0.9985") * 101 - 100 - Decimal("0.25")] * 3


def test_coins_that_were_there_before_are_in_no_round_trip(journal: Journal) -> None:
    bought = samples.execution(1, price="100", fee="0.0025")
    sold = replace(samples.execution(2, OrderSide.SELL, price="110", fee="0"), qty=Decimal(6))
    journal.save_sync(samples.portfolio(), (), [bought, sold, replace(sold, id="again", qty=Decimal(1))])
    (trade,) = journal.trades()
    assert (trade.qty, trade.pnl) == (Decimal("0.9975"), Decimal("0.9975") * 110 - 100)


def test_corrections_move_the_books_and_say_why(journal: Journal, url: str) -> None:
    journal.correction("opening", NOW, symbol=BTC, qty=Decimal(2), detail="held before")
    journal.correction("deposit", NOW, cash=Decimal("500.25"))
    assert journal.believed().positions == {BTC: Decimal(2)}
    assert journal.believed().cash == Decimal("500.25")
    assert [correction.kind for correction in journal.corrections()] == ["deposit", "opening"]
    assert check(url) == []


def test_a_pair_quoted_in_a_coin_moves_that_coin(journal: Journal) -> None:
    fill = replace(samples.execution(1), symbol=Symbol("ETH/BTC"), price=Decimal("0.05"), fee=ZERO)
    journal.save_sync(samples.portfolio(), (), [fill])
    assert journal.believed().positions == {Symbol("ETH/BTC"): Decimal(1), BTC: Decimal("-0.05")}
    assert journal.believed().cash == ZERO


def test_a_terminal_order_never_opens_again(journal: Journal) -> None:
    journal.save_sync(samples.portfolio(samples.order(1), samples.order(2)), (), ())
    assert [order.id for order in journal.believed().orders] == ["order-1", "order-2"]
    done = samples.order(1, OrderStatus.FILLED, filled="0.5")
    journal.save_sync(samples.portfolio(samples.order(2)), [done], ())
    journal.save_sync(samples.portfolio(samples.order(1), samples.order(2)), (), ())  # a late answer
    assert [order.id for order in journal.believed().orders] == ["order-2"]
    assert journal.order_by_client_id("client-1") == done
    assert [order.id for order in journal.orders(limit=1)] == ["order-2"]
    assert journal.orders(open_only=True, symbol=Symbol("ETH/USD")) == []


def test_the_equity_curve_keeps_one_point_a_minute_and_the_newest(journal: Journal) -> None:
    for seconds, equity in ((0, "100"), (5, "101"), (10, "102"), (70, "102"), (75, "103")):
        at = NOW.replace(second=0) + timedelta(seconds=seconds)
        journal.save_sync(samples.portfolio(equity=equity, at=at), (), ())
    assert [str(point.equity) for point in journal.equity_points()] == ["102", "103"]
    assert len(journal.equity_points(after=NOW + timedelta(seconds=60))) == 1
    last = journal.last_equity(NOW + timedelta(seconds=60))
    assert last is not None
    assert (last.equity, last.own) == (102, None)
    assert journal.last_equity(NOW) is None


def test_flags_commands_alerts_and_status_stay(journal: Journal, url: str) -> None:
    journal.set_flag("halted", "books", NOW)
    first = journal.enqueue("pause", {"reason": "lunch"}, NOW)
    second = journal.enqueue("kill", {}, NOW)
    journal.finish_command(first, NOW, True, "paused")
    journal.alert("stale", "warning", "quote of 9 s", NOW)
    journal.put_status({"equity": Decimal("1.50"), "at": NOW, "symbols": [BTC]}, NOW)
    journal.put_status({"equity": Decimal("1.60"), "at": NOW, "symbols": [BTC]}, NOW)
    journal.set_meta("account", "a-1")
    with Journal.open(url, create=False) as other:
        assert other.flag("halted") == "books"
        assert other.flag("paused") == ""
        assert [command.id for command in other.pending_commands()] == [second]
        done = other.command(first)
        assert done is not None
        assert (done.ok, done.message, done.args) == (True, "paused", {"reason": "lunch"})
        assert other.alerts()[0].detail == "quote of 9 s"
        assert other.status() == {"equity": "1.60", "at": NOW.isoformat(), "symbols": ["BTC/USD"]}
        assert other.get_meta("account") == "a-1"
        assert other.get_meta("nothing") is None
    journal.drop_levels(BTC)
    journal.save_levels([samples.levels()])
    assert list(journal.levels()) == [BTC]
    journal.drop_levels(BTC)
    assert journal.levels() == {}


def test_readers_go_on_while_another_thread_writes(journal: Journal, url: str) -> None:
    stop = threading.Event()
    failures: list[BaseException] = []

    def read() -> None:
        with Journal.open(url, create=False) as reader:
            while not stop.is_set():
                try:
                    seen = reader.believed()
                    assert seen.cash % 100 == 0
                except AssertionError as error:
                    failures.append(error)
                    return

    reading = threading.Thread(target=read)
    reading.start()
    for number in range(40):
        journal.save_sync(samples.portfolio(), (), [samples.execution(number)])
    stop.set()
    reading.join(GENEROUS_S)
    assert not failures
    assert journal.believed().cash == Decimal(-4000)


def test_two_threads_write_in_turn(journal: Journal) -> None:
    journal.begin_cycle("c1", "trade", NOW)

    def add(prefix: str) -> None:
        for number in range(20):
            journal.add_intents("c1", [samples.intent(f"{prefix}{number}")], NOW)

    threads = [threading.Thread(target=add, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(GENEROUS_S)
    assert len(journal.intents()) == 40


def test_saving_a_plan_costs_as_little_a_symbol_with_a_hundred_as_with_ten(tmp_path: Path) -> None:
    with Journal.open(f"sqlite:///{tmp_path}/journal.db") as journal:

        def calls(count: int) -> int:
            names, cycle_id = samples.symbols(count), f"of-{count}"
            inputs, plan = samples.inputs(names, cycle_id), samples.plan(names, cycle_id)
            journal.begin_cycle(cycle_id, "trade", NOW)
            return calls_in(lambda: journal.save_plan(cycle_id, inputs, plan))

        calls(1)  # what is made once
        few, many = calls(10), calls(100)
    assert many <= 11 * few
    assert many <= 100 * 1100  # about 550
