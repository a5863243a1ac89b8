"""Forecasts made some bars ahead, many in one batch: a model that is asked a hundred times at once is far cheaper.

No decision sees more for it. Each forecast is made of its own context alone, the one that the daemon would have given
at that bar's close, and it is handed out only when that very context is asked for, compared by its contents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from forecasters.base import Forecaster, ForecastError
from forecasters.types import TAG, Context, Forecast, renamed
from trader.core.days import calendar_ahead, starts_ahead
from trader.core.market import Bars, context_of, to_datetime
from trader.core.types import AssetClass, Symbol, Timeframe
from trader.exchange.market.files import Columns, to_micros
from trader.exchange.market.market import Market
from trader.research.backtest.inprocess import whole_of

_BEFORE = timedelta(days=1)


class AheadForecaster:
    """A Forecaster around another one. Where a batch fails, each context is asked for by itself.

    later   the contexts of the next bar closes of the series of the given one, in time; their symbols carry no tags
    """

    def __init__(self, inner: Forecaster, later: Callable[[Context], Iterable[Context]]) -> None:
        self.name = inner.name
        self.warm_up = inner.warm_up
        self.close = inner.close
        self._inner = inner
        self._later = later
        self._made: dict[_Place, tuple[Context, Forecast | None]] = {}
        self._disabled = False

    def forecast(self, contexts: Sequence[Context]) -> Mapping[str, Forecast]:
        missing = [context for context in contexts if not self._has(context)]
        if missing and not self._disabled:
            self._prepare(missing)
            missing = [context for context in contexts if not self._has(context)]
        if missing:
            return self._inner.forecast(contexts)
        made = {context.symbol: self._made[_place(context)][1] for context in contexts}
        return {symbol: forecast for symbol, forecast in made.items() if forecast is not None}

    def _has(self, context: Context) -> bool:
        """Whether a forecast of exactly these contents was made."""
        found = self._made.get(_place(context))
        return found is not None and (
            np.array_equal(found[0].times, context.times)
            and np.array_equal(found[0].values, context.values)
            and np.array_equal(found[0].future_times, context.future_times)
        )

    def _prepare(self, contexts: Sequence[Context]) -> None:
        self._made = {}  # what was not asked for by now will not be: time goes forward
        batch = [context_ahead for context in contexts for context_ahead in (context, *self._later(context))]
        tagged = [
            renamed(context_ahead, f"{context_ahead.series}{TAG}{number}") for number, context_ahead in enumerate(batch)
        ]
        try:
            answer = self._inner.forecast(tagged)
        except ForecastError:
            self._disabled = True
            return
        for context, question in zip(batch, tagged, strict=True):
            forecast = answer.get(question.symbol)
            self._made[_place(context)] = (context, None if forecast is None else renamed(forecast, context.series))


_Place = tuple[str, int, int]


def _place(context: Context) -> _Place:
    return context.series, int(context.times[-1].astype(np.int64)), len(context)


def later_contexts(
    market: Market, timeframe: Timeframe, *, context: int, horizon: int, count: int, end: datetime | None
) -> Callable[[Context], Iterable[Context]]:
    """For AheadForecaster: up to `count` contexts after the given one, as a cycle makes them."""

    wholes: dict[Symbol, tuple[Columns, Bars]] = {}

    def whole(symbol: Symbol, columns: Columns) -> Bars:
        entry = wholes.get(symbol)
        if entry is None or entry[0] is not columns:
            entry = wholes[symbol] = (columns, whole_of(symbol, timeframe, columns))
        return entry[1]

    def later(now: Context) -> Iterable[Context]:
        symbol = Symbol(now.series)
        series = market.series(symbol)
        if series is None or len(now) < context:
            return ()
        last_us = to_micros(to_datetime(now.times[-1]))
        reach_us = last_us + _micros(timeframe.duration) * (count + 1)
        columns, closed_count = series.closed(
            timeframe, end_us=reach_us if end is None else min(reach_us, to_micros(end))
        )
        bars = whole(symbol, columns)
        first = int(np.searchsorted(bars.times, now.times[-1], side="right"))
        contexts = []
        for place in range(first, closed_count):
            close = to_datetime(bars.times[place]) + timeframe.duration
            spans = _sessions(market, symbol, close, calendar_ahead(timeframe, horizon))
            ahead = starts_ahead(symbol, now.times, timeframe, horizon, close, spans)
            contexts.append(context_of(bars.piece(place + 1 - context, place + 1), now.series, ahead))
        return contexts

    return later


def _micros(length: timedelta) -> int:
    return length // timedelta(microseconds=1)


def _sessions(market: Market, symbol: Symbol, close: datetime, ahead: timedelta) -> list[tuple[datetime, datetime]]:
    if symbol.asset_class is AssetClass.CRYPTO:
        return []
    return market.sessions((close - _BEFORE).astimezone(UTC), (close + ahead).astimezone(UTC))
