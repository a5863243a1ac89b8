"""Which troubles of a scenario last at a moment, and whether one strikes a call."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from tests.chaos.scenario import Trouble

AFTERMATH = timedelta(minutes=10)  # after a trouble began or ended the daemon is looked at closely


class Active:
    """`begin`, `end` of each trouble lie on the market's clock. Each has dice of its own."""

    def __init__(self, troubles: Iterable[Trouble], start: datetime, now: Callable[[], datetime]) -> None:
        self.now = now
        self._spans = [
            (start + timedelta(hours=each.at), start + timedelta(hours=each.until), each) for each in troubles
        ]
        self._dice = {each: random.Random(f"strikes {each}") for _, _, each in self._spans}
        self.moments = sorted({moment for begin, end, _ in self._spans for moment in (begin, end)})
        self._since: datetime | None = None
        self._until = start
        self._current: tuple[Trouble, ...] = ()
        self._kinds: frozenset[str] = frozenset()  # of the current ones

    def at(self, moment: datetime) -> tuple[Trouble, ...]:
        """Those that last then."""
        if self._since is None or not self._since <= moment < self._until:
            place = bisect_right(self.moments, moment)
            self._since = self.moments[place - 1] if place else datetime.min.replace(tzinfo=moment.tzinfo)
            after = self.moments[place] if place < len(self.moments) else None
            self._until = after or datetime.max.replace(tzinfo=moment.tzinfo)
            self._current = tuple(each for begin, end, each in self._spans if begin <= moment < end)
            self._kinds = frozenset(each.what for each in self._current)
        return self._current

    def hit(self, *names: str, symbol: str | None = None) -> Trouble | None:
        """The first of these kinds that lasts now and strikes. `symbol`: whom the call is about."""
        current = self.at(self.now())
        if self._kinds.isdisjoint(names):  # most of a million questions
            return None
        for each in current:
            if each.what not in names or (symbol is not None and each.symbol != symbol):
                continue
            if each.chance >= 1 or self._dice[each].random() < each.chance:
                return each
        return None

    def lasts(self, *kinds: str) -> bool:
        """Whether any goes on now whose first word is one of these; of any kind where none is named."""
        return any(not kinds or each.what.split()[0] in kinds for each in self.at(self.now()))

    def began_or_ended_lately(self) -> bool:
        now = self.now()
        place = bisect_right(self.moments, now)
        return place > 0 and now - self.moments[place - 1] < AFTERMATH

    def next_change(self) -> datetime | None:
        place = bisect_right(self.moments, self.now())
        return self.moments[place] if place < len(self.moments) else None
