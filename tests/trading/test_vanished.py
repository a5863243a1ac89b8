"""A position leaves without a fill: never read as flat by itself, and not a dead end either."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from tests.trading.bench import CONTEXT, Bench, bench_on, level_bars, restarted
from trader.core.types import Symbol
from trader.exchange.engine.events import Holding
from trader.trading.open_differences import PATIENCE

BTC = Symbol("BTC/USD")


def _held(folder: Path) -> Bench:
    bars = level_bars()
    bars.loc[CONTEXT + 1, "low"] = 99.0
    bench = bench_on({"BTC/USD": bars}, folder)
    bench.enter(BTC)
    return bench


def _gone(bench: Bench) -> Holding:
    """All of it, and the exits that rested on it."""
    for order in bench.open_orders(BTC):
        bench.venue.cancel(order.id)
    books = bench.venue.books
    bench.venue.books = replace(books, holdings={})
    bench.desk.pause(1.0)
    return books.holdings[BTC]


def _beats(bench: Bench, span: timedelta) -> None:
    until = bench.venue.now + span
    while bench.venue.now < until:
        bench.manage()
        bench.desk.pause(20.0)


def _asked(bench: Bench) -> bool:
    return "trader resume" in bench.desk.flags()["halted"]


def test_it_is_asked_about_after_a_while_and_booked_once_a_person_says_so(tmp_path: Path) -> None:
    bench = _held(tmp_path)
    _gone(bench)
    _beats(bench, PATIENCE - timedelta(minutes=1))
    assert not _asked(bench)
    _beats(bench, timedelta(minutes=3))
    assert _asked(bench)
    assert bench.desk.known.books().positions, "not by itself, however often"
    bench.desk.set_flag("halted", "")
    bench.manage()
    assert not bench.desk.known.books().positions
    assert bench.journal.corrections[-1].kind == "unexplained"
    bench.desk.pause(1.0)
    assert not bench.desk.sync().positions
    assert bench.desk.flags()["halted"] == ""


def test_a_resume_before_anybody_was_asked_accepts_nothing(tmp_path: Path) -> None:
    bench = _held(tmp_path)
    _gone(bench)
    bench.manage()
    bench.desk.set_flag("halted", "")
    _beats(bench, timedelta(minutes=2))
    assert bench.desk.known.books().positions


def test_a_resume_accepts_only_what_was_asked_about(tmp_path: Path) -> None:
    bench = _held(tmp_path)
    _gone(bench)
    _beats(bench, PATIENCE + timedelta(minutes=2))
    assert _asked(bench)
    bench.venue.books = replace(bench.venue.books, cash=bench.venue.books.cash - 9000)
    bench.desk.set_flag("halted", "")
    _beats(bench, timedelta(minutes=2))
    assert bench.desk.known.books().positions


def test_an_answer_that_was_wrong_after_all_leaves_everything_as_it_was(tmp_path: Path) -> None:
    bench = _held(tmp_path)
    holding = _gone(bench)
    _beats(bench, PATIENCE + timedelta(minutes=2))
    bench.venue.books = replace(bench.venue.books, holdings={BTC: holding})
    _beats(bench, timedelta(minutes=2))
    assert [order.symbol for order in bench.open_orders(BTC)] == [BTC]
    _gone(bench)
    bench.desk.set_flag("halted", "")
    _beats(bench, timedelta(minutes=2))
    assert bench.desk.known.books().positions, "that is another time: it is asked about anew"


def test_a_daemon_that_starts_into_it_goes_on_counting(tmp_path: Path) -> None:
    bench = _held(tmp_path)
    _gone(bench)
    _beats(bench, PATIENCE + timedelta(minutes=2))
    bench = restarted(bench, "BTC/USD", tmp_path)
    assert bench.desk.known.books().positions
    bench.journal.set_flag("halted", "", bench.venue.now)  # `trader resume`, with no daemon running
    bench = restarted(bench, "BTC/USD", tmp_path)
    assert not bench.desk.known.books().positions
