"""Fills that an order says it has had, and that the venue's activities do not tell of: a lag of a minute is normal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from trader.core.types import ZERO, Execution
from trader.core.unbooked import Filled, with_fresh
from trader.trading.ports import Clock

OWED_S = 300.0  # so long a fill may be owed before a person is told


class Owed:
    """`alert` is told ("owed", severity, text) once when it lasts, and when it is over."""

    def __init__(self, clock: Clock, alert: Callable[[str, str, str], None]) -> None:
        self._clock, self._alert = clock, alert
        self._since: dict[str, float] = {}  # by the order's id, by the clock's own seconds
        self._told: dict[str, str] = {}

    def look(self, filled: Sequence[Filled], booked: Mapping[str, Decimal], fresh: Sequence[Execution]) -> None:
        """`booked`: units by order id; `fresh` are about to be."""
        now, owing, counted = self._clock.monotonic(), dict[str, str](), with_fresh(booked, fresh)
        for each in filled:
            units = sum([counted.get(name, ZERO) for name in each.ids], ZERO)
            if each.least > units:
                owing[each.ids[0]] = f"{each.symbol}: order {each.ids[0]} has filled {each.least}, {units} are told of"
        self._since = {name: self._since.get(name, now) for name in owing}
        for name, text in owing.items():
            if name not in self._told and now - self._since[name] >= OWED_S:
                self._told[name] = text
                self._alert("owed", "error", f"{text} after {now - self._since[name]:.0f} s; entries wait")
        for name in [name for name in self._told if name not in owing]:
            self._alert("owed", "info", f"over: {self._told.pop(name)}")
