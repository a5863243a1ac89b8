"""Gets NaN past its own checks; only the receiver can notice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from forecasters.types import Context, Forecast

from ._common import Flat, Options, flat, requires

__all__ = ["Options", "build", "requires"]


class Nan(Flat):
    def forecast(self, contexts: Sequence[Context]) -> Mapping[str, Forecast]:
        found = {context.symbol: flat(context) for context in contexts}
        for symbol, forecast in found.items():
            if symbol.startswith("NAN"):
                object.__setattr__(forecast, "quantiles", np.full_like(forecast.quantiles, np.nan))
            if symbol.startswith("OTHER"):
                object.__setattr__(forecast, "last_close", 2 * forecast.last_close)
        return found


def build(options: Options) -> Nan:
    return Nan()
