"""Long computations of forecasts: batched, stopped in any way, gone on with; and nothing from the future in them."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasters import registry
from forecasters.base import ForecastError
from tests.research.evaluate.support import Counting, a_shelf, made_bars, same
from tests.research.evaluate.sweeping import BATCH, ORIGINS, WINDOW
from trader.core.market import Bars
from trader.core.types import Symbol, Timeframe
from trader.research.data.store import bars_of_file
from trader.research.data.windows import Calendar, Window, actual_rows, context_at, rolling_origins
from trader.research.evaluate.random_walk import RandomWalk
from trader.research.forecasts.store import StoredForecaster
from trader.research.forecasts.sweep import OriginAnswer, Progress, sweep

ROOT = Path(__file__).parents[3]


def run(inner: Counting, root: Path, bars: Bars, origins: tuple[int, ...] = ORIGINS) -> list[OriginAnswer]:
    stored = StoredForecaster(inner, a_shelf(root))
    return list(sweep(stored, [bars], {bars.symbol: origins}, WINDOW, batch=BATCH))


def test_a_sweep_asks_in_batches_and_a_second_one_asks_nothing(tmp_path: Path) -> None:
    first, second = Counting(), Counting()
    before, after = run(first, tmp_path, made_bars()), run(second, tmp_path, made_bars())
    assert first.batches == len(ORIGINS) // BATCH
    assert second.batches == 0
    assert second.warm == 0
    for one, other in zip(before, after, strict=True):
        assert one.kept.forecast is not None
        assert other.kept.forecast is not None
        assert same(one.kept.forecast, other.kept.forecast)


def test_a_batch_of_one_symbol_gives_what_it_gives_alone(tmp_path: Path) -> None:
    """The real baseline: its randomness must not follow from what else is in the batch, nor from a tag."""
    bars = made_bars()
    stored = StoredForecaster(registry.build("baseline", {}), a_shelf(tmp_path))
    answers = list(sweep(stored, [bars], {bars.symbol: ORIGINS[:6]}, WINDOW, batch=6))
    for answer in answers:
        alone = registry.build("baseline", {}).forecast([answer.context])["BTC/USD"]
        assert answer.kept.forecast is not None
        assert np.array_equal(alone.quantiles, answer.kept.forecast.quantiles)
        assert alone.paths is not None
        assert np.array_equal(alone.paths, answer.kept.forecast.paths)


def test_its_progress_counts_what_was_stored(tmp_path: Path) -> None:
    bars = made_bars()
    run(Counting(), tmp_path, bars, ORIGINS[:10])
    seen: list[Progress] = []
    stored = StoredForecaster(Counting(), a_shelf(tmp_path))
    list(sweep(stored, [bars], {bars.symbol: ORIGINS[:20]}, WINDOW, batch=BATCH, listener=seen.append))
    assert [(p.done, p.stored) for p in seen] == [(8, 8), (16, 10), (20, 10)]
    assert seen[-1].total == 20


def test_a_failing_backend_ends_it_and_keeps_what_was_done(tmp_path: Path) -> None:
    class Failing(Counting):
        def forecast(self, contexts):  # type: ignore[no-untyped-def]
            if self.batches == 2:
                raise ForecastError("the worker was killed")
            return super().forecast(contexts)

    with pytest.raises(ForecastError, match="killed"):
        run(Failing(), tmp_path, made_bars())
    again = Counting()
    run(again, tmp_path, made_bars())
    assert len(again.asked) == len(ORIGINS) - 2 * BATCH


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_stopped_in_any_way_it_goes_on_without_computing_anything_twice(tmp_path: Path, how: signal.Signals) -> None:
    command = [sys.executable, "-m", "tests.research.evaluate.sweeping", str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        for batch in range(1, 4):
            assert child.stdout.readline() == "asked\n"
            child.stdin.write("go\n")
            child.stdin.flush()
            assert child.stdout.readline() == f"{batch * BATCH}\n"
        assert child.stdout.readline() == "asked\n"  # in the middle of its fourth batch
        child.send_signal(how)
        child.stdin.close()
        child.stdout.read()
        child.wait(60)
    assert child.returncode != 0
    again = Counting()
    answers = run(again, tmp_path, made_bars())
    assert len(again.asked) == len(ORIGINS) - 3 * BATCH
    assert all(answer.kept.forecast is not None for answer in answers)
    assert not list(tmp_path.rglob(".*")), "nothing half-written is left"


# ---- nothing from the future ----


def spoiled(bars: Bars, origin: int, how: str) -> Bars:
    """The same past, another future."""
    times, values = bars.times.copy(), bars.values.copy()
    if how == "truncated":
        return Bars(symbol=bars.symbol, timeframe=bars.timeframe, times=times[:origin], values=values[:origin])
    if how == "poisoned":
        values[origin:] *= 7
    elif how == "shuffled":
        values[origin:] = np.random.default_rng(0).permutation(values[origin:])
    else:  # every second bar of the future never came
        keep = np.concatenate([np.arange(origin), np.arange(origin, len(times), 2)])
        times, values = times[keep], values[keep]
    return Bars(symbol=bars.symbol, timeframe=bars.timeframe, times=times, values=values)


@pytest.mark.parametrize("how", ["truncated", "poisoned", "shuffled", "thinned"])
@pytest.mark.parametrize("symbol", ["BTC/USD", "SPY"])
@settings(max_examples=12, deadline=None)
@given(origin=st.integers(45, 120), seed=st.integers(0, 5))
def test_another_future_changes_no_context_and_no_forecast(symbol: str, how: str, origin: int, seed: int) -> None:
    bars = stock_bars(seed) if symbol == "SPY" else made_bars(seed=seed)
    calendar = Calendar()
    context = context_at(bars, origin, WINDOW, calendar)
    other = context_at(spoiled(bars, origin, how), origin, WINDOW, calendar)
    assert context.times[-1] == bars.times[origin - 1]
    assert np.datetime64(context.asof.replace(tzinfo=None)) <= bars.times[origin]
    for name in ("times", "values", "future_times"):
        assert np.array_equal(getattr(context, name), getattr(other, name))
    for forecaster in (registry.build("baseline", {"samples": 32}), RandomWalk()):
        one, two = forecaster.forecast([context])[symbol], forecaster.forecast([other])[symbol]
        assert np.array_equal(one.quantiles, two.quantiles)


def stock_bars(seed: int = 1, count: int = 160) -> Bars:
    """Regular hours stamped at the half hour, over the change to summer time and Good Friday."""
    dates = np.arange("2024-03-06", "2024-04-10", dtype="datetime64[D]")
    days = [str(day) for day in dates if np.is_busday(day) and str(day) != "2024-03-29"]
    starts = [np.datetime64(f"{day}T{'14' if day < '2024-03-10' else '13'}:30", "us") for day in days]
    times = np.array([start + np.timedelta64(hour, "h") for start in starts for hour in range(7)])[:count]
    plain = made_bars("SPY", count=len(times), seed=seed)
    return Bars(symbol=plain.symbol, timeframe=plain.timeframe, times=times, values=plain.values)


def test_a_stock_is_forecast_at_the_places_where_its_bars_lie() -> None:
    """Over the change to summer time, a weekend and Good Friday, from the calendar and the bars before alone."""
    bars, calendar, window = stock_bars(), Calendar(), Window(context=20, horizon=8)
    for origin in range(20, len(bars) - 8):
        context = context_at(bars, origin, window, calendar)
        assert np.array_equal(context.future_times, bars.times[origin : origin + 8])


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("SPY__lean-rth__1h", "SPY"),
        ("SPY__yahoo-rth__1h", "SPY"),
        ("SPY__yahoo-rth__5m", "SPY"),
        ("SPY__lean__1d", "SPY"),
        ("KGC__yahoo__1d", "KGC"),
        ("BTCUSDT__binance-spot__1h", "BTC/USD"),
    ],
)
def test_recorded_bars_come_where_they_are_forecast(real_data: Callable[[str], Path], name: str, symbol: str) -> None:
    bars = bars_of_file(Symbol(symbol), real_data(f"bars/{name}.parquet"))
    window, calendar = Window(context=200, horizon=6), Calendar()
    contexts = [context_at(bars, origin, window, calendar) for origin in rolling_origins(bars, window, 120)]
    came = [actual_rows(bars, context) is not None for context in contexts]
    assert np.mean(came) > 0.97  # the series have a few outages


def test_daily_stamps_of_new_york_midnight_move_with_summer_time() -> None:
    days = np.array(["2024-03-06T05", "2024-03-07T05", "2024-03-08T05"], dtype="datetime64[us]")
    plain = made_bars("SPY", count=3)
    bars = Bars(symbol=Symbol("SPY"), timeframe=Timeframe.parse("1Day"), times=days, values=plain.values)
    context = context_at(bars, 3, Window(context=3, horizon=2), Calendar())
    assert [str(each)[:13] for each in context.future_times] == ["2024-03-11T04", "2024-03-12T04"]


def test_an_origin_without_a_whole_context_is_refused() -> None:
    bars = made_bars(count=50)
    with pytest.raises(IndexError):
        context_at(bars, 39, WINDOW, Calendar())
    assert rolling_origins(made_bars(count=42), WINDOW, 10) == []
    assert rolling_origins(made_bars(count=45), WINDOW, 10) == [40, 41, 42]
