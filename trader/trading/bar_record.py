"""The record that a bar's exits belong to, opened with the first of them."""

from __future__ import annotations

from datetime import datetime

from trader.core.ids import cycle_id
from trader.core.types import Timeframe
from trader.trading.ports import Clock, Journal


class BarRecord:
    def __init__(self, journal: Journal, clock: Clock, timeframe: Timeframe) -> None:
        self._journal, self._clock, self._timeframe = journal, clock, timeframe
        self._recorded: tuple[datetime, str] | None = None  # the bar whose exits have a record, and its name

    def name(self) -> str:
        """Of the bar under way."""
        now = self._clock.now()
        bar = self._timeframe.floor(now)
        if self._recorded is None or bar != self._recorded[0]:
            name = cycle_id(bar, "manage")
            if self._journal.cycle(name) is None:
                self._journal.begin_cycle(name, "manage", now)
                self._journal.close_cycle(name, now, "exits between bars")
            self._recorded = bar, name
        return self._recorded[1]
