"""Never enters. What is held leaves at the levels that it already has."""

from __future__ import annotations

from dataclasses import dataclass

from trader.core.decision import MarketView, Signal


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """Nothing to choose."""


def decide(view: MarketView, params: Params) -> tuple[Signal, ...]:
    """One signal for each position, without an entry and without new levels."""
    return tuple(Signal(symbol=symbol, entry_side=None, reason="flat") for symbol in sorted(view.portfolio.positions))
