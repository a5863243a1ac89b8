"""The alarm for what is held and not looked after: no report of the venue, no price, or no exit at rest for all of it,
for a minute.

By the clock, not by bars, and looked at from outside of the jobs: one that hangs can't tell. Seconds are the clock's
own. What is written here is written by the jobs, with the desk's lock held; `look` may come from any thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress

from trader.core.types import Symbol
from trader.errors import Transient

NO_REPORT, NO_PRICE, NO_EXIT = "no report of the venue", "no price", "no exit at rest"
NO_COVER = "the exit at rest is for less than is held"
_LOOKS = 2  # times `after_s`: looks that are further apart than that leave a gap in which nobody looked


class Unwatched:
    """`alert` is told ("unwatched", severity, text): when it begins, every `repeat_s`, and when it is over."""

    def __init__(
        self,
        seconds: Callable[[], float],
        alert: Callable[[str, str, str], None],
        after_s: float = 60.0,
        repeat_s: float = 600.0,
    ) -> None:
        self.after_s, self.repeat_s = after_s, repeat_s
        self.seconds = seconds
        self._alert = alert
        self._good: dict[tuple[Symbol, str], float] = {}  # when each was last in order, of what is held
        self._looked = seconds()  # when the venue's report came last
        self._priced: set[Symbol] = set()  # those that had a price since then
        self._told: dict[Symbol, tuple[float, str]] = {}  # when a person last heard of it, and what
        self._out: frozenset[Symbol] = frozenset()  # symbols with an entry that may fill, when that was last known

    def reported(self, held: Iterable[Symbol]) -> None:
        """The venue's report has come: this is what is held."""
        now, symbols = self.seconds(), frozenset(held)
        gap, self._looked = now - self._looked, now
        priced, self._priced = self._priced, set()
        good = self._good
        for key in [key for key in good if key[0] not in symbols]:
            del good[key]
        for symbol in symbols:
            unseen_since = good.get((symbol, NO_REPORT), now)  # earlier than now: it may have been held all the time
            good[symbol, NO_REPORT] = now
            good.setdefault((symbol, NO_PRICE), unseen_since)
            if symbol in priced and gap > _LOOKS * self.after_s:
                good[symbol, NO_PRICE] = now  # in between nobody looked for one: its absence counts from this look
            good.setdefault((symbol, NO_EXIT), unseen_since)
            good.setdefault((symbol, NO_COVER), unseen_since)

    def unseen(self, entries_out: Callable[[], Iterable[Symbol]]) -> None:
        """No report can be had: an entry that is out may fill meanwhile, and nobody would see it."""
        with suppress(Transient):  # the journal is away, too: as it was known last
            self._out = frozenset(entries_out())
        for symbol in sorted(self._out):
            self._good.setdefault((symbol, NO_REPORT), self.seconds())

    def in_order(self, symbol: Symbol, *what: str) -> None:
        if NO_PRICE in what:
            self._priced.add(symbol)
        for each in what:
            if (symbol, each) in self._good:
                self._good[symbol, each] = self.seconds()

    def look(self) -> None:
        if not (self._good or self._told):
            return
        now = self.seconds()
        complaints: dict[Symbol, list[str]] = {}
        for (symbol, what), good in list(self._good.items()):
            if now - good >= self.after_s:
                complaints.setdefault(symbol, []).append(f"{what} for {now - good:.0f} s")
        for symbol in sorted(complaints):
            self._say(symbol, ", ".join(complaints[symbol]), now)
        for symbol in [symbol for symbol in self._told if symbol not in complaints]:
            _, text = self._told.pop(symbol)
            self._alert("unwatched", "info", f"{symbol}: over ({text})")

    def _say(self, symbol: Symbol, text: str, now: float) -> None:
        last_alert = self._told.get(symbol)
        if last_alert is None or now - last_alert[0] >= self.repeat_s:
            self._told[symbol] = now, text
            state = "is held" if (symbol, NO_EXIT) in self._good else "may be held, an entry is out"
            self._alert("unwatched", "error", f"{symbol} {state}: {text}")
