"""Which bars may be forecast from."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.core.make import HOUR, SPY, bars
from trader.core.bars import bars_problem, missing_between
from trader.core.market import CLOSE, HIGH, LOW, VOLUME, Bars
from trader.core.types import Timeframe

LAST = datetime(2025, 3, 12, 14, tzinfo=UTC)


def problem(given: Bars | None, **changes: object) -> str | None:
    fields: dict[str, object] = {"timeframe": HOUR, "expected_last_start": LAST, "context": 64} | changes
    return bars_problem(given, **fields)  # type: ignore[arg-type]


def with_value(row: int, column: int, value: float) -> Bars:
    made = bars()
    values = made.values.copy()
    values[row, column] = value
    return replace(made, values=values)


def without(rows: slice, count: int = 200) -> Bars:
    made = bars(count)
    keep = np.ones(count, dtype=bool)
    keep[rows] = False
    return replace(made, times=made.times[keep], values=made.values[keep])


def test_sound_bars_are_fit() -> None:
    assert problem(bars()) is None
    assert problem(bars(), quote_mid=Decimal(repr(bars().last_close))) is None


def test_none_and_too_few_are_not() -> None:
    assert problem(None) == "no bars"
    assert problem(bars(63)) == "too few: 63 of 64"


def test_the_newest_must_be_there_and_closed() -> None:
    assert "newest is missing" in str(problem(bars(), expected_last_start=LAST + timedelta(hours=1)))
    assert "not closed" in str(problem(bars(), expected_last_start=LAST - timedelta(hours=1)))


def test_duplicates_and_disorder_are_refused() -> None:
    made = bars()
    twice = made.times.copy()
    twice[10] = twice[9]
    assert "duplicate" in str(problem(replace(made, times=twice)))
    swapped = made.times.copy()
    swapped[[10, 11]] = swapped[[11, 10]]
    assert "order of time" in str(problem(replace(made, times=swapped)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", range(6))
def test_what_is_not_finite_is_refused(value: float, column: int) -> None:
    assert "not finite" in str(problem(with_value(5, column, value)))


def test_prices_are_positive_and_volumes_not_below_zero() -> None:
    assert "not positive" in str(problem(with_value(5, LOW, 0.0)))
    assert "below zero" in str(problem(with_value(5, VOLUME, -1.0)))


def test_guard_30_a_high_below_the_low_is_refused_not_flipped() -> None:
    assert "do not hold the bar" in str(problem(with_value(5, HIGH, 90.0)))
    assert "do not hold the bar" in str(problem(with_value(5, LOW, 110.0)))


def test_a_long_gap_and_many_small_ones_are_refused() -> None:
    assert problem(without(slice(50, 60))) is None
    assert "a gap of 25 bars" in str(problem(without(slice(50, 75))))
    assert "of the bars are missing" in str(problem(without(slice(10, 150, 5))))


def test_guard_29_bars_of_another_coin_are_seen_by_their_scale() -> None:
    assert "another instrument" in str(problem(bars(), quote_mid=Decimal(3000)))
    assert "another instrument" in str(problem(bars(), quote_mid=Decimal(1)))


def test_a_split_is_seen() -> None:
    made = bars()
    values = made.values.copy()
    values[32:, : CLOSE + 1] /= 2
    assert "a split" in str(problem(replace(made, values=values)))


# ---- stocks close ----

SESSIONS = [
    (datetime(2025, 3, day, 13, 30, tzinfo=UTC), datetime(2025, 3, day, 20, tzinfo=UTC)) for day in (10, 11, 12)
]


def stock_times(*starts: datetime) -> NDArray[np.datetime64]:
    return np.array([start.replace(tzinfo=None) for start in starts], dtype="datetime64[us]")


def at(day: int, hour: int, minute: int = 30) -> datetime:
    return datetime(2025, 3, day, hour, minute, tzinfo=UTC)


def test_a_night_is_no_gap_and_a_lost_morning_is() -> None:
    night = stock_times(at(10, 19), at(11, 13))
    lost = stock_times(at(10, 19), at(11, 16))
    for sessions in (SESSIONS, None):
        assert missing_between(SPY, night, HOUR, sessions).tolist() == [0]
    assert missing_between(SPY, lost, HOUR, SESSIONS).tolist() == [3]


def test_a_lost_day_is_counted_with_the_sessions_known() -> None:
    days = stock_times(at(10, 0, 0), at(12, 0, 0))
    assert missing_between(SPY, days, Timeframe(1, "Day"), SESSIONS).tolist() == [1]


def test_bars_stamped_on_the_clock_hour_have_no_gap_overnight() -> None:
    assert missing_between(SPY, stock_times(at(10, 19, 0), at(11, 13, 0)), HOUR, SESSIONS).tolist() == [0]
