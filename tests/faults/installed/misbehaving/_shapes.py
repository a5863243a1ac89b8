"""Forecasts of a wished shape."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from forecasters.types import Context, Forecast

Shape = Callable[[Context], Forecast]
LEVELS = np.array([0.01, 0.05, 0.35, 0.5, 0.65, 0.95, 0.99])
LOW = np.array([0.985, 0.988, 0.9995, 0.9996, 0.9997, 0.9998, 1.0])  # shares of the last close


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")

    from_call: int = 1  # the first call that goes wrong


def requires() -> list[str]:
    return []


class Shaped:
    """Gives `shape` of each context; before the call number `from_call` it is bold."""

    name = "shaped"

    def __init__(self, shape: Shape, *, from_call: int = 1, before: Callable[[], None] = lambda: None) -> None:
        self._shape, self._from_call, self._before, self._calls = shape, from_call, before, 0

    def warm_up(self) -> None:
        """Nothing to do."""

    def forecast(self, contexts: Sequence[Context]) -> Mapping[str, Forecast]:
        self._calls += 1
        if self._calls < self._from_call:
            return {context.symbol: bold(context) for context in contexts}
        self._before()
        return {context.symbol: self._shape(context) for context in contexts}

    def close(self) -> None:
        """Nothing to release."""


def bold(context: Context) -> Forecast:
    """The low of the next bar at the last close and its high far above: always long, and soon filled."""
    return forecast(context, low=LOW, high=np.linspace(1.006, 1.009, len(LEVELS)))


def forecast(context: Context, *, low: np.ndarray, high: np.ndarray) -> Forecast:
    """`low` and `high` are shares of the last close, one for each of LEVELS."""
    middle = np.clip(1.0, low, high)
    table = np.stack([middle, high, low, middle], axis=1)[:, None, :] * context.last_close
    return Forecast(
        symbol=context.symbol,
        asof=context.asof,
        times=context.future_times,
        last_close=context.last_close,
        levels=LEVELS,
        quantiles=np.repeat(table, len(context.future_times), axis=1),
        paths=None,
        backend="shaped",
        model="shaped@1",
        dtype="float64",
        compile_mode="eager",
        latency_s=0.0,
    )


def stall() -> None:
    time.sleep(3600)
