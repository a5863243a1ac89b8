"""Are bars fit to forecast from? Corrupt data is worse than none: the symbol is dropped, with a reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from trader.core.days import is_late, is_session_bar, missing_days
from trader.core.market import CLOSE, COLUMNS, HIGH, LOW, OPEN, Bars, to_datetime, to_datetime64
from trader.core.types import AssetClass, Symbol, Timeframe

ROUNDING = 1e-6  # relative: an adjusted close may lie this far outside its own range


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BarLimits:
    max_gap_bars: int = 24  # missing bars in a row, of those that an open market could have
    max_missing: float = 0.10  # of the bars that the context could have had
    max_jump: float = 1.4  # a bar's open over the close before, or its inverse: beyond it looks like a split
    max_scale: float = 1.25  # the quote's mid over the last close, or its inverse: beyond it is another series


DEFAULT_LIMITS = BarLimits()


def bars_problem(
    bars: Bars | None,
    timeframe: Timeframe,
    expected_last_start: datetime,
    context: int,
    quote_mid: Decimal | None = None,
    *,
    sessions: Sequence[tuple[datetime, datetime]] | None = None,
    limits: BarLimits = DEFAULT_LIMITS,
) -> str | None:
    """One line that says why not to use them, or None.

    expected_last_start  from days.expected_start
    sessions  (open, close) of the stock market, increasing: gaps are judged where they cover the bars; without them
              the time between two days of a stock counts as closed
    """
    if bars is None or len(bars) == 0:
        return "no bars"
    if len(bars) < context:
        return f"too few: {len(bars)} of {context}"
    known = None if sessions is None else tuple(sessions)
    return _own_problem(bars, timeframe, expected_last_start, known, limits) or scale_problem(bars, quote_mid, limits)


def _own_problem(
    bars: Bars,
    timeframe: Timeframe,
    expected_last_start: datetime,
    sessions: tuple[tuple[datetime, datetime], ...] | None,
    limits: BarLimits,
) -> str | None:
    piece = bars.whole is not None and _fault(bars.whole, limits) is None
    return (
        (None if piece else _order_problem(bars))
        or _newest_problem(bars, expected_last_start)
        or (None if piece else _values_problem(bars))
        or _gap_problem(bars, timeframe, sessions, limits)
        or (None if piece else _jump_problem(bars, limits))
    )


@lru_cache(maxsize=64)
def _fault(bars: Bars, limits: BarLimits) -> str | None:
    """Of rows and neighbours: where a series has none, no piece of it has one."""
    return _order_problem(bars) or _values_problem(bars) or _jump_problem(bars, limits)


def _order_problem(bars: Bars) -> str | None:
    steps = np.diff(bars.times)
    if (steps == np.timedelta64(0)).any():
        return f"duplicate: {_stamp(bars.times[1:][steps == np.timedelta64(0)][0])} twice"
    if (steps < np.timedelta64(0)).any():
        return "not in the order of time"
    return None


def _newest_problem(bars: Bars, expected_last_start: datetime) -> str | None:
    if is_late(bars, expected_last_start):
        return f"the newest is missing: {_stamp(bars.times[-1])}, not {_stamp(to_datetime64(expected_last_start))}"
    if bars.last_start > expected_last_start:
        return f"one that has not closed: {_stamp(bars.times[-1])}, after {_stamp(to_datetime64(expected_last_start))}"
    return None


def _values_problem(bars: Bars) -> str | None:
    values = bars.values
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        return f"not finite: {COLUMNS[column]} of {_stamp(bars.times[row])}"
    prices = values[:, : CLOSE + 1]
    if (prices <= 0).any() or (values[:, CLOSE + 1 :] < 0).any():
        row = int(np.flatnonzero((prices <= 0).any(axis=1) | (values[:, CLOSE + 1 :] < 0).any(axis=1))[0])
        return f"a price that is not positive, or a volume below zero, at {_stamp(bars.times[row])}"
    body_high = np.maximum(values[:, OPEN], values[:, CLOSE])
    body_low = np.minimum(values[:, OPEN], values[:, CLOSE])
    wrong = values[:, HIGH] < values[:, LOW]
    wrong |= values[:, HIGH] < body_high * (1 - ROUNDING)
    wrong |= values[:, LOW] > body_low * (1 + ROUNDING)
    if wrong.any():
        return f"high and low do not hold the bar of {_stamp(bars.times[int(np.flatnonzero(wrong)[0])])}"
    return None


# ---- gaps ----


def _gap_problem(
    bars: Bars, timeframe: Timeframe, sessions: Sequence[tuple[datetime, datetime]] | None, limits: BarLimits
) -> str | None:
    if sessions is None and bars.whole is not None:
        lacking = _missing_in(bars, bars.whole, timeframe)
        if lacking <= limits.max_gap_bars and lacking / (lacking + len(bars)) <= limits.max_missing:
            return None  # all of them together are too few for either fault
    missing = missing_between(bars.symbol, bars.times, timeframe, sessions)  # [T - 1]
    if missing.size == 0:
        return None
    worst = int(missing.argmax())
    if missing[worst] > limits.max_gap_bars:
        return f"a gap of {missing[worst]} bars after {_stamp(bars.times[worst])}, over {limits.max_gap_bars}"
    share = missing.sum() / (missing.sum() + len(bars))
    if share > limits.max_missing:
        return f"{share:.1%} of the bars are missing, over {limits.max_missing:.0%}"
    return None


def _missing_in(bars: Bars, whole: Bars, timeframe: Timeframe) -> int:
    """How many a piece of `whole` lacks, without any sessions."""
    before = _missing_before(whole, timeframe)
    return before[bars.place + len(bars) - 1] - before[bars.place]


@lru_cache(maxsize=64)
def _missing_before(whole: Bars, timeframe: Timeframe) -> list[int]:
    """[T] up to each row."""
    counts: list[int] = np.cumsum(missing_between(whole.symbol, whole.times, timeframe, None)).tolist()
    return [0, *counts]


def missing_between(
    symbol: Symbol,
    times: NDArray[np.datetime64],
    timeframe: Timeframe,
    sessions: Sequence[tuple[datetime, datetime]] | None,
) -> NDArray[np.int64]:
    """[T - 1] how many bars the market, while it was open, could have had between each two."""
    if sessions and is_session_bar(symbol, timeframe):
        return missing_days(times, sessions)
    step = np.timedelta64(timeframe.duration // timedelta(microseconds=1), "us")
    if symbol.asset_class is AssetClass.STOCK and sessions:
        opens = np.array([to_datetime64(start) for start, _ in sessions])
        closes = np.array([to_datetime64(end) for _, end in sessions])
        idle = _open_time(times[1:], opens, closes) - _open_time(times[:-1] + step, opens, closes)
        missing = idle // min(step, (closes - opens).min())
    else:
        missing = np.diff(times) // step - 1
        if symbol.asset_class is AssetClass.STOCK:
            missing[times[1:].astype("datetime64[D]") != times[:-1].astype("datetime64[D]")] = 0
    counts: NDArray[np.int64] = np.maximum(missing, 0).astype(np.int64)
    return counts


def _open_time(
    moments: NDArray[np.datetime64], opens: NDArray[np.datetime64], closes: NDArray[np.datetime64]
) -> NDArray[np.timedelta64]:
    """How long the market had been open, in all the sessions, by each moment."""
    totals = np.concatenate([[np.timedelta64(0, "us")], np.cumsum(closes - opens)])  # [sessions + 1]
    index = np.searchsorted(opens, moments, side="right") - 1  # the session that began last, or -1
    inside = np.minimum(moments, closes[index]) - opens[index]
    durations: NDArray[np.timedelta64] = np.where(index >= 0, totals[np.maximum(index, 0)] + inside, totals[0])
    return durations


# ---- scale ----


def _jump_problem(bars: Bars, limits: BarLimits) -> str | None:
    ratio = bars.values[1:, OPEN] / bars.values[:-1, CLOSE]
    away = np.maximum(ratio, 1 / ratio)
    if away.size == 0 or away.max() <= limits.max_jump:
        return None
    row = int(away.argmax())
    return f"a jump of {ratio[row]:.3g} times at {_stamp(bars.times[row + 1])}: a split, or another series"


def scale_problem(bars: Bars, quote_mid: Decimal | None, limits: BarLimits = DEFAULT_LIMITS) -> str | None:
    """Of bars that are fit by themselves."""
    if quote_mid is None:
        return None
    ratio = float(quote_mid) / bars.last_close
    if 1 / limits.max_scale <= ratio <= limits.max_scale:
        return None
    return f"the quote's mid is {ratio:.3g} times the last close: another instrument's series"


def _stamp(moment: np.datetime64) -> str:
    return f"{to_datetime(moment):%Y-%m-%dT%H:%M:%SZ}"
