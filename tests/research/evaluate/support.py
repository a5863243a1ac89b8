"""Made-up series and forecasters whose every answer is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from forecasters.types import CHANNELS, Context, Forecast
from trader.core.market import Bars
from trader.core.types import Symbol, Timeframe
from trader.research.forecasts.key import ForecastKey
from trader.research.forecasts.store import ForecastStore, Shelf

HOUR = Timeframe.parse("1Hour")
LEVELS = np.array([0.1, 0.5, 0.9])


def made_bars(symbol: str = "BTC/USD", count: int = 300, seed: int = 1, start: str = "2024-01-01") -> Bars:
    """Hourly bars of a log random walk."""
    generator = np.random.default_rng(seed)
    closes = 100 * np.exp(np.cumsum(generator.normal(0, 0.01, count)))
    opens = np.concatenate([[100.0], closes[:-1]])
    high = np.maximum(opens, closes) * (1 + generator.random(count) * 0.005)
    low = np.minimum(opens, closes) * (1 - generator.random(count) * 0.005)
    volume = generator.random(count) * 10 + 1
    times = np.datetime64(start, "us") + np.arange(count) * np.timedelta64(3600, "s")
    values = np.column_stack([opens, high, low, closes, volume, volume * closes])
    return Bars(symbol=Symbol(symbol), timeframe=HOUR, times=times.astype("datetime64[us]"), values=values)


def a_key(**changes: object) -> ForecastKey:
    fields: dict[str, object] = {
        "backend": "counting", "model": "counting@1", "weights": "w", "dtype": "float32", "device": "cpu",
        "compile_mode": "eager", "sampling": "{}", "seed": "0", "code": "c", "libraries": "l", "paths": True,
    }  # fmt: skip
    return ForecastKey(**(fields | changes))  # type: ignore[arg-type]


def a_shelf(root: Path, **changes: object) -> Shelf:
    return ForecastStore(root).shelf(a_key(**changes))


class Counting:
    """Says what it was asked; its numbers follow from the context's last close and its time alone."""

    name = "counting"

    def __init__(self, compile_mode: str = "eager", nothing_of: str = "") -> None:
        self.asked: list[Context] = []
        self.batches = 0
        self.warm = 0
        self.closed = False
        self._compile_mode = compile_mode
        self._nothing_of = nothing_of

    def warm_up(self) -> None:
        self.warm += 1

    def forecast(self, contexts: Sequence[Context]) -> Mapping[str, Forecast]:
        assert len({context.symbol for context in contexts}) == len(contexts), "one answer a name"
        self.batches += 1
        self.asked += contexts
        return {c.symbol: self._value(c) for c in contexts if c.series != self._nothing_of}

    def close(self) -> None:
        self.closed = True

    def _value(self, context: Context) -> Forecast:
        seed = int(context.times[-1].astype(np.int64)) % 2**32
        moves = np.random.default_rng(seed).normal(0, 0.01, (8, len(context.future_times), 1))
        paths = context.last_close * np.exp(moves) * np.ones(len(CHANNELS))
        return Forecast(
            symbol=context.symbol,
            asof=context.asof,
            times=context.future_times,
            last_close=context.last_close,
            levels=LEVELS,
            quantiles=np.quantile(paths, LEVELS, axis=0),
            paths=paths,
            backend=self.name,
            model="counting@1",
            dtype="float32",
            compile_mode=self._compile_mode,
            latency_s=0.001,
        )


def same(one: Forecast, other: Forecast) -> bool:
    """To the last bit, paths too."""
    plain = ("symbol", "asof", "last_close", "backend", "model", "dtype", "compile_mode", "latency_s", "max_factor")
    arrays = ("times", "levels", "quantiles", "paths")
    return all(getattr(one, name) == getattr(other, name) for name in plain) and all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays
    )
