"""The one clock of a scenario: the market's. Whoever waits lets the market play, and what is due meanwhile happens."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from trader.exchange.venue import Venue

_TO_LEAVE = timedelta(hours=1)  # after the end: whoever leaves then waits for what it cancels


class Crash(BaseException):
    """The process is gone, whatever it was doing."""


class ChaosClock:
    """due    moments at which something of the script happens, soonest first
    happen   told that time has come to `now`: carries out what is due
    look     how long until somebody looks at what is held again, whatever the daemon does
    hears    whether the daemon is told of fills as they happen
    off      by how much the machine's clock is wrong now; what counts seconds knows nothing of it
    """

    def __init__(
        self,
        venue: Venue,
        end: datetime,
        due: Callable[[], datetime | None],
        happen: Callable[[], None],
        look: Callable[[], timedelta],
        hears: Callable[[], bool],
        off: Callable[[], timedelta] | None = None,
    ) -> None:
        self._venue, self._end, self._closed = venue, end, end + _TO_LEAVE
        self._due, self._happen, self._look, self._hears = due, happen, look, hears
        self._off = off
        self._began = venue.now
        self._seconds = (venue.now, 0.0)  # the moment that was asked about last, and its answer
        self._woken = False
        self.ended = False

    def now(self) -> datetime:
        return self._venue.now if self._off is None else self._venue.now + self._off()

    def monotonic(self) -> float:
        now = self._venue.now
        if now is not self._seconds[0]:
            self._seconds = now, (now - self._began).total_seconds()
        return self._seconds[1]

    @property
    def is_right_always(self) -> bool:
        return self._off is None

    def wake(self) -> None:
        self._woken = True

    def wait_until(self, moment: datetime) -> datetime:
        """Returns early at a fill, a late rejection, or when something of the script happened."""
        while not self._woken and self.now() < moment and self._venue.now < self._closed:
            if self._step(self._venue.now + (moment - self.now())):
                break
        self._woken = False
        self.ended = self._venue.now >= self._end
        return self.now()

    def lapse(self, seconds: float) -> None:
        """Somebody waits for an answer, and hears of nothing meanwhile."""
        until = min(self._venue.now + timedelta(seconds=seconds), self._closed)
        while self._venue.now < until:
            self._step(until)

    def _step(self, moment: datetime) -> bool:
        """To the next thing to be looked at. True where something happened."""
        due = self._due()
        here = min(moment, self._closed, self._venue.now + self._look())
        scripted = due is not None and due <= here
        done = self._venue.advance(max(due, self._venue.now) if scripted and due is not None else here)
        self._happen()
        return (done.reason == "fill" and self._hears()) or (scripted and due is not None and self._venue.now >= due)
