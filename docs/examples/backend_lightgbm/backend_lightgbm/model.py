"""The model: what it sees of past bars, what it learns, and how that becomes a distribution of bars.

B rows (a past bar and a number of bars ahead), F features, H horizon, Q levels.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import lightgbm
import numpy as np
from numpy.typing import NDArray

from backend_lightgbm import Options
from forecasters.base import InvalidForecast
from forecasters.types import CLOSE, HIGH, LOW, Context, Forecast

Floats = NDArray[np.float64]

MODEL = f"lightgbm@{lightgbm.__version__}"
_LAGS = 6  # last returns among the features
_SPAN = 24  # bars that volatility and range are taken over


class LightGBM:
    """A Forecaster."""

    name = "lightgbm"

    def __init__(self, options: Options) -> None:
        self._options = options

    def warm_up(self) -> None:
        """Nothing to load: each forecast trains its own models."""

    def forecast(self, contexts: Sequence[Context]) -> Mapping[str, Forecast]:
        """A symbol with too few bars, or bars that are no numbers, is absent."""
        answers: dict[str, Forecast] = {}
        for context in contexts:  # one by one: what else is in the batch can't matter
            started = time.perf_counter()
            if len(context) < self._options.min_bars or not np.isfinite(context.values).all():
                continue
            try:
                quantiles = predicted(context.values, len(context.future_times), self._options)
                answers[context.symbol] = self._value(context, quantiles, time.perf_counter() - started)
            except InvalidForecast:  # so wild that no strategy should see it
                continue
        return answers

    def close(self) -> None:
        """Nothing to release."""

    def _value(self, context: Context, quantiles: Floats, latency_s: float) -> Forecast:
        return Forecast(
            symbol=context.symbol,
            asof=context.asof,
            times=context.future_times,
            last_close=context.last_close,
            levels=np.array(self._options.levels),
            quantiles=quantiles,
            paths=None,  # it draws nothing
            backend=self.name,
            model=MODEL,
            dtype="float64",
            compile_mode="eager",
            latency_s=latency_s,
        )


def predicted(values: Floats, horizon: int, options: Options) -> Floats:
    """[T, 6] bars -> [Q, H, C] quantiles in quote currency.

    High, low and close are learnt as moves from the last close in units of the recent volatility, so that calm and
    wild times can be learnt from together. A quantile that crosses its neighbour is put in order.
    """
    logs = np.log(values[:, :4])
    features, scale = _features(logs), _scale(logs)
    close = logs[:, CLOSE]
    now = len(logs) - 1
    origins = np.arange(_SPAN, now)  # bars that had all features and have at least one bar after them
    moves: dict[int, Floats] = {}
    for channel in (HIGH, LOW, CLOSE):
        rows, targets = [], []
        for ahead in range(1, horizon + 1):
            past = origins[origins + ahead <= now]  # never a bar behind the last one of the context
            rows.append(np.column_stack([features[past], np.full(len(past), float(ahead))]))
            targets.append((logs[past + ahead, channel] - close[past]) / scale[past])
        asked = np.column_stack([np.repeat(features[now : now + 1], horizon, axis=0), np.arange(1.0, horizon + 1)])
        learnt = _quantiles(np.concatenate(rows), np.concatenate(targets), asked, options)  # [Q, H]
        moves[channel] = learnt * scale[now]
    prices: Floats = np.exp(close[now] + _bars(moves))
    return prices


def _features(logs: Floats) -> Floats:
    """[T, 4] -> [T, F], each row from its own bar and those before it. Rows before _SPAN are not used."""
    count = len(logs)
    returns = np.diff(logs[:, CLOSE], prepend=logs[0, CLOSE])
    scale = _scale(logs)
    lags = [np.concatenate([np.zeros(lag), returns[: count - lag]]) / scale for lag in range(_LAGS)]
    extent = (logs[:, HIGH] - logs[:, LOW]) / scale
    windows = np.lib.stride_tricks.sliding_window_view(logs[:, CLOSE], _SPAN)  # [T - _SPAN + 1, _SPAN]
    place = np.zeros(count)
    lowest, highest = windows.min(axis=1), windows.max(axis=1)
    place[_SPAN - 1 :] = (windows[:, -1] - lowest) / np.maximum(highest - lowest, 1e-12)
    return np.column_stack([*lags, extent, place, np.log(scale)])


def _scale(logs: Floats) -> Floats:
    """[T] the mean extent of the last _SPAN bars: the volatility, without a bar that comes later."""
    extent = logs[:, HIGH] - logs[:, LOW]
    total = np.concatenate([[0.0], np.cumsum(extent)])
    first = np.maximum(np.arange(1, len(extent) + 1) - _SPAN, 0)
    mean: Floats = (total[1:] - total[first]) / (np.arange(1, len(extent) + 1) - first)
    return np.maximum(mean, 1e-6)


def _quantiles(rows: Floats, targets: Floats, asked: Floats, options: Options) -> Floats:
    """[B, F], [B], [H, F] -> [Q, H], non-decreasing in Q."""
    settings = {
        "objective": "quantile",
        "num_leaves": options.leaves,
        "learning_rate": options.learning_rate,
        "min_data_in_leaf": 20,
        "deterministic": True,  # the same trees whatever the machine does meanwhile
        "force_row_wise": True,
        "num_threads": 1,
        "seed": 0,
        "verbosity": -1,
    }
    data = lightgbm.Dataset(rows, targets, free_raw_data=False, params={"verbosity": -1})
    found = [
        lightgbm.train({**settings, "alpha": level}, data, num_boost_round=options.trees).predict(asked)
        for level in options.levels
    ]
    return np.sort(np.asarray(found, dtype=np.float64), axis=0)  # monotone rearrangement


def _bars(moves: Mapping[int, Floats]) -> Floats:
    """Quantiles of each price [Q, H] -> of whole bars [Q, H, C]: a bar opens where the one before it closed."""
    close = moves[CLOSE]
    opened = np.concatenate([np.zeros((len(close), 1)), close[:, :-1]], axis=1)
    high = np.maximum(moves[HIGH], np.maximum(opened, close))
    low = np.minimum(moves[LOW], np.minimum(opened, close))
    return np.stack([opened, high, low, close], axis=2)
