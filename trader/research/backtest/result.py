"""What a backtest comes to: frozen values, written as JSON.

The headline is the pessimistic run: where one bar touches both an entry and an exit, or a target and a stop, the
worse order of the two is played. The optimistic run plays the better one; the truth lies between. Finer bars, where
they are given, show which it was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from trader.adapters.journal.codec import from_plain, to_plain
from trader.research.backtest.figures import Figures
from trader.research.forecasts.again import Again

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """What was replayed. `content` is a hash of the file."""

    symbol: str
    kind: str  # bars, quotes or finer
    path: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedWindow:
    """The parameters of one stretch, and the window before it that they were fitted on. Returns are the window's."""

    fitted_from: datetime
    fitted_to: datetime
    used_to: datetime
    params: Mapping[str, str]
    best_return: float
    worst_return: float
    trades: int
    choices: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FinerRun:
    """The same run on finer bars, over the time that they cover."""

    timeframe: str
    start: datetime
    end: datetime
    figures: Figures


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Wall seconds of the headline run. `bars` counts every symbol's."""

    bars: int
    seconds: float
    forecast_seconds: float

    @property
    def bars_per_second(self) -> float:
        """With forecasts at hand."""
        return self.bars / max(self.seconds - self.forecast_seconds, 1e-9)


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestResult:
    """One backtest, or one daemon's journal (`source`).

    denials    how often each rule of the risk layer said no, or shrank an entry
    since      when each of them did so for the first time: after a drawdown limit nothing more may have been entered
    trained    until when the backend's training data goes, as far as that is known; one line
    in_sample  the symbols of which the backend has learned bars that it forecast here: no evidence
    again      what came of asking some forecasts again; None where that was not done
    options    what the backend was built with
    key        what its forecasts hang on, as the store's; empty where they are not stored
    problems   what does not add up in the books, one line each: empty, or the figures mean nothing
    """

    source: str  # backtest or journal
    symbols: tuple[str, ...]
    timeframe: str
    backend: str
    strategy: str
    params: Mapping[str, str]
    context: int
    horizon: int
    start: datetime
    end: datetime
    cycles: int
    figures: Figures
    optimistic: Figures | None = None
    finer: FinerRun | None = None
    windows: tuple[FittedWindow, ...] = ()
    denials: Mapping[str, int] = field(default_factory=dict)
    since: Mapping[str, datetime] = field(default_factory=dict)
    alerts: int = 0
    errors: int = 0
    halted: str = ""
    problems: tuple[str, ...] = ()
    data: tuple[DataFile, ...] = ()
    spread_bps: str = ""
    pace: Pace | None = None
    trained: str = ""
    in_sample: tuple[str, ...] = ()
    again: Again | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    key: Mapping[str, Any] = field(default_factory=dict)
    format: int = FORMAT

    def as_plain(self) -> dict[str, Any]:
        """What JSON can hold: money and quantities are text, ratios numbers, times ISO 8601."""
        plain: dict[str, Any] = to_plain(self)
        return plain

    def as_json(self) -> str:
        return json.dumps(self.as_plain(), indent=2, sort_keys=True)

    @classmethod
    def of_json(cls, text: str) -> BacktestResult:
        """Raises ValueError, KeyError or TypeError on what `as_json` did not write."""
        found: BacktestResult = from_plain(cls, json.loads(text))
        if found.format != FORMAT:
            raise ValueError(f"written in format {found.format}, this program reads {FORMAT}")
        return found
