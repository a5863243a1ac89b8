"""Forecasts of many moments at once, kept as they come: stop it at any time, and it goes on where it was."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass

from forecasters.types import Context
from trader.core.market import Bars
from trader.core.types import Symbol
from trader.research.data.windows import Calendar, Window, context_at
from trader.research.forecasts.store import StoredAnswer, StoredForecaster

BATCH = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginAnswer:
    """One origin: an index into its symbol's bars, what was asked there, and what came of it."""

    symbol: Symbol
    origin: int
    context: Context
    kept: StoredAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """`stored` of the `done` were there already."""

    done: int
    total: int
    stored: int


def sweep(
    forecaster: StoredForecaster,
    series: Sequence[Bars],
    origins: Mapping[Symbol, Sequence[int]],
    window: Window,
    *,
    batch: int = BATCH,
    listener: Callable[[Progress], None] | None = None,
) -> Generator[OriginAnswer, None, None]:
    """Each origin of each series, in batches over both; each batch is on the disk before its answers are given out.

    Raises ForecastError where the backend fails. However it ends, Ctrl-C included, what was computed is kept.
    """
    calendar = Calendar()
    windows = [(bars, origin) for bars in series for origin in origins[bars.symbol]]
    before = forecaster.hits
    for first in range(0, len(windows), batch):
        part = windows[first : first + batch]
        contexts = [context_at(bars, origin, window, calendar) for bars, origin in part]
        try:
            answers = forecaster.answers(contexts)
        finally:
            forecaster.shelf.flush()
        if listener is not None:
            listener(Progress(done=first + len(part), total=len(windows), stored=forecaster.hits - before))
        for (bars, origin), context, answer in zip(part, contexts, answers, strict=True):
            yield OriginAnswer(symbol=bars.symbol, origin=origin, context=context, kept=answer)
