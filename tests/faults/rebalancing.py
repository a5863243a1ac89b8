"""A strategy: another share of equity with each bar, more, less or none."""

from __future__ import annotations

from decimal import Decimal

from trader.core.decision import MarketView, Signal, hold
from trader.strategies import flat

Params = flat.Params
WEIGHTS = (Decimal("0.03"), Decimal("0.08"), Decimal("0.12"), Decimal("0.05"), Decimal(0))


def decide(view: MarketView, params: flat.Params) -> tuple[Signal, ...]:
    """By the bar's number, so that a killed daemon and the next one want the same."""
    number = int(view.now.timestamp() // view.timeframe.duration.total_seconds())
    return tuple(
        hold(
            symbol,
            weight=WEIGHTS[number % len(WEIGHTS)],
            stop=view.instruments[symbol].price_down(view.quotes[symbol].bid * Decimal("0.9")),
            reason="drawn",
        )
        for symbol in sorted(view.quotes)
        if symbol in view.instruments
    )
