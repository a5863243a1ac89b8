"""A stock's days against ten years of the real calendar: one cycle a session, inside it, on the session before."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from functools import cache
from itertools import pairwise
from time import monotonic
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trader.core.days import expected_start, is_late, trades_now
from trader.core.decision import ExitPolicy
from trader.core.market import Bars, to_datetime64
from trader.core.types import Symbol, Timeframe
from trader.daemon.schedule import Timetable, run_scheduled, run_simulated
from trader.daemon.timetable import closed_hours_skipper, simulated_beat, timetable_of
from trader.exchange.market.files import to_micros
from trader.exchange.market.sessions import Sessions as Calendar
from trader.exchange.market.sessions import as_datetimes
from trader.trading.ports import Session
from trader.trading.positions import Sessions

DAY = Timeframe(1, "Day")
SPY, BTC = Symbol("SPY"), Symbol("BTC/USD")
FIRST, LAST = datetime(2014, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)
DELAY = timedelta(seconds=5)
NEW_YORK = ZoneInfo("America/New_York")

STAMPS: dict[str, Callable[[datetime], datetime]] = {
    "midnight UTC": lambda open_: datetime.combine(open_.date(), time(), UTC),
    "midnight New York": lambda open_: datetime.combine(open_.date(), time(), NEW_YORK).astimezone(UTC),
    "the open": lambda open_: open_,
}


@cache
def ten_years() -> tuple[Session, ...]:
    spans = as_datetimes(*Calendar().between(to_micros(FIRST - timedelta(days=20)), to_micros(LAST)))
    return tuple(Session(open=open_, close=close) for open_, close in spans)


def read(start: datetime, end: datetime) -> Iterator[Session]:
    return (session for session in ten_years() if session.close >= start and session.open <= end)


@dataclass
class JumpingClock:
    """It is at once whatever time is waited for, until the end."""

    at: datetime
    end: datetime
    ended: bool = False

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    def wait_until(self, moment: datetime) -> datetime:
        self.at, self.ended = max(self.at, min(moment, self.end)), moment >= self.end
        return self.at

    def wake(self) -> None:
        raise AssertionError("nobody wakes it")


@dataclass
class Recorder:
    """The two jobs, which note what they are called for. A cycle is one where the daemon's own rule says so."""

    clock: JumpingClock
    sessions: Sessions
    symbols: tuple[Symbol, ...]
    quiet: bool = True
    cycles: list[tuple[Symbol, datetime, datetime]] = field(default_factory=list)
    calls: list[datetime] = field(default_factory=list)
    looks: list[datetime] = field(default_factory=list)

    def trade(self, bar_close: datetime) -> bool:
        now = self.clock.now()
        self.calls.append(now)
        spans = [(session.open, session.close) for session in self.sessions.around(now)]
        traded = [symbol for symbol in self.symbols if trades_now(symbol, DAY, bar_close, now, spans)]
        self.cycles += [(symbol, now, bar_close) for symbol in traded]
        return bool(traded)

    def manage(self) -> None:
        self.looks.append(self.clock.now())

    def nudge(self) -> None:
        raise AssertionError("no fill was made")

    def idle(self) -> bool:
        return self.quiet


def ran(
    symbols: tuple[Symbol, ...], start: datetime, end: datetime, *, delay: timedelta = DELAY, quiet: bool = True
) -> Recorder:
    clock, sessions = JumpingClock(start, end), Sessions(read)
    sessions.around(start)
    timetable = timetable_of(
        symbols, DAY, sessions, delay=delay, manage_every=simulated_beat(DAY), simulated=ExitPolicy()
    )
    jobs = Recorder(clock, sessions, symbols, quiet=quiet)
    skip = closed_hours_skipper(symbols, sessions, timetable, clock.now)
    run_simulated(jobs, clock, timetable, threading.Event(), skip_to=skip)
    return jobs


def sessions_within(start: datetime, end: datetime) -> list[Session]:
    return [session for session in ten_years() if start < session.open and session.open + DELAY < end]


def bars_until(moment: datetime, stamp: Callable[[datetime], datetime]) -> Bars:
    """The newest days that a venue tells by then: those whose stamp is a day old."""
    stamps = [stamp(session.open) for session in read(moment - timedelta(days=20), moment)]
    times = np.array([to_datetime64(each) for each in stamps if each + DAY.duration <= moment])
    return Bars(symbol=SPY, timeframe=DAY, times=times, values=np.ones((len(times), 6)))


@pytest.mark.parametrize("delay", [timedelta(0), DELAY, timedelta(minutes=45)])
def test_each_session_of_ten_years_has_exactly_one_cycle_of_stocks_inside_it(delay: timedelta) -> None:
    jobs = ran((SPY,), FIRST, LAST, delay=delay)
    sessions = sessions_within(FIRST, LAST)
    assert len(sessions) > 2500
    assert [bar_close for _, _, bar_close in jobs.cycles] == [session.open for session in sessions]
    for (_, at, _), session in zip(jobs.cycles, sessions, strict=True):
        assert session.open + delay == at < session.close


