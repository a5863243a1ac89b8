"""A position past its time in a thin market: it is left bit by bit, ever more rarely, and protected in between."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

from tests.trading.bench import CONTEXT, Bench, bench_on, level_bars
from trader.core.types import OrderSide, Purpose, Symbol, TimeInForce

BTC = Symbol("BTC/USD")
THIN = 8.0  # units that trade in a bar, where a hundred are held
BEAT_S = 1.0


def _overdue(folder: Path) -> Bench:
    """Entered in a market that took it all, and held up to its time in one that does not. Then comes a fall."""
    bars = level_bars()
    bars.loc[CONTEXT + 1, "low"] = 99.0
    bars.loc[CONTEXT + 2 :, "volume"] = THIN
    bars.loc[CONTEXT + 5, "low"] = 96.0
    bench = bench_on({"BTC/USD": bars}, folder, exits__exit_rests="stop", exits__max_age_s=3 * 3600)
    bench.enter(BTC)
    assert bench.held(BTC) > 50
    due = bench.desk.known.levels()[BTC].expires_at
    assert due is not None
    bench.go(due)
    return bench


def _sent(bench: Bench, purpose: Purpose) -> list[datetime]:
    return [each.created_at for each in bench.journal.all_intents.values() if each.intent.purpose is purpose]


def _stops(bench: Bench) -> list[tuple[OrderSide, Decimal | None, Decimal]]:
    return [(order.side, order.stop_price, order.qty - order.filled_qty) for order in bench.open_orders(BTC)]


def _beats(bench: Bench, span: timedelta) -> None:
    """The stop rests after each of them."""
    until = bench.venue.now + span
    while bench.venue.now < until:
        bench.manage()
        assert _stops(bench) == [(OrderSide.SELL, Decimal(97), bench.held(BTC))]
        bench.desk.pause(BEAT_S)


def test_exits_that_leave_something_come_ever_more_rarely_and_the_stop_rests_in_between(tmp_path: Path) -> None:
    bench = _overdue(tmp_path)
    before = bench.held(BTC)
    _beats(bench, timedelta(seconds=5 + 10 + 20 + 40 + 60 + 60 + 30))
    sent = _sent(bench, Purpose.TIME_EXIT)
    waits = [(after - sooner).total_seconds() for sooner, after in pairwise(sent)]
    assert waits == [5, 10, 20, 40, 60, 60]
    assert 50 < bench.held(BTC) < before


def test_a_stop_that_is_reached_between_two_of_them_is_not_waited_for(tmp_path: Path) -> None:
    bench = _overdue(tmp_path)
    fall = bench.venue.now.replace(minute=15, second=0) + timedelta(hours=1)
    bench.go(fall - timedelta(minutes=3))
    _beats(bench, timedelta(minutes=3))
    bench.manage()
    assert fall - _sent(bench, Purpose.TIME_EXIT)[-1] < timedelta(seconds=60), "the next one is not due yet"
    chased = [each for each in bench.journal.all_intents.values() if each.created_at == fall]
    assert {(each.intent.purpose, each.intent.tif) for each in chased} == {(Purpose.STOP, TimeInForce.IOC)}
    assert not bench.open_orders(BTC)
