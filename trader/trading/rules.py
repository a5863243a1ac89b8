"""What the decisions of a run are made by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from trader.core.decision import ExitPolicy, RiskLimits, Sizing
from trader.core.types import Symbol, Timeframe


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the decisions of a run are made by. Replaced whole on reload."""

    symbols: tuple[Symbol, ...]
    timeframe: Timeframe
    context: int
    horizon: int
    strategy: str
    params: Mapping[str, str]
    sizing: Sizing
    limits: RiskLimits
    exits: ExitPolicy
    add_latest: bool
    bar_deadline: timedelta
    view_bars: int = 0  # closed bars of each symbol that the strategy looks at
