"""Levels that can't be: the low above the high for one symbol, a high at ten times the price for the others."""

from __future__ import annotations

import numpy as np

from forecasters.types import Context, Forecast

from ._shapes import LEVELS, LOW, Options, Shaped, bold, forecast, requires

__all__ = ["Options", "build", "requires"]


def _absurd(context: Context) -> Forecast:
    if context.symbol.startswith("BTC"):
        found = bold(context)
        object.__setattr__(found, "quantiles", found.quantiles[:, :, [0, 2, 1, 3]].copy())
        return found
    return forecast(context, low=LOW, high=np.linspace(9.0, 10.0, len(LEVELS)))


def build(options: Options) -> Shaped:
    return Shaped(_absurd, from_call=options.from_call)
