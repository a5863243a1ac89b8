"""A finished backtest's forecasts asked again: alone, in a fresh worker, of the bars that its folder holds.

What the run used is what it wrote down: the quantiles behind each entry, and of one forecast a day. Whatever the
backend does not say again of that context alone came of something else: of what it was asked besides, or of a backend
that was another one then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from forecasters.base import ForecastError
from forecasters.types import Context, Forecast
from settings.load import Loaded
from trader.core.market import Bars, to_datetime64
from trader.core.types import Symbol, Timeframe
from trader.daemon.forecaster import sandbox_of
from trader.errors import ConfigurationError
from trader.exchange.market.files import Columns
from trader.research.backtest.inprocess import whole_of
from trader.research.backtest.result import BacktestResult
from trader.research.backtest.run_folder import load_result, load_table
from trader.research.forecasts.again import SHARE, Again, Sample, ask_again
from trader.research.forecasts.arms import Described, worker_settings
from trader.research.forecasts.key import KnownBackend, known_backend

if TYPE_CHECKING:
    import pyarrow as pa

# The run keeps quantiles alone: where rounding may turn a sampled path, they move as far as one of those does.
_OF_SAMPLES = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAhead:
    """What came of it. `changed`: the parts of the backend that are not those of the run."""

    backend: str
    again: Again
    changed: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """One line."""
        if not self.again.asked:
            return "nothing was asked again, so nothing is known"
        if not self.again.problem:
            return "no look-ahead was found: alone, each forecast is the one that the run used"
        if self.changed:
            return f"not the run's forecasts; but the backend is another one since then: {', '.join(self.changed)}"
        return "the run's forecasts are not of their contexts alone: none of its figures is evidence"


def look_ahead(
    folder: Path,
    settings_of: Callable[[Mapping[str, object]], Loaded],
    *,
    share: float = SHARE,
    say: Callable[[str], None] = lambda line: None,
) -> LookAhead:
    """Of a run's folder. Raises ConfigurationError where that is none, or its backend can't run here.

    settings_of  the settings with these flags on top: what keeps the backend's process in
    """
    result = load_result(folder)
    sample = _sample(folder, result, share)
    settings = settings_of({"forecaster": result.backend, "trading_mode": "sim"}).settings
    try:
        known = known_backend(result.backend, result.options, sandbox=sandbox_of(settings))
        worker = worker_settings(result.backend, result.options, settings)
        backend = Described(name=result.backend, known=known, settings=worker)
        rounding = known.rounding and replace(known.rounding, difference=_OF_SAMPLES)
        again = ask_again(sample, partial(backend.fresh, say), rounding)
    except ForecastError as error:
        raise ConfigurationError(f"{result.backend}: {error}") from error
    return LookAhead(backend=result.backend, again=again, changed=_changed(result, known))


def _changed(result: BacktestResult, known: KnownBackend) -> tuple[str, ...]:
    """The parts of its key that the run knew otherwise; `once` is never the same."""
    now = {**asdict(known.key), "once": ""}
    return tuple(
        name for name, text in now.items() if name in result.key and result.key[name] != text and name != "once"
    )


def _sample(folder: Path, result: BacktestResult, share: float) -> Sample:
    """Of all forecasts that the folder holds. Raises ConfigurationError where the two do not fit."""
    forecasts, bars = load_table(folder, "forecasts"), load_table(folder, "bars")
    if result.source != "backtest" or forecasts is None or bars is None or not bars.num_rows:
        raise ConfigurationError(f"{folder} has no forecasts with their bars; right: a run of `trader backtest --out`")
    series = dict(_series(bars, Timeframe.parse(result.timeframe)))
    sample = Sample(share)
    for symbol, origin, rows in _recorded(forecasts):
        if symbol not in series:
            raise ConfigurationError(f"{folder}: bars.parquet has none of {symbol}")
        context = _context(series[symbol], origin, result.context, rows["time"])
        if context.asof != origin:
            raise ConfigurationError(f"{folder}: the bars before {origin:%Y-%m-%d %H:%M}Z of {symbol} are missing")
        sample.see(context, _forecast(context, rows))
    return sample


def _series(table: pa.Table, timeframe: Timeframe) -> Iterator[tuple[str, Bars]]:
    """As the run saw them: the amount follows from the rest."""
    frame = table.to_pandas()
    for name, rows in frame.groupby("symbol"):
        columns = {each: rows[each].to_numpy(dtype=np.float64) for each in ("open", "high", "low", "close", "volume")}
        times = rows["at"].dt.tz_convert("UTC").dt.tz_localize(None).to_numpy().astype("datetime64[us]")
        yield str(name), whole_of(Symbol(str(name)), timeframe, Columns(times=times.view(np.int64), **columns))


def _recorded(table: pa.Table) -> Iterator[tuple[str, datetime, Mapping[str, Any]]]:
    """(symbol, origin, {time [H], level [Q], prices [Q, H, 4]}), each forecast once."""
    frame = table.to_pandas()
    for (name, origin), rows in frame.groupby(["symbol", "origin"], sort=True):
        one = rows[rows["cycle_id"] == rows["cycle_id"].iloc[0]].sort_values(["level", "step"])
        steps = one["step"].nunique()
        times = one["time"].iloc[:steps].dt.tz_convert("UTC").dt.tz_localize(None).to_numpy().astype("datetime64[us]")
        prices = one[["open", "high", "low", "close"]].to_numpy(dtype=np.float64).reshape(-1, steps, 4)
        yield str(name), origin.to_pydatetime(), {"time": times, "level": one["level"].unique(), "prices": prices}


def _context(bars: Bars, origin: datetime, count: int, times: np.ndarray[Any, np.dtype[np.datetime64]]) -> Context:
    end = int(np.searchsorted(bars.times, to_datetime64(origin)))
    part = slice(max(0, end - count), end)
    return Context(symbol=str(bars.symbol), times=bars.times[part], values=bars.values[part], future_times=times)


def _forecast(context: Context, rows: Mapping[str, Any]) -> Forecast:
    """As the run wrote it; what it did not write is not compared."""
    return Forecast(
        symbol=context.symbol,
        asof=context.asof,
        times=rows["time"],
        last_close=context.last_close,
        levels=rows["level"],
        quantiles=rows["prices"],
        paths=None,
        backend="the run's",
        model="the run's",
        dtype="float64",
        compile_mode="eager",
        latency_s=0.0,
    )
