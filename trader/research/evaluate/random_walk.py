"""The random walk, as a Forecaster: tomorrow is today, give or take what the context has seen. What a model must beat.

Bar h ahead is distributed as the context's own moves from a close to the bar h later, all equally likely, without
their drift: the median close is the last close. It knows no volatility that changes and no hour of the day.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from forecasters.base import InvalidForecast
from forecasters.options import LEVELS, Levels
from forecasters.types import CHANNELS, CLOSE, Context, Forecast

NAME = "random walk"
_FEWEST = 20  # moves; fewer are no distribution


class RandomWalk:
    """Absent: symbols with too few bars, and those whose forecast would be absurd."""

    name = NAME

    def __init__(self, levels: Levels = LEVELS) -> None:
        self._levels = np.array(levels)

    def warm_up(self) -> None:
        """Nothing to load."""

    def forecast(self, contexts: Sequence[Context]) -> Mapping[str, Forecast]:
        forecasts: dict[str, Forecast] = {}
        for context in contexts:
            start = time.perf_counter()
            horizon = len(context.future_times)
            if len(context) < _FEWEST + horizon:
                continue
            try:
                forecasts[context.symbol] = self._value(context, self._quantiles(context, horizon), start)
            except InvalidForecast:
                continue
        return forecasts

    def close(self) -> None:
        """Nothing to release."""

    def _quantiles(self, context: Context, horizon: int) -> NDArray[np.float64]:
        """[Q, H, C]"""
        prices = np.log(context.values[:, : len(CHANNELS)])
        closes = prices[:, CLOSE]
        steps = []
        for step in range(1, horizon + 1):
            moves = prices[step:] - closes[:-step, None]  # [T - step, C]
            # the same for all channels, so that a high stays above its open and close at every level
            centred = moves - np.median(moves[:, CLOSE])
            steps.append(np.quantile(centred, self._levels, axis=0))
        quantiles: NDArray[np.float64] = context.last_close * np.exp(np.stack(steps, axis=1))
        return quantiles

    def _value(self, context: Context, quantiles: NDArray[np.float64], started: float) -> Forecast:
        return Forecast(
            symbol=context.symbol,
            asof=context.asof,
            times=context.future_times,
            last_close=context.last_close,
            levels=self._levels,
            quantiles=quantiles,
            paths=None,
            backend=self.name,
            model=f"{self.name}@1",
            dtype="float64",
            compile_mode="eager",
            latency_s=time.perf_counter() - started,
        )
