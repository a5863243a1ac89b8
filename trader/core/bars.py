"""Are bars fit to forecast from? Corrupt data is worse than none: the symbol is dropped, with a reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from trader.core.market import Bars
from trader.core.types import Timeframe


@dataclass(frozen=True, slots=True, kw_only=True)
class BarLimits:
    max_gap_bars: int = 24  # missing bars in a row, of those that a market that is open could have
    max_missing: float = 0.10  # share of the context
    max_jump: float = 1.4  # a bar's open over the close before, or its inverse: beyond it looks like a split
    max_scale: float = 1.25  # the quote's mid over the last close, or its inverse: beyond it is another series


def bars_problem(
    bars: Bars | None,
    timeframe: Timeframe,
    expected_last_start: datetime,
    context: int,
    quote_mid: Decimal | None = None,
    *,
    sessions: Sequence[tuple[datetime, datetime]] | None = None,
    limits: BarLimits | None = None,
) -> str | None:
    """One line that says why not to use them, or None.

    sessions  (open, close) of the stock market that cover the bars; without them gaps between days are not judged
    """
    raise NotImplementedError
