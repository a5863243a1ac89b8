"""Two forecasters of the same numbers, of which the one that is called compiled really compiles something small.

What it compiles has nothing to do with its numbers: those are tampered with by whoever tests.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from forecasters.base import Forecaster
from forecasters.types import Context, Forecast, quantiles_of

Paths = NDArray[np.float64]
Tamper = Callable[[Paths], Paths]

LEVELS = np.array([0.1, 0.25, 0.5, 0.75, 0.9])
SAMPLES = 40


def unchanged(paths: Paths) -> Paths:
    return paths


def drawn(context: Context) -> Paths:
    """[S, H, C] random walks from the last close, the same for the same context."""
    random = np.random.default_rng(int(context.values[-1, 4] * 1e6) % 2**32)
    closed = np.cumsum(random.normal(0, 0.01, (SAMPLES, len(context.future_times))), axis=1)
    opened = np.concatenate([np.zeros((SAMPLES, 1)), closed[:, :-1]], axis=1)
    high, low = np.maximum(opened, closed) + 0.002, np.minimum(opened, closed) - 0.002
    return context.last_close * np.exp(np.stack([opened, high, low, closed], axis=-1))


class Eager:
    name = "twin"

    def __init__(self) -> None:
        self.asked = 0
        self.takes_s = 0.0

    def warm_up(self) -> None:
        """Nothing to load."""

    def forecast(self, contexts: Sequence[Context]) -> Mapping[str, Forecast]:
        self.asked += len(contexts)
        time.sleep(self.takes_s)
        return {each.symbol: value(each, drawn(each), "eager") for each in contexts}

    def close(self) -> None:
        """Nothing to release."""


def same_row(place: int, paths: Paths) -> Paths:
    return paths


class Compiled:
    """`tamper` changes its paths, `before` runs first and may do anything, `size` is what its graph is given.

    prepared    rows of one pass, as a model's that is compiled for so many symbols: the last pass is filled up with the
                last symbol, and what comes of these rows is cut off; 0: as many as there are
    tamper_row  changes the paths of a row by its place in its pass
    """

    name = "twin"

    def __init__(self) -> None:
        self.tamper: Tamper = unchanged
        self.tamper_row: Callable[[int, Paths], Paths] = same_row
        self.prepared = 0
        self.before: Callable[[], None] = lambda: None
        self.size = 3
        self.whole = True
        self.idle = False  # compiles nothing
        self.closed = False
        self._graph: Callable[[torch.Tensor], torch.Tensor] | None = None

    def warm_up(self) -> None:
        """The first forecast compiles."""

    def forecast(self, contexts: Sequence[Context]) -> Mapping[str, Forecast]:
        self.before()
        if not self.idle:
            self._run()
        size = self.prepared or len(contexts)
        rows = [*contexts, *[contexts[-1]] * (-len(contexts) % size)]
        paths = [self.tamper_row(n % size, self.tamper(drawn(each))) for n, each in enumerate(rows)]
        return {each.symbol: value(each, of_it, "compiled") for each, of_it in zip(contexts, paths, strict=False)}

    def close(self) -> None:
        self.closed = True

    def _run(self) -> None:
        if self._graph is None:

            def step(rows: torch.Tensor) -> torch.Tensor:
                return rows * 2 + 1

            def broken(rows: torch.Tensor) -> torch.Tensor:
                torch._dynamo.graph_break()
                return rows * 2 + 1

            function = step if self.whole else broken
            twin = type(function)(function.__code__.replace(), function.__globals__)  # as new to the compiler
            self._graph = torch.compile(twin, backend="eager", fullgraph=self.whole, dynamic=False)
        self._graph(torch.zeros(self.size))


def value(context: Context, paths: Paths, mode: str) -> Forecast:
    return Forecast(
        symbol=context.symbol,
        asof=context.asof,
        times=context.future_times,
        last_close=context.last_close,
        levels=LEVELS,
        quantiles=quantiles_of(paths, LEVELS),
        paths=paths,
        backend="twin",
        model="twin@1",
        dtype="float32",
        compile_mode=mode,
        latency_s=0.0,
    )


def is_forecaster(twin: Eager | Compiled) -> Forecaster:
    return twin
