"""What a report is of: a run's figures and trades, with the forecasts and the resting exits that led to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from trader.adapters.journal.records import Trade
from trader.core.types import Symbol
from trader.research.backtest.figures import Figures, RunHistory

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fan:
    """The distribution of the closes, as it was forecast.

    asof    [-]    datetime64[us] UTC, when the last bar before it had closed
    times   [H]    datetime64[us] UTC, starts of the forecast bars
    levels  [Q]    closes [Q, H] quote currency
    """

    asof: np.datetime64
    times: NDArray[np.datetime64]
    levels: Floats
    closes: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Resting:
    """An exit order's level while it rested at the venue, quote currency."""

    start: datetime
    end: datetime
    price: float
    is_target: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Run:
    """What a report is of.

    figures      of the pessimistic run
    trades       round trips, oldest first
    facts        (name, text) in the order in which they are shown
    fans         by symbol, oldest first: those of the decisions
    exits        by symbol: the targets and stops that rested
    warnings     what one must know before the curves can be read
    closes_only  the bars hold closes and nothing else
    beside       (name, figures) of the same run otherwise: with the kind order within a bar, on finer bars
    """

    title: str
    history: RunHistory
    figures: Figures
    trades: Sequence[Trade]
    facts: Sequence[tuple[str, str]] = ()
    fans: Mapping[Symbol, Sequence[Fan]] = field(default_factory=dict)
    exits: Mapping[Symbol, Sequence[Resting]] = field(default_factory=dict)
    notes: Sequence[str] = ()
    warnings: Sequence[str] = ()
    closes_only: bool = False
    beside: Sequence[tuple[str, Figures]] = ()
