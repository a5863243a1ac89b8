"""An endpoint that fails is left alone for a while: its slowness must not slow the exits."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.core.make import NOW
from trader.errors import Transient
from trader.trading.parts import Parts


class Told:
    """A clock that is told the time."""

    seconds = 0.0

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    def wait_until(self, moment: datetime) -> datetime:
        return self.now()

    def wake(self) -> None:
        """Nobody waits."""


def test_it_is_asked_ever_more_rarely_and_said_to_fail_until_it_answers() -> None:
    clock, asked = Told(), list[float]()
    parts = Parts(clock)

    def fails() -> int:
        asked.append(clock.seconds)
        raise Transient("no answer")

    for second in range(60):
        clock.seconds = float(second)
        with pytest.raises(Transient, match="no answer"):
            parts.read("account", fails)
    assert asked == [0, 1, 3, 8, 18, 48]
    assert parts.fails("account")
    assert parts.read("activities", lambda: 2) == 2, "another endpoint's trouble"
    assert parts.trouble() == "account: no answer"
    clock.seconds = 78.0
    assert parts.read("account", lambda: 1) == 1
    assert not parts.fails("account")
    assert parts.trouble() == ""
