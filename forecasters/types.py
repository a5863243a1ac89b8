"""What goes into a forecaster and what comes out: T context bars, H horizon, C channels, Q levels, S samples.

Both values check themselves when they are made and own read-only arrays, so that whoever holds one may trust it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, datetime
from operator import lt
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forecasters.errors import InvalidContext, InvalidForecast

CHANNELS = ("open", "high", "low", "close")
OPEN, HIGH, LOW, CLOSE = range(4)
COLUMNS = (*CHANNELS, "volume", "amount")
TAG = "#"  # no symbol has one

MAX_FACTOR = 3.0  # a level outside [last close / 3, last close x 3] is taken for a fault of scale
_ROUNDING = 1e-9  # relative; interpolation between sorted samples may be off by a few units in the last place
_FEED_ROUNDING = 1e-6  # relative; venues round the four prices of a bar separately
_MOMENT, _NUMBER = np.dtype("datetime64[us]"), np.dtype("float64")
_NAT = np.datetime64("NaT").view(np.int64).item()
_ORDER = "times must increase, the future ones after the last bar"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Context:
    """The closed bars that a forecast starts from. Raises InvalidContext.

    symbol        canonical name, as text; a tag, as in `BTC/USD#17`, tells apart several contexts of one in a batch
    times         [T]    datetime64[us] UTC, each bar's start, increasing
    values        [T, 6] float64: open, high, low, close in quote currency, volume in units, amount in quote currency
    future_times  [H]    datetime64[us] UTC, the starts of the bars to forecast
    """

    symbol: str
    times: NDArray[np.datetime64]
    values: NDArray[np.float64]
    future_times: NDArray[np.datetime64]

    def __post_init__(self) -> None:
        object.__setattr__(self, "times", _owned(self.times, _MOMENT))
        object.__setattr__(self, "values", _owned(self.values, _NUMBER))
        object.__setattr__(self, "future_times", _owned(self.future_times, _MOMENT))
        problem = _context_problem(self.times, self.values, self.future_times)
        if problem or not self.symbol:
            raise InvalidContext(f"{self.symbol or 'no symbol'}: {problem or 'the symbol is empty'}")

    def piece(self, symbol: str, first: int, last: int, future_times: ArrayLike) -> Context:
        """Rows [first, last) as a context of their own, which knows nothing of the others. Raises InvalidContext.

        What holds for all rows and all neighbours holds for these: only what is ahead of them is looked at.
        """
        future = _owned(future_times, _MOMENT)
        problem = _ahead_problem(self.times[first:last], future)
        if problem or not symbol:
            raise InvalidContext(f"{symbol or 'no symbol'}: {problem or 'the symbol is empty'}")
        found = object.__new__(Context)
        object.__setattr__(found, "symbol", symbol)
        object.__setattr__(found, "times", _copied(self.times[first:last]))
        object.__setattr__(found, "values", _copied(self.values[first:last]))
        object.__setattr__(found, "future_times", future)
        return found

    def __len__(self) -> int:
        return len(self.times)

    @property
    def series(self) -> str:
        """The symbol without its tag: what a backend's randomness starts from, so that a tag changes no forecast."""
        return self.symbol.partition(TAG)[0]

    @property
    def last_close(self) -> float:
        """Quote currency."""
        return float(self.values[-1, CLOSE])

    @property
    def step(self) -> np.timedelta64:
        """A bar's length: the smallest distance between starts, since pauses and outages only widen it."""
        starts = np.append(self.times, self.future_times[:1])
        shortest: np.timedelta64 = np.diff(starts).min()
        return shortest

    @property
    def asof(self) -> datetime:
        """When the last bar had closed, aware UTC."""
        closed = (self.times[-1] + self.step).astype("datetime64[us]")
        moment: datetime = closed.astype(datetime)
        return moment.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Forecast:
    """The distribution of the next bars of one symbol. Raises InvalidForecast.

    asof       when the last context bar had closed, aware UTC
    times      [H]       datetime64[us] UTC, the starts of the forecast bars
    last_close           quote currency
    levels     [Q]       increasing, in (0, 1)
    quantiles  [Q, H, C] float64, quote currency, non-decreasing in Q
    paths      [S, H, C] float64, or None where the model does not sample
    max_factor           a quantile outside [last_close / max_factor, last_close x max_factor] is refused
    """

    symbol: str
    asof: datetime
    times: NDArray[np.datetime64]
    last_close: float
    levels: NDArray[np.float64]
    quantiles: NDArray[np.float64]
    paths: NDArray[np.float64] | None
    backend: str
    model: str  # name@revision
    dtype: str
    compile_mode: str  # "eager" or the torch.compile mode
    latency_s: float
    max_factor: float = MAX_FACTOR

    def __post_init__(self) -> None:
        object.__setattr__(self, "times", _owned(self.times, _MOMENT))
        object.__setattr__(self, "levels", _owned(self.levels, _NUMBER))
        object.__setattr__(self, "quantiles", _owned(self.quantiles, _NUMBER))
        if self.paths is not None:
            object.__setattr__(self, "paths", _owned(self.paths, _NUMBER))
        problem = (
            _header_problem(self)
            or _levels_problem(self.levels)
            or _quantiles_problem(self)
            or _paths_problem(self.paths, len(self.times))
        )
        if problem:
            raise InvalidForecast(f"{self.symbol or 'no symbol'} by {self.backend or 'no backend'}: {problem}")

    def quantile(self, level: float, step: int, channel: int) -> float:
        """One quantile, quote currency: at a given level, or linear between its two neighbours.

        step     0 is the first forecast bar
        channel  OPEN, HIGH, LOW or CLOSE
        Raises ForecastError outside the given levels: a tail that was not forecast is not made up.
        """
        levels = self.levels
        if not 0 <= step < len(self.times) or not 0 <= channel < len(CHANNELS):
            raise InvalidForecast(f"{self.symbol}: no step {step} or channel {channel} in this forecast")
        slack = 1e-12
        if not levels[0] - slack <= level <= levels[-1] + slack:
            raise InvalidForecast(f"{self.symbol}: level {level:g} is outside {levels[0]:g} to {levels[-1]:g}")
        return float(np.interp(level, levels, self.quantiles[:, step, channel]))


