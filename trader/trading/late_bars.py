"""The newest bars, asked for until they are there: ever more rarely, and not long for one that was late before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from trader.core.market import Bars
from trader.core.types import Symbol
from trader.trading.ports import Clock

FIRST_PAUSE, LONGEST_PAUSE, LONGER = timedelta(seconds=1), timedelta(seconds=5), 1.5
PATIENCE_WITH_THE_LATE = timedelta(seconds=5)


@dataclass(slots=True)
class Awaiting:
    """Remembers who was late: one symbol without bars, day after day, must not make all the others late."""

    late: frozenset[Symbol] = frozenset()

    def bars(
        self,
        symbols: Sequence[Symbol],
        ask: Callable[[], Mapping[Symbol, Bars]],
        lacks_newest: Callable[[Bars], bool],
        clock: Clock,
        patience: timedelta,
    ) -> Mapping[Symbol, Bars]:
        """What `ask` gave last: all of them with their newest bar, or as it was when time was up."""
        start, pause = clock.monotonic(), FIRST_PAUSE
        short = min(patience, PATIENCE_WITH_THE_LATE)
        while True:
            answer = ask()
            late = [symbol for symbol in symbols if symbol not in answer or lacks_newest(answer[symbol])]
            elapsed = timedelta(seconds=clock.monotonic() - start)
            remaining = max((short if symbol in self.late else patience for symbol in late), default=elapsed) - elapsed
            wait_start = clock.now()
            if remaining <= timedelta(0) or clock.wait_until(wait_start + min(pause, remaining)) == wait_start:
                break  # time is up, or stands still: a market that has ended
            pause = min(LONGER * pause, LONGEST_PAUSE)
        self.late = frozenset(late)
        return answer
