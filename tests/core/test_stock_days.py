"""Bars that are whole sessions: what they are stamped, and which come next."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from tests.core.make import BTC, CLOSE, NOW, SPY, instrument, levels, position, quote
from tests.core.make import bars as hourly
from trader.core.bars import bars_problem, missing_between
from trader.core.days import calendar_ahead, daily_starts, expected_start, is_session_bar, starts_ahead
from trader.core.decision import ExitPolicy
from trader.core.market import Bars, future_times
from trader.core.protect import ProtectAction, protect
from trader.core.types import Purpose, Symbol, Timeframe

DAY, HOUR = Timeframe(1, "Day"), Timeframe(1, "Hour")
# a week with a holiday on Tuesday and a half day on Monday
OPENS = [datetime(2023, 7, day, 13, 30, tzinfo=UTC) for day in (3, 5, 6, 7, 10)]
SESSIONS = [(open_, open_.replace(hour=17 if open_.day == 3 else 20, minute=0)) for open_ in OPENS]


def days(*texts: str, clock: str = "T00:00") -> Bars:
    times = np.array([text + clock for text in texts], dtype="datetime64[us]")
    values = np.tile([10.0, 11.0, 9.0, 10.0, 100.0, 1000.0], (len(times), 1))
    return Bars(symbol=SPY, timeframe=DAY, times=times, values=values)


def problem(bars: Bars, at: datetime) -> str | None:
    return bars_problem(bars, DAY, expected_start(SPY, DAY, at, SESSIONS), len(bars), sessions=SESSIONS)


def test_only_days_of_stocks_are_sessions() -> None:
    assert is_session_bar(SPY, DAY)
    assert not is_session_bar(BTC, DAY)
    assert not is_session_bar(SPY, HOUR)
    assert expected_start(BTC, DAY, NOW, []) == NOW - timedelta(days=1)
    assert expected_start(SPY, HOUR, NOW, SESSIONS) == NOW - timedelta(hours=1)


@pytest.mark.parametrize("clock", ["T00:00", "T04:00", "T13:30"])
def test_fridays_bar_is_the_newest_on_monday_and_thursdays_is_not(clock: str) -> None:
    monday = OPENS[4]
    assert problem(days("2023-07-05", "2023-07-06", "2023-07-07", clock=clock), monday) is None
    assert "newest is missing" in str(problem(days("2023-07-05", "2023-07-06", clock=clock), monday))
    todays = days("2023-07-06", "2023-07-07", "2023-07-10", clock=clock)
    assert clock != "T13:30" or "not closed" in str(problem(todays, monday))


def test_the_day_before_a_holiday_is_current_after_it() -> None:
    assert problem(days("2023-07-03"), OPENS[1]) is None
    assert "newest is missing" in str(problem(days("2023-06-30"), OPENS[1]))


def test_a_session_without_a_bar_is_missing_and_a_holiday_is_not() -> None:
    times = days("2023-06-29", "2023-07-03", "2023-07-05", "2023-07-07", "2023-07-10").times
    assert missing_between(SPY, times, DAY, SESSIONS).tolist() == [0, 0, 1, 0]  # of the sessions that are known


@pytest.mark.parametrize(
    ("last", "ahead"),
    [
        (["2023-07-02T00:00", "2023-07-03T00:00"], ["2023-07-05T00:00", "2023-07-06T00:00", "2023-07-07T00:00"]),
        (["2023-07-02T04:00", "2023-07-03T04:00"], ["2023-07-05T04:00", "2023-07-06T04:00", "2023-07-07T04:00"]),
        (["2023-03-09T05:00", "2023-07-03T04:00"], ["2023-07-05T04:00", "2023-07-06T04:00", "2023-07-07T04:00"]),
        (["2023-07-02T13:30", "2023-07-03T13:30"], ["2023-07-05T13:30", "2023-07-06T13:30", "2023-07-07T13:30"]),
    ],
    ids=["UTC dates", "New York, summer", "New York, both", "opens"],
)
def test_the_days_to_come_are_stamped_as_the_source_stamps_its_own(last: list[str], ahead: list[str]) -> None:
    times = np.array(last, dtype="datetime64[us]")
    found = starts_ahead(SPY, times, DAY, 3, OPENS[1], SESSIONS)
    assert found.tolist() == np.array(ahead, dtype="datetime64[us]").tolist()


def test_new_yorks_midnight_moves_with_its_clock() -> None:
    friday = np.array(["2023-03-10T05:00"], dtype="datetime64[us]")
    opens = [datetime(2023, 3, 13, 13, 30, tzinfo=UTC)]
    assert daily_starts(friday, opens).tolist() == np.array(["2023-03-13T04:00"], dtype="datetime64[us]").tolist()


def test_beyond_the_known_calendar_days_are_weekdays() -> None:
    found = starts_ahead(SPY, days("2023-07-06").times, DAY, 4, OPENS[3], SESSIONS)
    assert [str(each)[:10] for each in found] == ["2023-07-07", "2023-07-10", "2023-07-11", "2023-07-12"]
    alone = starts_ahead(SPY, days("2023-07-06").times, DAY, 3, OPENS[3])
    assert [str(each)[:10] for each in alone] == ["2023-07-07", "2023-07-10", "2023-07-11"]


@pytest.mark.parametrize("horizon", [1, 4, 5, 20, 256])
def test_the_calendar_reaches_as_far_as_a_forecast(horizon: int) -> None:
    assert calendar_ahead(DAY, horizon) >= timedelta(days=horizon * 7 / 5 + 4)
    assert calendar_ahead(HOUR, horizon) == timedelta(days=7)


def test_other_bars_come_as_before() -> None:
    times = hourly().times
    assert (starts_ahead(BTC, times, HOUR, 4, NOW) == future_times(NOW, HOUR, 4)).all()
    assert (starts_ahead(SPY, times, HOUR, 4, NOW, SESSIONS) == future_times(NOW, HOUR, 4, SESSIONS)).all()


# ---- held over nights ----


def leaving(now: datetime, expires_at: datetime | None, *, overnight: bool = True, symbol: Symbol = SPY) -> str:
    reopens = CLOSE + timedelta(hours=17, minutes=30)
    held = replace(levels(symbol), expires_at=expires_at)
    policy = ExitPolicy(stocks_overnight=overnight)
    action: ProtectAction = protect(
        position(symbol, "10"), quote(symbol), held, policy, instrument(symbol), now, [],
        session_close=None if symbol == BTC else CLOSE, reopens=None if symbol == BTC else reopens,
    )  # fmt: skip
    leaves = action.place is not None and action.place.purpose is Purpose.TIME_EXIT
    return action.reason if leaves else ""


def test_what_is_due_in_the_night_is_left_before_the_close() -> None:
    """HOLD=bar of a day: its bar is over at the close, when nothing can be sold any more."""
    midnight = CLOSE.replace(hour=0) + timedelta(days=1)
    last_minutes = CLOSE - timedelta(minutes=10)
    assert "when the market is closed" in leaving(last_minutes, midnight)
    assert "when the market is closed" in leaving(last_minutes, CLOSE + timedelta(hours=17, minutes=30))
    assert leaving(last_minutes - timedelta(seconds=1), midnight) == ""


def test_what_is_due_in_a_later_session_stays() -> None:
    assert leaving(CLOSE - timedelta(minutes=5), CLOSE + timedelta(hours=18)) == ""
    assert leaving(CLOSE - timedelta(minutes=5), None) == ""
    assert leaving(CLOSE - timedelta(minutes=5), CLOSE + timedelta(days=2), overnight=False) == "flat before the close"
    assert "held until" in leaving(NOW, NOW)
    assert leaving(CLOSE - timedelta(minutes=5), CLOSE + timedelta(hours=4), symbol=BTC) == ""


def test_the_quote_of_the_open_is_judged_against_the_session_before() -> None:
    sound = days("2023-07-05", "2023-07-06", "2023-07-07")
    expected = expected_start(SPY, DAY, OPENS[4], SESSIONS)
    assert bars_problem(sound, DAY, expected, 3, Decimal("10.5"), sessions=SESSIONS) is None
    assert "times the last close" in str(bars_problem(sound, DAY, expected, 3, Decimal(21), sessions=SESSIONS))