@pytest.mark.parametrize("name", STAMPS)
def test_the_newest_bar_of_each_cycle_is_the_session_before(name: str) -> None:
    """Whatever the source's stamps; over weekends, holidays, half days and both changes of the clock."""
    stamp, sessions = STAMPS[name], ten_years()
    for before, session in pairwise(sessions[20:]):
        told = bars_until(session.open, stamp)
        spans = [(each.open, each.close) for each in read(session.open - timedelta(days=10), session.close)]
        expected = expected_start(SPY, DAY, session.open, spans)
        assert told.last_start == stamp(before.open)
        assert told.last_start <= expected
        assert not is_late(told, expected)
        older = Bars(symbol=SPY, timeframe=DAY, times=told.times[:-1], values=told.values[:-1])
        assert is_late(older, expected)


def test_coins_and_stocks_each_have_a_cycle_of_their_own() -> None:
    start, end = datetime(2023, 6, 20, 12, tzinfo=UTC), datetime(2023, 7, 20, 12, tzinfo=UTC)
    jobs = ran((BTC, SPY), start, end)
    midnights = [start.replace(hour=0) + timedelta(days=day) for day in range(1, 31)]
    assert [close for symbol, _, close in jobs.cycles if symbol == BTC] == midnights
    assert [close for symbol, _, close in jobs.cycles if symbol == SPY] == [
        session.open for session in sessions_within(start, end)
    ]
    assert len(jobs.calls) == len(set(jobs.calls)) == len(jobs.cycles)


def test_what_is_held_is_seen_at_each_quarter_of_a_session_and_before_its_close() -> None:
    day = datetime(2023, 7, 3, tzinfo=UTC)  # a half day
    jobs = ran((SPY,), day, day + timedelta(days=1), quiet=False)
    open_, close, second = day.replace(hour=13, minute=30), day.replace(hour=17), timedelta(seconds=1)
    quarters = [open_ + (close - open_) / 4 * number + second for number in range(4)]
    wanted = {*quarters, close - ExitPolicy().flat_before_close + second}
    assert wanted <= set(jobs.looks)
    assert len(jobs.looks) <= len(wanted) + 4  # and at the beat of days


SECONDS = int((LAST - FIRST).total_seconds())


@given(start=st.integers(20 * 86400, SECONDS - 30 * 86400).map(lambda second: FIRST + timedelta(seconds=second)))
@example(start=datetime(2023, 7, 3, 13, 30, 1, tzinfo=UTC))
@example(start=datetime(2023, 3, 10, 21, tzinfo=UTC))
def test_a_daemon_that_starts_at_any_moment_begins_with_the_next_open(start: datetime) -> None:
    """It trades nothing for having been started: a session that is under way has had its moment."""
    jobs = ran((SPY,), start, start + timedelta(days=14))
    following = sessions_within(start - DELAY, start + timedelta(days=14))
    assert [close for _, _, close in jobs.cycles] == [s.open for s in following if s.open + DELAY > start]


def test_real_time_fires_at_midnight_too_and_never_twice() -> None:
    """The midnight's run trades no stock: it reads the calendar anew, and shows the watchdog that all is well."""
    sessions = Sessions(read)
    now = datetime(2023, 3, 9, 3, tzinfo=UTC)
    sessions.around(now)
    trigger = timetable_of((SPY,), DAY, sessions, delay=DELAY, manage_every=timedelta(seconds=5)).trade
    fires, last = [], None
    for _ in range(8):
        last = trigger.get_next_fire_time(last, now if last is None else last)
        fires.append(f"{last:%m-%d %H:%M:%S}")
    assert fires == [
        "03-09 14:30:05", "03-10 00:00:05", "03-10 14:30:05", "03-11 00:00:05", "03-12 00:00:05", "03-13 00:00:05",
        "03-13 13:30:05", "03-14 00:00:05",
    ]  # fmt: skip


def test_the_bars_of_a_moment_are_those_of_the_last_open_or_midnight() -> None:
    opened = datetime(2023, 7, 5, 13, 30, tzinfo=UTC)
    timetable = Timetable.of(DAY, DELAY, timedelta(hours=6), opens=lambda: [opened])
    midnight = opened.replace(hour=0, minute=0)
    for at, close in (
        (opened - timedelta(seconds=1), midnight),
        (opened, opened),
        (opened + timedelta(hours=3), opened),
        (midnight + timedelta(days=1), midnight + timedelta(days=1)),
    ):
        assert timetable.bar_close(at) == close


class Now:
    """Real time, which nobody sets."""

    ended = False

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return monotonic()

    def wait_until(self, moment: datetime) -> datetime:
        raise AssertionError(f"the scheduler waits by itself, not until {moment}")

    def wake(self) -> None:
        pass

    def step(self) -> float:
        return 0.0


def test_the_real_scheduler_fires_at_an_open() -> None:
    opened = datetime.now(UTC) + timedelta(seconds=0.5)
    timetable = Timetable.of(DAY, timedelta(0), timedelta(hours=1), opens=lambda: [opened])
    closes: list[datetime] = []
    troubles: list[tuple[str, str]] = []

    class Jobs(Recorder):
        def trade(self, bar_close: datetime) -> bool:
            closes.append(bar_close)
            return True

    jobs = Jobs(JumpingClock(opened, opened), Sessions(read), (SPY,))
    stop = threading.Event()
    guard = threading.Timer(20, stop.set)
    guard.start()
    done = run_scheduled(
        jobs, Now(), timetable, stop, cycles=1, on_trouble=lambda job, what: troubles.append((job, what))
    )
    guard.cancel()
    assert (done, closes, troubles) == (1, [opened], [])
