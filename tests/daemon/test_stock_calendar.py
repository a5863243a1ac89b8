"""The sessions that the jobs go by, when the venue does not answer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from trader.core.types import Symbol
from trader.errors import Transient
from trader.trading.ports import Session
from trader.trading.positions import Sessions

START = datetime(2024, 3, 4, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SPY, BTC = Symbol("SPY"), Symbol("BTC/USD")


class Venue:
    """Its calendar: every day from 14:30 to 21:00."""

    def __init__(self) -> None:
        self.down = False
        self.asked = 0

    def sessions(self, start: datetime, end: datetime) -> Sequence[Session]:
        self.asked += 1
        if self.down:
            raise Transient("no answer")
        days = [start.replace(hour=0) + DAY * number for number in range((end - start).days + 1)]
        return [Session(open=day.replace(hour=14, minute=30), close=day.replace(hour=21)) for day in days]


def test_it_is_read_once_a_day() -> None:
    venue = Venue()
    sessions = Sessions(venue.sessions)
    for hour in range(48):
        sessions.around(START + timedelta(hours=hour))
    assert venue.asked == 2


def test_a_venue_that_does_not_answer_leaves_what_is_known() -> None:
    venue = Venue()
    sessions = Sessions(venue.sessions)
    known = sessions.around(START)
    venue.down = True
    later = START + DAY
    assert sessions.around(later) == known
    asked = venue.asked
    assert sessions.around(later + timedelta(minutes=5)) == known
    assert venue.asked == asked  # not at every look
    sessions.around(later + timedelta(minutes=11))
    assert venue.asked == asked + 1
    venue.down = False
    assert sessions.around(later + timedelta(minutes=22)) != known


def test_with_nothing_known_it_is_trouble() -> None:
    venue = Venue()
    venue.down = True
    with pytest.raises(Transient):
        Sessions(venue.sessions).around(START)
    venue.down = False
    sessions = Sessions(venue.sessions)
    sessions.around(START)
    venue.down = True
    with pytest.raises(Transient):
        sessions.around(START + 9 * DAY)


def test_when_the_market_opens_again() -> None:
    sessions = Sessions(Venue().sessions)
    assert sessions.reopens(SPY, START) == START.replace(hour=14, minute=30)
    assert sessions.reopens(SPY, START.replace(hour=14, minute=30)) == START.replace(hour=14, minute=30) + DAY
    assert sessions.reopens(BTC, START) is None
