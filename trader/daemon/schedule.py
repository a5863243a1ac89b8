"""When the two jobs run. APScheduler's triggers say when in every mode; only what waits differs.

Paper and live: a BackgroundScheduler, each job on an executor of its own, so that neither starves the other.
Simulation: one loop that asks the exchange's clock to go on to the next fire time, or to the next fill before it.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED, JobEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.interval import IntervalTrigger

from trader.core.types import Timeframe
from trader.trading.ports import Clock

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOOK_S = 1.0  # between two looks at whether the clock was set
_STEP_S = 5.0  # less is drift that is being corrected
_LATEST = timedelta(hours=1)  # no cycle begins so long after its time, however long its bars are
_INSTANT = timedelta(milliseconds=1)

Moments = Callable[[], Sequence[datetime]]  # asked each time, in the order of time; those of a calendar as it is known


class Jobs(Protocol):
    def trade(self, bar_close: datetime) -> bool:
        """One cycle for the bars that closed at `bar_close`. False where there was nothing to do (market closed)."""

    def manage(self) -> None: ...

    def nudge(self) -> None:
        """Something happened at the venue: `manage` must not take its next run lightly."""

    def idle(self) -> bool:
        """Whether `manage` has nothing to do until a nudge or the next cycle."""


class EndingClock(Clock, Protocol):
    """A clock whose market can run out of data."""

    @property
    def ended(self) -> bool: ...


class WallClock(Clock, Protocol):
    """A clock that somebody can set."""

    def step(self) -> float:
        """By how many seconds it was set since this was last asked; + is on."""


class Beat(IntervalTrigger):  # type: ignore[misc]
    """APScheduler's, in whole microseconds where it reckons in floating-point seconds, and far quicker for it."""

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        if previous_fire_time is not None or now < self.start_date:
            fire: datetime = super().get_next_fire_time(previous_fire_time, now)
            return fire
        begun: datetime = self.start_date
        next_one: datetime = begun - (begun - now) // self.interval * self.interval  # rounded up
        return next_one


class BeatAndMoments(BaseTrigger):  # type: ignore[misc]
    """An aligned beat, and further moments. APScheduler's own "or" would lose the beat's alignment at each of them."""

    def __init__(self, beat: IntervalTrigger, moments: Moments) -> None:
        self._beat = beat
        self._moments = moments
        self._answer: tuple[datetime, datetime, Sequence[datetime]] | None = None  # asked from, fires at, the moments

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        after = now if previous_fire_time is None else max(now, previous_fire_time + _INSTANT)
        moments, known = self._moments(), self._answer
        # the first at or after one moment is the first for all from there up to itself, while the calendar is the same
        if known is not None and known[0] <= after <= known[1] and known[2] == moments:
            return known[1]
        fire: datetime = self._beat.get_next_fire_time(None, after)
        place = bisect_left(moments, after)
        fire = min(fire, moments[place]) if place < len(moments) else fire
        self._answer = after, fire, moments
        return fire


@dataclass(frozen=True, slots=True, kw_only=True)
class Timetable:
    """`trade` fires at each bar's close plus the delay, `manage` on its own beat; both aligned to UTC.

    opens  of the sessions where a stock's days are traded: they are the closes of bars as well
    """

    timeframe: Timeframe
    trade: BaseTrigger
    manage: BaseTrigger
    opens: Moments

    @classmethod
    def of(
        cls,
        timeframe: Timeframe,
        delay: timedelta,
        manage_every: timedelta,
        *,
        opens: Moments = tuple,
        looks: Moments = tuple,
    ) -> Timetable:
        """looks  further moments at which `manage` fires"""

        def every(interval: timedelta, offset: timedelta) -> IntervalTrigger:
            return Beat(seconds=interval.total_seconds(), start_date=_EPOCH + offset, timezone=UTC)

        # manage keeps a second's distance from whole beats, where bars open: it sees what has just happened
        return cls(
            timeframe=timeframe,
            trade=BeatAndMoments(every(timeframe.duration, delay), lambda: [opened + delay for opened in opens()]),
            manage=BeatAndMoments(every(manage_every, timedelta(seconds=1)), looks),
            opens=opens,
        )

    def bar_close(self, at: datetime) -> datetime:
        """Of the newest bars then: the last aligned moment, or the open of a session where that was later."""
        opens = self.opens()
        place = bisect_right(opens, at)
        aligned = self.timeframe.floor(at)
        return max(aligned, opens[place - 1]) if place else aligned

    def next_trade(self, after: datetime) -> datetime:
        return _next(self.trade, after)

    def next_manage(self, after: datetime) -> datetime:
        return _next(self.manage, after)


def _next(trigger: BaseTrigger, after: datetime) -> datetime:
    """The first fire time later than `after`."""
    fire: datetime = trigger.get_next_fire_time(None, after)
    if fire <= after:
        fire = trigger.get_next_fire_time(fire, after)
    return fire.astimezone(UTC)


