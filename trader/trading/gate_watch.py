"""Tells a person when a gate closes that ends entries, each day that it stays so, and when it opens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal

from trader.core.gates import closed

_WHAT = {
    "daily_loss": "the loss since the day began has reached its limit",
    "drawdown": "the loss since the highest equity has reached its limit; `trader resume --reset-peak` measures anew",
    "day_notional": "what may be entered in a day is entered",
    "day_orders": "the day's orders are used up",
    "refusals": "too many entries were refused in a row; `trader resume` goes on",
    "losing_exits": "too many exits in a row lost; `trader resume` goes on",
}


class GateWatch:
    """`alert` is told ("gate", severity, text)."""

    def __init__(self, alert: Callable[[str, str, str], None]) -> None:
        self._alert = alert
        self._told: dict[str, date] = {}

    def look(self, rooms: Mapping[str, Decimal], today: date) -> None:
        closed_gates = closed(rooms)
        if not (closed_gates or self._told):
            return
        for name in sorted(closed_gates):
            if self._told.get(name) != today:
                self._told[name] = today
                self._alert("gate", "error", f"{name}: nothing is entered: {_WHAT[name]}")
        for name in [gate for gate in self._told if gate not in closed_gates]:
            del self._told[name]
            self._alert("gate", "info", f"{name}: open again")
