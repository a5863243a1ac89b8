"""Numbers that are none, past the checks of its own side."""

from __future__ import annotations

import numpy as np

from forecasters.types import Context, Forecast

from ._shapes import Options, Shaped, bold, requires

__all__ = ["Options", "build", "requires"]


def _nan(context: Context) -> Forecast:
    found = bold(context)
    value = np.nan if context.symbol.startswith("BTC") else np.inf
    object.__setattr__(found, "quantiles", np.full_like(found.quantiles, value))
    return found


def build(options: Options) -> Shaped:
    return Shaped(_nan, from_call=options.from_call)