Named = TypeVar("Named", Context, Forecast)


def renamed(value: Named, symbol: str) -> Named:
    """The same under another symbol. What was checked when it was made is not checked again: nothing else changes."""
    twin: Named = object.__new__(type(value))  # copy.copy takes ten times as long
    for field in fields(value):
        object.__setattr__(twin, field.name, getattr(value, field.name))
    object.__setattr__(twin, "symbol", symbol)
    return twin


def context_or_none(
    symbol: str, times: NDArray[np.datetime64], values: NDArray[np.float64], future_times: NDArray[np.datetime64]
) -> Context | None:
    """The context of these, or None where it would be refused."""
    try:
        return Context(symbol=symbol, times=times, values=values, future_times=future_times)
    except InvalidContext:
        return None


def quantiles_of(paths: NDArray[np.float64], levels: ArrayLike) -> NDArray[np.float64]:
    """Quantiles across sampled paths, linear between order statistics.

    paths   [S, H, C] float64, quote currency
    levels  [Q]       increasing, in (0, 1)
    returns [Q, H, C] non-decreasing in Q
    """
    ordered = np.sort(np.moveaxis(np.asarray(paths, dtype=np.float64), 0, -1), axis=-1)  # [H, C, S]
    return np.ascontiguousarray(np.moveaxis(interpolate_ordered(ordered, np.asarray(levels, dtype=np.float64)), -1, 0))


def interpolate_ordered(ordered: NDArray[np.floating], levels: NDArray[np.float64]) -> NDArray[np.floating]:
    """[..., S] ascending in S -> [..., Q], in the same dtype, non-decreasing in Q."""
    position = levels * (ordered.shape[-1] - 1)
    below = np.floor(position).astype(np.intp)
    above = np.minimum(below + 1, ordered.shape[-1] - 1)
    share = (position - below).astype(ordered.dtype)
    lower, upper = ordered[..., below], ordered[..., above]
    result: NDArray[np.floating] = np.maximum.accumulate(lower + (upper - lower) * share, axis=-1)
    return result


def out_of_order(bars: NDArray[np.float64]) -> NDArray[np.bool_]:
    """[N, H, C] -> [N, H]: a high that is not the highest of its bar, or a low that is not the lowest."""
    high, low = bars[..., HIGH], bars[..., LOW]
    return np.asarray((high < bars.max(axis=-1)) | (low > bars.min(axis=-1)))


def in_order(bars: NDArray[np.float64]) -> NDArray[np.float64]:
    """[N, H, C] -> the same with every high the highest and every low the lowest of its bar; open and close stay.

    A network says the four prices separately, and nothing in it keeps a high above its close. Where they did not
    decrease along N, they still don't.
    """
    ordered = np.empty_like(bars)
    ordered[..., OPEN], ordered[..., CLOSE] = bars[..., OPEN], bars[..., CLOSE]
    ordered[..., HIGH], ordered[..., LOW] = bars.max(axis=-1), bars.min(axis=-1)
    return ordered


def _owned(array: ArrayLike, dtype: np.dtype[Any]) -> NDArray[np.generic]:
    """A read-only array that nobody else can write to: the same one where that already holds, else a copy."""
    if isinstance(array, np.ndarray) and array.dtype == dtype and not array.flags.writeable and array.base is None:
        return array
    return _copied(np.asarray(array, dtype=dtype))


def _copied(array: NDArray[Any]) -> NDArray[Any]:
    copy = array.copy()
    copy.setflags(write=False)
    return copy


def _increasing(values: NDArray[Any]) -> bool:
    return bool((values[1:] > values[:-1]).all())


