"""What strategies of target positions share: a forecast's spread as a volatility, the weight that it allows, a stop."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from functools import lru_cache
from math import inf, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from forecasters.types import CLOSE, Forecast
from trader.core.decision import MarketView
from trader.core.types import AssetClass, Instrument, Symbol, Timeframe
from trader.strategies._levels import exact

YEAR_S = 365.25 * 86_400
MOST_DISTANCE = 0.24  # of a stop: the risk layer takes a level over a quarter away for a mistake
SESSIONS, SESSION_S = 252, 6.5 * 3600  # of a stock's year, and of its day
_FROM = 0.05  # further out a hundred paths say little
_STEP = Decimal("0.0001")  # of a weight


def bars_a_year(symbol: Symbol, timeframe: Timeframe) -> float:
    seconds = timeframe.duration.total_seconds()
    if symbol.asset_class is AssetClass.CRYPTO:
        return YEAR_S / seconds
    return SESSIONS * max(SESSION_S / seconds, 1.0)


def spread_of(forecast: Forecast, step: int = 0) -> float:
    """Standard deviation of the log return from the last close to the close of that step: the slope of the log
    quantiles over those of a normal distribution, all from 5 to 95% counted, so that neither a few wild paths nor the
    luck of two quantiles make it. Raises ValueError where the forecast has none so far out."""
    levels = forecast.levels
    if step >= len(forecast.times) or levels[0] > _FROM + 1e-9 or levels[-1] < 1 - _FROM - 1e-9:
        raise ValueError(f"no quantiles from {_FROM:.0%} to {1 - _FROM:.0%}: {levels[0]:.3g} to {levels[-1]:.3g}")
    inner = (levels >= _FROM - 1e-9) & (levels <= 1 - _FROM + 1e-9)
    closes = forecast.quantiles[inner, step, CLOSE]
    if not 0 < closes[0] < closes[-1] < inf:
        raise ValueError(f"its closes have no spread: {closes[0]:.10g} to {closes[-1]:.10g}")
    scores = _scores(tuple(levels[inner].tolist()))
    return float(scores @ np.log(closes) / (scores @ scores))


@lru_cache(maxsize=16)
def _scores(levels: tuple[float, ...]) -> NDArray[np.float64]:
    """Quantiles of a normal distribution, around their mean."""
    normal = np.array([NormalDist().inv_cdf(level) for level in levels])
    centred: NDArray[np.float64] = normal - normal.mean()
    return centred


def yearly(forecast: Forecast, symbol: Symbol, timeframe: Timeframe) -> float:
    """A volatility of a year, from the spread of all bars forecast, each by its distance. Raises ValueError."""
    steps = range(len(forecast.times))
    a_bar = [spread_of(forecast, step) / sqrt(step + 1) for step in steps]
    return sum(a_bar) / len(a_bar) * sqrt(bars_a_year(symbol, timeframe))


def rounded(weight: float) -> Decimal:
    """Down, to what equity can be divided into."""
    return exact(weight).quantize(_STEP, rounding=ROUND_DOWN)


def wide_stop(view: MarketView, forecast: Forecast, instrument: Instrument, deviations: float) -> Decimal:
    """Below the market by so many deviations of the first bar, MOST_DISTANCE at most: for what nobody foresaw."""
    distance = min(deviations * spread_of(forecast), MOST_DISTANCE)
    quote = view.quotes.get(instrument.symbol)
    price = forecast.last_close if quote is None else min(forecast.last_close, float(quote.bid))
    return instrument.price_down(exact(price * (1 - distance)))
