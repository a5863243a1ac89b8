"""Answers another question than it was asked, by the symbol's name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from forecasters.types import Context, Forecast

from ._common import Flat, Options, flat, requires

__all__ = ["Options", "build", "requires"]


class Another(Flat):
    def forecast(self, contexts: Sequence[Context]) -> Mapping[str, Forecast]:
        return {each.symbol: each for context in contexts for each in _answers(context)}


def _answers(context: Context) -> list[Forecast]:
    found = flat(context)
    match context.symbol:
        case "LATER/USD":
            return [replace(found, times=found.times + np.timedelta64(1, "h"))]
        case "LESS/USD":
            return [replace(found, times=found.times[:1], quantiles=found.quantiles[:, :1])]
        case "DEARER/USD":
            return [replace(found, last_close=found.last_close * 1.01)]
        case "BOTH/USD":
            return [found, replace(found, symbol="GHOST/USD")]
    return [found]


def build(options: Options) -> Another:
    return Another()
