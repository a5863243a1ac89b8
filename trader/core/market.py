"""Bars as arrays: what a model reads. Legend: T bars, columns open, high, low, close, volume, amount."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from forecasters.types import Context, Forecast, context_or_none
from trader.core.types import Symbol, Timeframe
from trader.core.values import SPARSE, maker, quick

COLUMNS = ("open", "high", "low", "close", "volume", "amount")
OPEN, HIGH, LOW, CLOSE, VOLUME, AMOUNT = range(6)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@quick
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bars:
    """Closed bars of one symbol, oldest first.

    times   [T]    datetime64[us], UTC, each bar's START; it is known only at start + timeframe
    values  [T, 6] float64, quote currency; volume in units, amount in quote currency
    whole   a longer series, read-only, of which these are the rows from `place` on; None where there is none. It may
            hold the future: only to find out once what is true of every piece of it
    """

    symbol: Symbol
    timeframe: Timeframe
    times: NDArray[np.datetime64]
    values: NDArray[np.float64]
    whole: Bars | None = field(default=None, metadata=SPARSE)
    place: int = field(default=0, metadata=SPARSE)

    def __post_init__(self) -> None:
        """ValueError for arrays of its own: what is true of `whole` says nothing of them."""
        whole = self.whole
        if whole is not None and not (
            np.may_share_memory(self.times, whole.times) and np.may_share_memory(self.values, whole.values)
        ):
            raise ValueError(f"{self.symbol}: these bars are no piece of the series that they name")

    def piece(self, first: int, last: int) -> Bars:
        """Rows [first, last). The arrays of this one must never change again."""
        return _new_bars(
            symbol=self.symbol,
            timeframe=self.timeframe,
            times=self.times[first:last],
            values=self.values[first:last],
            whole=self,
            place=first,
        )

    def newest(self, count: int) -> Bars:
        """Copies of the last `count`, or of all where there are fewer: nothing of a longer series hangs on them."""
        last = slice(max(len(self) - count, 0), None)
        return _new_bars(
            symbol=self.symbol, timeframe=self.timeframe, times=self.times[last].copy(), values=self.values[last].copy()
        )

    def __len__(self) -> int:
        return len(self.times)

    @property
    def last_start(self) -> datetime:
        """Looked up where these are a piece: every step of a backtest asks, several times."""
        if self.whole is None or not len(self.times):
            return to_datetime(self.times[-1])
        return _starts(self.whole)[self.place + len(self.times) - 1]

    @property
    def last_close(self) -> float:
        return float(self.values[-1, CLOSE])


_new_bars = maker(Bars)


def to_datetime(moment: np.datetime64) -> datetime:
    """Aware UTC, to the microsecond."""
    stamp = moment.item()
    if not isinstance(stamp, datetime):  # of another unit
        stamp = moment.astype("datetime64[us]").item()
    return stamp.replace(tzinfo=UTC)


def to_datetime64(moment: datetime) -> np.datetime64:
    return np.datetime64((moment - _EPOCH) // _MICROSECOND, "us")


def future_times(
    start: datetime, timeframe: Timeframe, horizon: int, sessions: Sequence[tuple[datetime, datetime]] = ()
) -> NDArray[np.datetime64]:
    """Starts of the bars to forecast [H], the first at or after `start`.

    sessions  (open, close), oldest first: a stock's bars go on at the next open; empty for crypto
    """
    if not sessions:
        return (_steps(timeframe, horizon) + (start - _EPOCH) // _MICROSECOND).view("datetime64[us]")
    moment, found = start, list[np.datetime64]()
    while len(found) < horizon:
        following = next((session for session in sessions if moment < session[1]), None)
        if following is not None:
            moment = max(moment, following[0])
        found.append(to_datetime64(moment))
        moment += timeframe.duration
    return np.array(found)


@lru_cache(maxsize=64)
def _steps(timeframe: Timeframe, horizon: int) -> NDArray[np.int64]:
    """[H] microseconds from the first bar on: as numbers, which are added far quicker than times."""
    return np.arange(horizon, dtype=np.int64) * (timeframe.duration // _MICROSECOND)


def context_of(bars: Bars, name: str, future: NDArray[np.datetime64]) -> Context:
    """What a forecaster is given of the bars. Raises InvalidContext."""
    judged = None if bars.whole is None else _judged(bars.whole)
    if judged is None:
        return Context(symbol=name, times=bars.times, values=bars.values, future_times=future)
    return judged.piece(name, bars.place, bars.place + len(bars), future)


@lru_cache(maxsize=256)  # each is asked about several times in a cycle, and never changes
def extent(forecast: Forecast) -> tuple[float, float]:
    """The lowest and the highest of its quantiles, quote currency; NaN where one is, or where there are none."""
    quantiles = forecast.quantiles
    if not quantiles.size:
        return float("nan"), float("nan")
    return float(np.minimum.reduce(quantiles, axis=None)), float(np.maximum.reduce(quantiles, axis=None))


@lru_cache(maxsize=64)
def _starts(whole: Bars) -> list[datetime]:
    """[T]"""
    return [moment.replace(tzinfo=UTC) for moment in whole.times.astype("datetime64[us]").tolist()]


@lru_cache(maxsize=64)
def _judged(whole: Bars) -> Context | None:
    """None where it has a fault somewhere: then each piece is judged by itself."""
    after = to_datetime64(whole.last_start + whole.timeframe.duration)
    return context_or_none(str(whole.symbol), whole.times, whole.values, np.array([after]))