def _context_problem(
    times: NDArray[np.datetime64], values: NDArray[np.float64], future: NDArray[np.datetime64]
) -> str | None:
    problem = _ahead_problem(times, future)
    if problem:
        return problem
    if values.shape != (len(times), len(COLUMNS)):
        return f"values {values.shape} must be [{len(times)}, {len(COLUMNS)}]"
    if np.isnat(times).any():
        return "a time is missing"
    if not _increasing(times):
        return _ORDER
    if not np.isfinite(values).all():
        return "a value is NaN or infinite"
    if (values[:, :4] <= 0).any() or (values[:, 4:] < 0).any():
        return "a price is not positive, or a volume is negative"
    body = values[:, [OPEN, CLOSE]]
    above = body.max(axis=1) > values[:, HIGH] * (1 + _FEED_ROUNDING)
    below = body.min(axis=1) < values[:, LOW] * (1 - _FEED_ROUNDING)
    if above.any() or below.any():
        return "a bar's open or close lies outside its low and high"
    return None


def _ahead_problem(times: NDArray[Any], future: NDArray[Any]) -> str | None:
    if times.ndim != 1 or len(times) == 0 or future.ndim != 1 or len(future) == 0:
        return f"times {times.shape} and future times {future.shape} must be [T] and [H], not empty"
    moments = [times[-1:].view(np.int64).item(), *future.view(np.int64).tolist()]  # few: arrays would take far longer
    if _NAT in moments:
        return "a time is missing"
    return None if all(map(lt, moments, moments[1:])) else _ORDER


def _header_problem(forecast: Forecast) -> str | None:
    times = forecast.times
    if not forecast.symbol or not forecast.backend:
        return "symbol and backend must be named"
    if forecast.asof.tzinfo is None:
        return "asof has no time zone"
    if times.ndim != 1 or len(times) == 0 or np.isnat(times).any() or not _increasing(times):
        return "times must be [H], increasing, not empty"
    if times[0] < np.datetime64(forecast.asof.astimezone(UTC).replace(tzinfo=None), "us"):
        return "the first forecast bar starts before asof"
    if not 0 < forecast.last_close < np.inf:
        return f"the last close is {forecast.last_close}"
    if not 0 <= forecast.latency_s < np.inf or not 1 < forecast.max_factor < np.inf:
        return f"latency {forecast.latency_s} s or factor {forecast.max_factor} is impossible"
    return None


def _levels_problem(levels: NDArray[np.float64]) -> str | None:
    if levels.ndim != 1 or len(levels) == 0:
        return f"levels {levels.shape} must be [Q], not empty"
    if not (levels[0] > 0 and levels[-1] < 1 and _increasing(levels)):  # written so that NaN fails too
        return "levels must increase within (0, 1)"
    return None


def _quantiles_problem(forecast: Forecast) -> str | None:
    quantiles = forecast.quantiles
    expected = (len(forecast.levels), len(forecast.times), len(CHANNELS))
    if quantiles.shape != expected:
        return f"quantiles {quantiles.shape} must be {expected}"
    lowest, highest = float(quantiles.min()), float(quantiles.max())
    if not np.isfinite(lowest) or not np.isfinite(highest):
        return "a quantile is NaN or infinite"
    if lowest <= 0:
        return f"a quantile of {lowest:g} is not a price"
    last, factor = forecast.last_close, forecast.max_factor
    if lowest < last / factor or highest > last * factor:
        return f"quantiles from {lowest:g} to {highest:g} are absurdly far from the last close {last:g}"
    if (quantiles[1:] < quantiles[:-1] * (1 - _ROUNDING)).any():
        return "quantiles cross"
    return _bars_problem(quantiles, "quantile level")


def _paths_problem(paths: NDArray[np.float64] | None, horizon: int) -> str | None:
    if paths is None:
        return None
    if paths.ndim != 3 or paths.shape[1:] != (horizon, len(CHANNELS)) or len(paths) == 0:
        return f"paths {paths.shape} must be (S, {horizon}, {len(CHANNELS)})"
    lowest, highest = float(paths.min()), float(paths.max())
    if not np.isfinite(lowest) or not np.isfinite(highest):
        return "a path is NaN or infinite"
    if lowest <= 0:
        return f"a path reaches {lowest:g}, which is not a price"
    return _bars_problem(paths, "path")


def _bars_problem(bars: NDArray[np.float64], what: str) -> str | None:
    """[N, H, C]: each high at or above, each low at or below, its open and close."""
    top = np.maximum(bars[..., OPEN], bars[..., CLOSE])
    bottom = np.minimum(bars[..., OPEN], bars[..., CLOSE])
    if (bars[..., HIGH] < top * (1 - _ROUNDING)).any():
        return f"a {what} has its high below its open or close"
    if (bars[..., LOW] > bottom * (1 + _ROUNDING)).any():
        return f"a {what} has its low above its open or close"
    return None
