"""Why symbols have no forecast, and how much of what was drawn is mended: on the board, in the note, to a person."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Mapping

from forecasters.base import Mended, account_of
from trader.core.types import Symbol
from trader.trading.status import Board
from trader.trading.strategy_guard import ALARM_AFTER

_SHOWN = 5  # symbols in one alert


class ForecastWatch:
    """`alert` is told ("unforecast", severity, text) of symbols that have had no forecast for several cycles in a row
    while others have: at once, then rarely, and when it is over. That nobody has one is told of as `fruitless`."""

    def __init__(self, alert: Callable[[str, str, str], None], board: Board) -> None:
        self._alert = alert
        self._board = board
        self._cycles: dict[Symbol, int] = {}  # in a row
        self._told: dict[Symbol, int] = {}  # how often

    def refused(self, forecaster: object, absent: Collection[Symbol]) -> dict[Symbol, str]:
        """Why these have none, in the forecaster's words where it has any."""
        refusals = account_of(forecaster).refusals
        reasons = dict[Symbol, str]()
        for symbol in absent:
            why = refusals.get(str(symbol), "").removeprefix(f"{symbol}: ")
            reasons[symbol] = f"no forecast: {why}" if why else "no forecast"
        return reasons

    def mended(self, forecaster: object, found: Collection[Symbol]) -> str:
        """One line, empty where nothing was mended; the board has it by symbol."""
        told = account_of(forecaster).mended
        counts = {symbol: each for symbol in found if (each := told.get(str(symbol)))}
        self._board.mended = {s: _counted(each) for s, each in counts.items() if each.mended or each.dropped}
        parts = (
            _shares("mended", {symbol: each.mended / each.of for symbol, each in counts.items()}),
            _shares("dropped", {symbol: each.dropped / each.of for symbol, each in counts.items()}),
        )
        told_parts = [part for part in parts if part]
        return f"of what was drawn {', '.join(told_parts)}" if told_parts else ""

    def look(self, fit: Collection[Symbol], absent: Mapping[Symbol, str]) -> None:
        """Once a cycle: who has a forecast that can be traded on, and why the others have none."""
        self._board.unforecast = dict(absent)
        for symbol in fit:
            self._cycles.pop(symbol, None)
        if over := [str(symbol) for symbol in fit if self._told.pop(symbol, 0)]:
            self._alert("unforecast", "info", f"over: {_listed(over)} forecast again")
        for symbol in absent:
            self._cycles[symbol] = self._cycles.get(symbol, 0) + 1
        if not fit:
            return
        due = {s: stage for s in absent if (stage := bisect_right(ALARM_AFTER, self._cycles[s])) > self._told.get(s, 0)}
        if due:
            self._told.update(due)
            lines = [f"{symbol} for {self._cycles[symbol]} cycles in a row: {absent[symbol]}" for symbol in due]
            severity = "error" if max(due.values()) > 1 else "warning"
            self._alert("unforecast", severity, f"others have forecasts, not {_listed(lines)}")


def _counted(each: Mended) -> str:
    return f"{each.mended} of {each.of} mended, {each.dropped} dropped"


def _shares(what: str, shares: Mapping[Symbol, float]) -> str:
    """Of all symbols, and of the one that has most."""
    if not any(shares.values()):
        return ""
    worst = max(shares, key=lambda symbol: shares[symbol])
    return f"{sum(shares.values()) / len(shares):.0%} {what} (most {worst}, {shares[worst]:.0%})"


def _listed(texts: list[str]) -> str:
    rest = f"; and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return "; ".join(texts[:_SHOWN]) + rest
