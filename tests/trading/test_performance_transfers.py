"""Money that came in or went out is neither return nor drawdown: it is taken out of both, and shown by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.trading.bench import Bench, bench_on, level_bars
from trader.core.performance import Performance, performance
from trader.trading.open_differences import LAG

D = Decimal
NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def _of(equities: Sequence[str], transfers: Sequence[tuple[float, str]] = ()) -> Performance:
    points = [(NOON + place * HOUR, D(equity)) for place, equity in enumerate(equities)]
    found = performance(points, [], {}, {}, HOUR, [(NOON + hours * HOUR, D(money)) for hours, money in transfers])
    assert found is not None
    return found


@pytest.mark.parametrize("hours", [1.5, 2])
def test_a_deposit_is_no_return(hours: float) -> None:
    """Ten per cent, then 100 more come in, then ten per cent again."""
    found = _of(["100", "110", "210", "231"], [(hours, "100")])
    assert (found.total_return, found.transfers, found.max_drawdown) == (D("0.21"), D(100), 0)
    assert (found.first_equity, found.last_equity) == (D(100), D(231))


def test_a_withdrawal_is_no_loss_and_no_drawdown() -> None:
    found = _of(["100", "50", "45", "49.5"], [(1, "-50")])
    assert (found.total_return, found.transfers, found.max_drawdown) == (D("-0.01"), D(-50), D("0.1"))


def test_what_was_there_at_the_start_is_no_transfer() -> None:
    found = _of(["100", "110"], [(0, "100"), (-1, "5")])
    assert (found.total_return, found.transfers) == (D("0.1"), D(0))


def test_many_returns_beside_a_transfer_have_the_same_sharpe_ratio() -> None:
    steps = [D(100) + place % 3 for place in range(60)]
    doubled = [step if place < 30 else 2 * step for place, step in enumerate(steps)]
    plain, moved = _of([str(each) for each in steps]), _of([str(each) for each in doubled], [(30, str(steps[30]))])
    assert plain.sharpe is not None
    assert moved.sharpe == pytest.approx(plain.sharpe)


def _measured(bench: Bench) -> Performance:
    points = [(point.at, point.equity) for point in bench.journal.points]
    moved = [(each.at, each.cash) for each in bench.journal.corrections if each.kind == "transfer"]
    found = performance(points, [], {}, {}, HOUR, moved)
    assert found is not None
    return found


@pytest.mark.parametrize("cash", [50_000, -40_000])
def test_the_journal_tells_a_transfer_from_a_gain(tmp_path: Path, cash: int) -> None:
    """It lies at the moment of the equity that shows it first, though it is booked later."""
    bench = bench_on({"BTC/USD": level_bars()}, tmp_path)
    bench.go(bench.venue.now + HOUR)
    bench.venue.books = replace(bench.venue.books, cash=bench.venue.books.cash + cash)
    bench.desk.sync()
    bench.desk.pause(5.0)
    bench.venue.books = replace(bench.venue.books, cash=bench.venue.books.cash - D("0.50"))
    bench.desk.sync()  # in the same minute: its equity takes the place of the one before
    bench.desk.pause(2 * LAG.total_seconds())
    bench.desk.sync()
    found = _measured(bench)
    assert abs(found.transfers - cash) <= D("0.50")
    assert abs(found.total_return) < D("0.00001")
    assert found.max_drawdown < D("0.00001")
