"""Holds as much as keeps the risk the same: less where the forecast's spread is wide. Long only; no view on direction.

The weight of each symbol is its share of equity times the wanted volatility over the forecast's, at most 1. It is what
holding the market earns, with its falls made smaller: beta, not alpha.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from trader.core.decision import MarketView, Signal, hold
from trader.core.types import AssetClass, Symbol
from trader.strategies._levels import within
from trader.strategies._volatility import rounded, wide_stop, yearly


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """Volatilities are of a year, as ratios.

    coins            the volatility that a coin's share of equity is to have, 0.01 to 2
    stocks           the same of a stock's share, 0.01 to 2
    most             the most of its share that is held, 0.05 to 1
    band             nothing is done within this share of equity, 0 to 0.5
    stop_deviations  how far below the market the stop lies, in deviations of the next bar, 2 to 20
    """

    coins: float = 0.40
    stocks: float = 0.12
    most: float = 1.0
    band: Decimal = Decimal("0.10")
    stop_deviations: float = 6.0

    def __post_init__(self) -> None:
        within("coins", self.coins, 0.01, 2)
        within("stocks", self.stocks, 0.01, 2)
        within("most", self.most, 0.05, 1)
        within("band", float(self.band), 0, 0.5)
        within("stop_deviations", self.stop_deviations, 2, 20)


def decide(view: MarketView, params: Params) -> tuple[Signal, ...]:
    """A target for each symbol with a forecast; without one what is held stays as it is."""
    return tuple(signals(view, params))


def signals(view: MarketView, params: Params) -> Iterator[Signal]:
    """One for each symbol with both a forecast and an instrument."""
    share = 1 / max(len(view.instruments), 1)
    for symbol in sorted(view.forecasts):
        instrument = view.instruments.get(symbol)
        if instrument is None:
            continue
        forecast = view.forecasts[symbol]
        try:
            volatility = yearly(forecast, symbol, view.timeframe)
            stop = wide_stop(view, forecast, instrument, params.stop_deviations)
        except ValueError as error:
            yield Signal(symbol=symbol, entry_side=None, reason=f"forecast refused: {error}")
            continue
        weight = rounded(share * min(wanted(symbol, params) / volatility, params.most))
        reason = f"volatility {volatility:.1%} a year: {weight:.2%} of equity"
        yield hold(symbol, weight=weight, band=params.band * rounded(share), stop=stop, reason=reason)


def wanted(symbol: Symbol, params: Params) -> float:
    """The volatility of its share."""
    return params.coins if symbol.asset_class is AssetClass.CRYPTO else params.stocks
