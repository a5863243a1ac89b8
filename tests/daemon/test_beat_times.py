"""The aligned beat is APScheduler's interval, but for the rounding of its seconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from apscheduler.triggers.interval import IntervalTrigger
from hypothesis import given
from hypothesis import strategies as st

from trader.daemon.schedule import Beat, BeatAndMoments

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOMENTS = st.integers(-(10**6), 4_102_444_800_000).map(lambda millis: EPOCH + timedelta(milliseconds=millis))


@given(now=MOMENTS, seconds=st.sampled_from([15, 60, 225, 900, 3600, 86_400]), offset=st.integers(0, 30))
def test_it_fires_when_the_library_would(now: datetime, seconds: int, offset: int) -> None:
    ours, theirs = (
        kind(seconds=seconds, start_date=EPOCH + timedelta(seconds=offset), timezone=UTC)
        for kind in (Beat, IntervalTrigger)
    )
    fire = ours.get_next_fire_time(None, now)
    assert fire == theirs.get_next_fire_time(None, now)
    assert ours.get_next_fire_time(fire, now) == theirs.get_next_fire_time(fire, now)


def test_a_moment_on_the_beat_is_its_own() -> None:
    beat = Beat(seconds=900, start_date=EPOCH, timezone=UTC)
    on_it = datetime(2025, 3, 12, 15, 45, tzinfo=UTC)
    assert beat.get_next_fire_time(None, on_it) == on_it
    assert beat.get_next_fire_time(None, on_it + timedelta(microseconds=1)) == on_it + timedelta(minutes=15)


LATER = st.integers(0, 10**5).map(lambda seconds: datetime(2025, 3, 12, tzinfo=UTC) + timedelta(seconds=seconds))


@given(asked=st.lists(LATER, min_size=1, max_size=20), known=st.lists(st.lists(LATER, max_size=5), min_size=1))
def test_a_question_asked_before_has_the_answer_of_one_asked_anew(
    asked: list[datetime], known: list[list[datetime]]
) -> None:
    """Answers are kept until they have come; another calendar, or an earlier moment, is asked about anew."""
    calendars = [sorted(each) for each in known]
    now = [calendars[0]]
    kept = BeatAndMoments(Beat(seconds=900, start_date=EPOCH, timezone=UTC), lambda: now[0])
    for number, moment in enumerate(asked):
        now[0] = calendars[number % len(calendars)]
        fresh = BeatAndMoments(Beat(seconds=900, start_date=EPOCH, timezone=UTC), lambda: now[0])
        fire = fresh.get_next_fire_time(None, moment)
        assert kept.get_next_fire_time(None, moment) == fire
        assert kept.get_next_fire_time(fire, fire) == fresh.get_next_fire_time(fire, fire)
