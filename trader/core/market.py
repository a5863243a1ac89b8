"""Bars as arrays: what a model reads. Legend: T bars, columns open, high, low, close, volume, amount."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from trader.core.types import Symbol, Timeframe

COLUMNS = ("open", "high", "low", "close", "volume", "amount")
OPEN, HIGH, LOW, CLOSE, VOLUME, AMOUNT = range(6)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bars:
    """Closed bars of one symbol, oldest first.

    times   [T]    datetime64[us], UTC, each bar's START; it is known only at start + timeframe
    values  [T, 6] float64, quote currency; volume in units, amount in quote currency
    """

    symbol: Symbol
    timeframe: Timeframe
    times: NDArray[np.datetime64]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.times)

    @property
    def last_start(self) -> datetime:
        return to_datetime(self.times[-1])

    @property
    def last_close(self) -> float:
        return float(self.values[-1, CLOSE])


def to_datetime(moment: np.datetime64) -> datetime:
    """Aware UTC, to the microsecond."""
    stamp: datetime = moment.astype("datetime64[us]").astype(datetime)
    return stamp.replace(tzinfo=UTC)


def to_datetime64(moment: datetime) -> np.datetime64:
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")


def future_times(
    start: datetime, timeframe: Timeframe, horizon: int, sessions: Sequence[tuple[datetime, datetime]] = ()
) -> NDArray[np.datetime64]:
    """Starts of the bars to forecast [H], the first at or after `start`.

    sessions  (open, close), oldest first: a stock's bars go on at the next open; empty for crypto
    """
    moment, found = start, list[np.datetime64]()
    while len(found) < horizon:
        following = next((session for session in sessions if moment < session[1]), None)
        if following is not None:
            moment = max(moment, following[0])
        found.append(to_datetime64(moment))
        moment += timeframe.duration
    return np.array(found)
