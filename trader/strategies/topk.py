"""Holds the best few of many symbols, in equal risk, with less of all where they move together. Long only.

A symbol's score is what is expected of it over what is feared: the forecast's median return over its spread, or the
return of the closed bars over their deviation. The best are held where their score is above zero. Each has the same
volatility; all together have no more than the wanted one by the correlations of their bars.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from math import log, sqrt

import numpy as np
from numpy.typing import NDArray

from forecasters.types import CLOSE, Forecast
from trader.core.decision import MarketView, Signal, hold, leave
from trader.core.market import CLOSE as BAR_CLOSE
from trader.core.market import Bars
from trader.core.types import Symbol
from trader.strategies._levels import within
from trader.strategies._volatility import rounded, spread_of, wide_stop, yearly


class Rank(StrEnum):
    FORECAST = "forecast"
    MOMENTUM = "momentum"  # of the closed bars


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """Volatilities are of a year, as ratios.

    count            how many symbols are held at most, 1 to 50
    rank             by the forecast, or by the momentum of the closed bars
    steps            forecast: how many bars ahead, 1 to 512; fewer where the forecast is shorter
    lookback         closed bars for momentum and correlations, 20 to 2000
    volatility       the most that all together are to have, 0.01 to 2
    most             the most of equity in one symbol, 0.01 to 1
    band             nothing is done within this share of equity, 0 to 0.5
    stop_deviations  how far below the market the stop lies, in deviations of the next bar, 2 to 20
    """

    count: int = 3
    rank: Rank = Rank.MOMENTUM
    steps: int = 4
    lookback: int = 100
    volatility: float = 0.20
    most: float = 0.5
    band: Decimal = Decimal("0.02")
    stop_deviations: float = 6.0

    def __post_init__(self) -> None:
        within("count", self.count, 1, 50)
        within("steps", self.steps, 1, 512)
        within("lookback", self.lookback, 20, 2000)
        within("volatility", self.volatility, 0.01, 2)
        within("most", self.most, 0.01, 1)
        within("band", float(self.band), 0, 0.5)
        within("stop_deviations", self.stop_deviations, 2, 20)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """score: of the symbol; volatility: of a year; returns [lookback - 1]: log returns of its closed bars."""

    symbol: Symbol
    score: float
    volatility: float
    stop: Decimal
    returns: NDArray[np.float64]


def bars(params: Params) -> int:
    """What `decide` looks at."""
    return params.lookback


def decide(view: MarketView, params: Params) -> tuple[Signal, ...]:
    """A target for each of the best, out of the others. A symbol that can't be judged is left as it is."""
    candidates, signals = list[_Candidate](), list[Signal]()
    for symbol in sorted(view.forecasts):
        if symbol not in view.instruments:
            continue
        try:
            candidates.append(_candidate(view, symbol, params))
        except ValueError as error:
            signals.append(Signal(symbol=symbol, entry_side=None, reason=f"not judged: {error}"))
    ranked = sorted(candidates, key=lambda each: (-each.score, each.symbol))
    best = [each for each in ranked[: params.count] if each.score > 0]
    for each in candidates:
        if each not in best:
            signals.append(leave(each.symbol, reason=f"score {each.score:+.2f}: not among the best {params.count}"))
    weights = _weights(best, params)
    for each, weight in zip(best, weights, strict=True):
        reason = f"score {each.score:+.2f}, volatility {each.volatility:.1%} a year: {weight:.2%} of equity"
        signals.append(hold(each.symbol, weight=weight, band=params.band, stop=each.stop, reason=reason))
    return tuple(sorted(signals, key=lambda signal: signal.symbol))


def _candidate(view: MarketView, symbol: Symbol, params: Params) -> _Candidate:
    """Raises ValueError."""
    forecast, history = view.forecasts[symbol], view.bars.get(symbol)
    if history is None or len(history) < params.lookback:
        raise ValueError(f"fewer than {params.lookback} bars")
    returns = np.diff(np.log(history.values[-params.lookback :, BAR_CLOSE]))
    by_forecast = params.rank is Rank.FORECAST
    return _Candidate(
        symbol=symbol,
        score=_expected(forecast, params) if by_forecast else _momentum(history, returns),
        volatility=yearly(forecast, symbol, view.timeframe),
        stop=wide_stop(view, forecast, view.instruments[symbol], params.stop_deviations),
        returns=returns,
    )


def _expected(forecast: Forecast, params: Params) -> float:
    step = min(params.steps, len(forecast.times)) - 1
    return log(forecast.quantile(0.5, step, CLOSE) / forecast.last_close) / spread_of(forecast, step)


def _momentum(history: Bars, returns: NDArray[np.float64]) -> float:
    deviation = float(returns.std())
    if not deviation > 0:
        raise ValueError(f"{history.symbol}'s closes stand still")
    return float(returns.sum()) / (deviation * sqrt(len(returns)))


def _weights(best: list[_Candidate], params: Params) -> list[Decimal]:
    """Of equity, in the order of `best`: each with the same volatility, all with no more than the wanted one."""
    if not best:
        return []
    # a correlation is of returns at the same times: stocks and coins share only their last bars, in order
    correlations = np.atleast_2d(np.corrcoef([each.returns for each in best]))
    together = sqrt(max(float(correlations.sum()), 1.0))  # of a volatility of 1 each
    return [rounded(min(params.volatility / together / each.volatility, params.most)) for each in best]