def run_simulated(
    jobs: Jobs,
    clock: EndingClock,
    timetable: Timetable,
    stop: threading.Event,
    *,
    cycles: int | None = None,
    skip_to: Callable[[datetime], datetime] = lambda moment: moment,
) -> int:
    """Drive both jobs by the exchange's clock until `stop`, the end of its data, or `cycles`. Returns cycles done.

    skip_to  the first moment at or after the given one at which a cycle makes sense (stocks: not at night)
    """
    cycles_done = 0
    now = clock.now()
    next_trade = skip_to(timetable.next_trade(now))
    while not stop.is_set() and not clock.ended and (cycles is None or cycles_done < cycles):
        next_look = next_trade if jobs.idle() else min(next_trade, timetable.next_manage(now))
        now = clock.wait_until(next_look)
        if stop.is_set() or clock.ended:
            break
        if now < next_look:
            jobs.nudge()  # a fill, before anything was due
        if now >= next_trade:
            cycles_done += jobs.trade(timetable.bar_close(now))
            next_trade = skip_to(timetable.next_trade(clock.now()))
        else:
            jobs.manage()
        now = clock.now()  # a job may have let time pass
    return cycles_done


def run_scheduled(
    jobs: Jobs,
    clock: WallClock,
    timetable: Timetable,
    stop: threading.Event,
    *,
    on_trouble: Callable[[str, str], None],
    subscribe: Callable[[Callable[[], None]], None] = lambda wake: None,
    look: Callable[[], None] = lambda: None,
    cycles: int | None = None,
) -> int:
    """Drive both jobs by real time until `stop`. Re-raises a job's fatal error here, in the caller's thread.

    on_trouble  told (job, what) when a run was missed, overran or failed
    subscribe   given a function that makes `manage` run now: a trade update calls it
    look        called each second, whatever the jobs do
    """
    fatal: list[BaseException] = []
    done, manage = 0, _Again(jobs.manage, stop)

    def guarded(work: Callable[[], None]) -> Callable[[], None]:
        # APScheduler swallows even SystemExit, so what must end the daemon is handed over here
        def run() -> None:
            try:
                work()
            except BaseException as error:
                fatal.append(error)
                stop.set()
                raise

        return run

    def trade() -> None:
        nonlocal done
        done += jobs.trade(timetable.bar_close(clock.now()))
        if cycles is not None and done >= cycles:
            stop.set()

    scheduler = _scheduler(guarded(trade), guarded(manage), timetable, on_trouble)
    subscribe(lambda: manage.wake(scheduler))
    scheduler.start()
    try:
        _watch_clock(clock, scheduler, stop, on_trouble, look)
    finally:
        clock.wake()
        scheduler.shutdown(wait=True)
    for error in fatal:
        raise error
    return done


def _scheduler(
    trade: Callable[[], None],
    manage: Callable[[], None],
    timetable: Timetable,
    on_trouble: Callable[[str, str], None],
) -> BackgroundScheduler:
    """Not started yet."""
    executors = {"trade": ThreadPoolExecutor(1), "manage": ThreadPoolExecutor(1)}
    scheduler = BackgroundScheduler(timezone=UTC, executors=executors)
    grace = min(timetable.timeframe.duration / 2, _LATEST).total_seconds()
    common = {"coalesce": True, "max_instances": 1}
    scheduler.add_job(trade, timetable.trade, id="trade", executor="trade", misfire_grace_time=int(grace), **common)
    scheduler.add_job(manage, timetable.manage, id="manage", executor="manage", misfire_grace_time=None, **common)
    scheduler.add_listener(
        lambda event: on_trouble(event.job_id, _trouble(event)),
        EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES | EVENT_JOB_ERROR,
    )
    return scheduler


def _watch_clock(
    clock: WallClock,
    scheduler: BackgroundScheduler,
    stop: threading.Event,
    on_trouble: Callable[[str, str], None],
    look: Callable[[], None],
) -> None:
    """Until `stop`. APScheduler would sleep through an hour in which the clock was set back, positions unattended."""
    while not stop.wait(_LOOK_S):
        look()
        step = clock.step()
        if abs(step) < _STEP_S:
            continue
        on_trouble("clock", f"went {'on' if step > 0 else 'back'} by {abs(step):.0f} s at once: set, or after a sleep")
        if step < 0:
            now = datetime.now(UTC)
            for job in scheduler.get_jobs():
                job.modify(next_run_time=job.trigger.get_next_fire_time(None, now))
        scheduler.wakeup()


class _Again:
    """A job that can be woken from any thread: it runs now, or once more where it is running already."""

    def __init__(self, work: Callable[[], None], stop: threading.Event) -> None:
        self._work, self._stop = work, stop
        self._woken, self._running = threading.Event(), False

    def __call__(self) -> None:
        self._running = True
        try:
            self._woken.clear()
            self._work()
            while self._woken.is_set() and not self._stop.is_set():
                self._woken.clear()
                self._work()
        finally:
            self._running = False

    def wake(self, scheduler: BackgroundScheduler) -> None:
        self._woken.set()
        if not self._running:
            with suppress(JobLookupError):  # the scheduler is shutting down
                scheduler.modify_job("manage", next_run_time=datetime.now(UTC))


def _trouble(event: JobEvent) -> str:
    names = {EVENT_JOB_MISSED: "missed", EVENT_JOB_MAX_INSTANCES: "still running when due", EVENT_JOB_ERROR: "failed"}
    return names.get(event.code, str(event.code))
