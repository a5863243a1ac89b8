"""Whatever order the venue's activities are told in, however often and however late, and wherever the daemon dies in
between: the books are the same."""

from __future__ import annotations

import random
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.trading.bench import Bench, bench_on, level_bars, restarted
from tests.trading.test_activities_booked import BTC, Dies, FeesLate, Mortal, later, post
from trader.core.postings import Posting
from trader.core.types import Execution, OrderSide
from trader.exchange.engine.answers import VenueRefusal
from trader.exchange.ledger.memory import MemoryLedger
from trader.exchange.venue import Venue
from trader.trading.history import kind_of

D = Decimal
Value = TypeVar("Value")
STEPS = st.one_of(
    st.tuples(st.just("buy"), st.integers(20, 200)),
    st.tuples(st.just("sell"), st.integers(5, 18)),
    st.tuples(st.sampled_from(["CSD", "CSW", "DIV", "INT", "FEE", "ODD"]), st.just(0)),
)
OUT = ("CSW", "FEE")
AMOUNTS = (101, 211, 430, 877, 1766, 3539)  # no two sets of them add up to the same


@dataclass(frozen=True)
class Plan:
    """`delays`: seconds after which the nth activity is listed; `dies`: before which write, counted from the start."""

    steps: list[tuple[str, int]]
    delays: list[int]
    seed: int
    dies: int | None


PLANS = st.builds(
    Plan,
    steps=st.lists(STEPS, min_size=1, max_size=6),
    delays=st.lists(st.sampled_from([0, 0, 20, 90, 4000, 9000]), min_size=6, max_size=6),
    seed=st.integers(0, 2**16),
    dies=st.none() | st.integers(0, 40),
)


class Jumbled(FeesLate):
    def __init__(self, venue: Venue, ledger: MemoryLedger, plan: Plan) -> None:
        super().__init__(venue, ledger)
        self._plan, self._dice = plan, random.Random(plan.seed)

    def executions(self, after: datetime) -> Sequence[Execution]:
        fills = super().executions(after)
        delays, now = self._plan.delays, self._venue.now
        listed = [f for f in fills if f.at + timedelta(seconds=delays[int(f.qty) % len(delays)]) <= now]
        return jumbled(listed, self._dice)

    def postings(self, after: datetime) -> Sequence[Posting]:
        return jumbled(super().postings(after), self._dice)


def jumbled(values: Sequence[Value], dice: random.Random) -> tuple[Value, ...]:
    """In any order, and some of them twice."""
    told = [*values, *dice.choices(values, k=len(values) // 2)] if values else []
    dice.shuffle(told)
    return tuple(told)


def played(plan: Plan, folder: Path) -> tuple[Bench, Mortal]:
    journal = Mortal()
    bench = bench_on(
        {"BTC/USD": level_bars(count=140)}, folder, journal=journal, broker_of=lambda v, book: Jumbled(v, book, plan)
    )
    bench.by_hand(BTC, OrderSide.BUY, "130")
    journal.dies_at = plan.dies

    def look(seconds: float) -> None:
        nonlocal bench
        try:
            later(bench, seconds)
        except Dies:
            journal.dies_at = None
            bench = restarted(bench, "BTC/USD", folder, broker=Jumbled(bench.venue, bench.ledger, plan))

    for (what, units), amount, delay in zip(plan.steps, AMOUNTS, plan.delays, strict=False):
        if what in ("buy", "sell"):
            with suppress(VenueRefusal):  # an exit of the daemon's rests on the other side
                bench.by_hand(BTC, OrderSide(what), str(units))
        else:
            post(bench, what, str(-amount if what in OUT else amount), late_s=delay)
        look(15)
    for seconds in (60, 120, 600, 3700, 7200):
        look(seconds)
    journal.dies_at = None
    midnight = bench.venue.now.replace(hour=0, minute=0, second=0) + timedelta(days=1)
    bench.go(midnight + timedelta(minutes=90))
    for _ in range(4):
        look(4000)
    return bench, journal


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(PLANS)
def test_the_books_are_the_same(plan: Plan) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bench, journal = played(plan, Path(folder))
    books, true = journal.believed(), bench.venue.books
    assert abs(books.cash - true.cash) < D("0.02")
    assert books.positions.get(BTC, D(0)) == bench.held(BTC)
    fees = {fill.id: fill.fee for fill in bench.ledger.fills}
    assert {fill.id for fill in journal.fills} == fees.keys()
    assert not any(fill.fee_estimated for fill in journal.fills)
    assert all(abs(fill.fee - fees[fill.id]) <= D("0.01") for fill in journal.fills)
    wanted, booked = defaultdict[str, Decimal](Decimal), defaultdict[str, Decimal](Decimal)
    for entry in bench.ledger.posted:
        wanted[kind_of(Posting(id=entry.id, kind=entry.kind, day=entry.day))] += entry.cash
    for each in journal.corrections[1:]:
        if each.cash:
            booked[each.kind] += each.cash
    assert abs(booked.pop("cash", D(0))) < D("0.05"), "nothing is left that only fees explained"
    assert booked == wanted
    assert journal.moved() == wanted["transfer"]
