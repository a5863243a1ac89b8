"""Bars in quote currency to the standardised numbers that the model sees, and back; times to calendar columns.

T bars, columns open, high, low, close, volume, amount. The arithmetic is float32, in the order of the original, because
a token is the sign of a number that may lie close to zero. The original's bars come out of a data frame, whose arrays
are kept column by column: numpy adds such a column up in pairs of pairs, but one that is kept row by row from top to
bottom, which is the less exact and gives other tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forecasters.base import InvalidContext

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

COLUMNS = 6
VOLUME, AMOUNT = 4, 5
PRICES = slice(0, 4)
DEFAULT_CLIP = 5.0  # standard deviations

_EPSILON = 1e-5  # added to the standard deviation, in the bars' own units
_SMALLEST_PRICE = 1e-2  # below it _EPSILON would drown the bars: a coin at 1e-8 would look constant
_QUOTED = [0, 1, 2, 3, AMOUNT]  # the columns that are in quote currency
_MINUTE_NS = 60_000_000_000
_HOUR_NS = 60 * _MINUTE_NS


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Standardised:
    """What the tokenizer is given, and how to come back.

    values  [T, 6] float32, within +-clip
    mean    [6]    float32
    spread  [6]    float32, standard deviation + 1e-5
    factor  power of two that the quoted columns were multiplied by; 1 but for prices below a cent
    """

    values: Floats
    mean: Floats
    spread: Floats
    factor: float

    def restore(self, values: Floats) -> Floats:
        """[..., 6] standardised -> [..., 6] in the bars' units."""
        restored = values * self.spread + self.mean
        if self.factor != 1.0:
            restored[..., _QUOTED] /= np.float32(self.factor)
        return restored


def complete_bars(bars: ArrayLike) -> Floats:
    """[T, 4], [T, 5] or [T, 6] -> [T, 6] float32 with volume and amount. Raises InvalidContext.

    Without volume (no column, or NaN throughout) volume and amount are 0, a given amount too, as in the original.
    Without amount it is volume x mean(open, high, low, close), in the precision of what is given. A NaN anywhere else,
    or an infinity, is refused.
    """
    table = np.asarray(bars)
    if table.ndim != 2 or table.shape[1] not in (4, 5, COLUMNS) or len(table) == 0:
        raise InvalidContext(f"bars {table.shape} must be [T, 6]: open, high, low, close, volume, amount; T at least 1")
    with np.errstate(over="ignore"):
        columns = table.astype(np.float32)
    complete = np.full((len(columns), COLUMNS), np.nan, dtype=np.float32)
    complete[:, : columns.shape[1]] = columns
    if np.isnan(complete[:, VOLUME]).all():
        complete[:, VOLUME:] = 0.0
    elif np.isnan(complete[:, AMOUNT]).all():
        with np.errstate(over="ignore"):
            complete[:, AMOUNT] = table[:, VOLUME] * table[:, PRICES].mean(axis=1)
    if not np.isfinite(complete).all():
        raise InvalidContext("a bar holds NaN or infinity (or more than float32 can): leave the series out or mend it")
    return complete


def standardise(bars: Floats, clip: float = DEFAULT_CLIP) -> Standardised:
    """[T, 6] complete bars -> less their mean, over their population standard deviation, cut off at +-clip.

    A constant column becomes 0. Prices below a cent are first multiplied by a power of two, which loses nothing and
    without which the 1e-5 beneath the fraction would outweigh them; the original forecasts noise there.
    """
    factor = _factor(float(np.abs(bars[:, PRICES]).max()))
    scaled = bars
    if factor != 1.0:
        scaled = bars.copy()
        scaled[:, _QUOTED] *= np.float32(factor)
    by_column = np.asfortranarray(scaled)
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = np.mean(by_column, axis=0), np.std(by_column, axis=0)
    if not (np.isfinite(mean).all() and np.isfinite(deviation).all()):  # a square beyond float32
        wide = scaled.astype(np.float64)
        mean, deviation = wide.mean(axis=0).astype(np.float32), wide.std(axis=0).astype(np.float32)
    spread = deviation + np.float32(_EPSILON)
    values = np.clip((scaled - mean) / spread, -clip, clip).astype(np.float32)
    return Standardised(values=values, mean=mean, spread=spread, factor=factor)


def calendar(times: ArrayLike) -> Integers:
    """[T] int64 nanoseconds, datetime64, or aware times -> [T, 5] in UTC: minute, hour, weekday (Monday 0), day, month.

    Raises InvalidContext for a missing time.
    """
    given = np.asarray(times)
    if given.dtype.kind == "O":  # aware times, which numpy has no type for
        import pandas as pd

        given = pd.to_datetime(given, utc=True).tz_localize(None).to_numpy()
    moments = given if given.dtype.kind == "M" else given.astype(np.int64).view("datetime64[ns]")
    if np.isnat(moments).any():
        raise InvalidContext("a time is missing")
    days = moments.astype("datetime64[D]")
    months = moments.astype("datetime64[M]")
    of_day = (moments - days).astype("timedelta64[ns]").astype(np.int64)
    since_epoch = days.astype(np.int64)
    return np.stack(
        [
            of_day % _HOUR_NS // _MINUTE_NS,
            of_day // _HOUR_NS,
            (since_epoch + 3) % 7,  # 1970-01-01 was a Thursday
            (days - months.astype("datetime64[D]")).astype(np.int64) + 1,
            months.astype(np.int64) % 12 + 1,
        ],
        axis=1,
    )


def _factor(largest_price: float) -> float:
    if not 0 < largest_price < _SMALLEST_PRICE:
        return 1.0
    return float(2.0 ** np.round(np.log2(100.0 / largest_price)))
