"""How much to stake on a distribution of returns: the share that makes money grow fastest.

Source of the rule: J. L. Kelly, "A New Interpretation of Information Rate", 1956, for a sampled distribution.
"""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal

import numpy as np
from numpy.typing import NDArray

from forecasters.types import Forecast
from trader.core.decision import Signal, Sizing
from trader.core.outcomes import costs_of, net_returns
from trader.core.types import ZERO, EntrySide, Instrument, Quote

FEWEST_RETURNS = 8  # from fewer nothing is staked
_HALVINGS = 50
_STEP = Decimal("0.0001")  # of equity: finer is noise, and would let the last bits of a float through


def full_kelly(returns: NDArray[np.float64]) -> float:
    """The share f in [0, 1] with the greatest mean of log(1 + f r); 0 where the mean return is not positive.

    returns  [N] net, above -1 each: one bet's outcomes, equally likely
    """
    if len(returns) == 0 or not np.isfinite(returns).all() or _growth(returns, 0.0) <= 0:
        return 0.0
    least, most = 0.0, min(1.0, (1 - 1e-9) / max(-float(returns.min()), 1e-9))
    if _growth(returns, most) >= 0:
        return most
    for _ in range(_HALVINGS):
        middle = (least + most) / 2
        if _growth(returns, middle) > 0:
            least = middle
        else:
            most = middle
    return least


def kelly_share(
    sizing: Sizing, signal: Signal, side: EntrySide, forecast: Forecast | None, quote: Quote | None, asset: Instrument
) -> Decimal:
    """The share of equity to stake on the signal: `kelly_fraction` of the full one, at most `kelly_cap`.

    The distribution is the forecast's own, over all its steps, of the paths on which the entry fills; the target
    counts as taken. Zero where anything is missing: what can't be known is not staked on.
    """
    entry, target, stop = signal.entry, signal.target, signal.stop
    if forecast is None or quote is None or entry is None or target is None or stop is None:
        return ZERO
    levels = (entry, target, stop)
    if not all(price.is_finite() and price > 0 for price in levels) or not quote.spread_bps.is_finite():
        return ZERO
    crosses = entry >= quote.ask if side is EntrySide.LONG else entry <= quote.bid
    costs = costs_of(asset, quote, entry_crosses=crosses, target_rests=False)
    steps = len(forecast.times)
    returns = net_returns(forecast, side, levels, costs, entry_crosses=crosses, steps=steps)
    if len(returns) < FEWEST_RETURNS:
        return ZERO
    share = sizing.kelly_fraction * Decimal(repr(full_kelly(returns)))
    return min(share, sizing.kelly_cap).quantize(_STEP, rounding=ROUND_FLOOR)


def _growth(returns: NDArray[np.float64], share: float) -> float:
    """The slope of the mean log growth at `share`."""
    return float((returns / (1 + share * returns)).mean())
