"""The yardstick: proper bars from any series, nothing from too little, and honest intervals on real ones."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasters.backends.baseline import Options, build
from forecasters.types import CLOSE, HIGH, LOW, OPEN, Context, Forecast
from tests.counting import calls_in
from tests.forecasters.support import bars, context, hours

DATA = Path(os.environ.get("TRADER_DATA", Path(__file__).parents[3].parent / "shared" / "data")) / "bars"
ASKED = 360


def forecast_of(values: np.ndarray, *, horizon: int = 2, options: Options | None = None) -> Forecast | None:
    times = hours(len(values) + horizon)
    asked = Context(symbol="X", times=times[: len(values)], values=values, future_times=times[len(values) :])
    return build(options or Options()).forecast([asked]).get("X")


def flat_bars(count: int, price: float = 100.0) -> np.ndarray:
    return np.column_stack([np.full((count, 4), price), np.zeros((count, 2))])


def test_thirty_bars_are_enough_and_twenty_nine_are_not() -> None:
    assert forecast_of(bars(30)) is not None
    assert forecast_of(bars(29)) is None


def test_a_series_that_never_moves_is_forecast_not_to_move() -> None:
    forecast = forecast_of(flat_bars(60))
    assert forecast is not None
    assert (forecast.quantiles == 100.0).all()


def test_a_move_after_a_flat_stretch_does_not_explode() -> None:
    values = flat_bars(100)
    values[-1, [HIGH, CLOSE]] = 101.0
    forecast = forecast_of(values)
    assert forecast is not None
    assert (forecast.quantiles[:, 0] > 90).all()
    assert (forecast.quantiles[:, 0] < 112).all()


def test_volume_is_not_needed() -> None:
    values = bars(100)
    without = values.copy()
    without[:, 4:] = 0
    one, other = forecast_of(values), forecast_of(without)
    assert one is not None
    assert other is not None
    assert np.array_equal(one.quantiles, other.quantiles)


@pytest.mark.parametrize("scale", [1e-8, 1e-3, 1e9])
def test_the_forecast_scales_with_the_price(scale: float) -> None:
    values = bars(100)
    scaled = values.copy()
    scaled[:, :4] *= scale
    one, other = forecast_of(values), forecast_of(scaled)
    assert one is not None
    assert other is not None
    assert np.allclose(one.quantiles * scale, other.quantiles, rtol=1e-4)


def test_a_series_too_wild_for_any_sane_quantile_has_no_forecast() -> None:
    wild = bars(100, volatility=0.9)
    assert forecast_of(wild, horizon=6) is None


def test_seeds_differ_and_levels_and_samples_are_the_options() -> None:
    values = bars(100)
    first = forecast_of(values, options=Options(samples=64, levels=(0.2, 0.5, 0.8)))
    other = forecast_of(values, options=Options(samples=64, levels=(0.2, 0.5, 0.8), seed=1))
    assert first is not None
    assert first.paths is not None
    assert other is not None
    assert first.paths.shape == (64, 2, 4)
    assert first.levels.tolist() == [0.2, 0.5, 0.8]
    assert not np.array_equal(first.quantiles, other.quantiles)


def test_the_drift_is_zero_after_a_long_rise() -> None:
    values = bars(360, volatility=0.003)
    rise = np.exp(np.linspace(-0.7, 0, 360))[:, None]
    values[:, :4] *= rise
    forecast = forecast_of(values, options=Options(samples=4000))
    assert forecast is not None
    assert forecast.paths is not None
    moves = np.log(forecast.paths[:, 0, CLOSE] / forecast.last_close)
    assert abs(moves.mean()) < 0.1 * moves.std()


def test_the_interval_widens_with_the_volatility_and_with_the_horizon() -> None:
    calm, stormy = bars(200, volatility=0.002), bars(200, volatility=0.002)
    stormy[-30:] = bars(30, volatility=0.008, last_close=100.0)
    stormy[:-30, :4] *= stormy[-30, OPEN] / stormy[-31, CLOSE]

    def width(values: np.ndarray, step: int) -> float:
        forecast = forecast_of(values, horizon=8)
        assert forecast is not None
        return forecast.quantile(0.9, step, CLOSE) - forecast.quantile(0.1, step, CLOSE)

    assert width(stormy, 0) > 1.5 * width(calm, 0)
    assert width(calm, 7) > 1.5 * width(calm, 0)


def test_a_gap_follows_a_pause_and_only_a_pause() -> None:
    """Bars of seven hours a day with large opening gaps: the next hour has none, the next morning has one."""
    days, hours_a_day = 60, 7
    random = np.random.default_rng(5)
    values = bars(days * hours_a_day, volatility=0.001)
    gaps = np.repeat(np.cumsum(random.normal(0, 0.02, days)), hours_a_day)[:, None]
    values[:, :4] *= np.exp(gaps - gaps[-1])
    times = np.concatenate([hours(hours_a_day) + np.timedelta64(day, "D") for day in range(days)])

    def spread_of_open(future: np.ndarray, upto: int) -> float:
        asked = Context(symbol="SPY", times=times[:upto], values=values[:upto], future_times=future)
        forecast = build(Options()).forecast([asked])["SPY"]
        return (forecast.quantile(0.9, 0, OPEN) - forecast.quantile(0.1, 0, OPEN)) / forecast.last_close

    overnight = spread_of_open(times[-1:] + np.timedelta64(18 * 3600, "s"), len(times))
    within = spread_of_open(times[-3:-2], len(times) - 3)
    assert overnight > 10 * within
    assert 0.02 < overnight < 0.09  # 80% of a 2% gap is 5.1% wide


def test_a_series_with_pauses_beside_it_changes_nothing_and_neither_does_a_large_batch() -> None:
    days = np.concatenate([hours(8) + np.timedelta64(day, "D") for day in range(25)])
    paused = Context(symbol="SPY", times=days, values=bars(200), future_times=days[-1:] + np.timedelta64(1, "D"))
    steady = [context(f"S{index}", count=200, seed=index) for index in range(300)]
    backend = build(Options(samples=64))
    together = backend.forecast([*steady, paused])
    for each in (steady[0], steady[255], steady[256], steady[-1], paused):
        alone = backend.forecast([each])[each.symbol]
        assert np.array_equal(alone.quantiles, together[each.symbol].quantiles)


@settings(max_examples=25, deadline=None)
@given(st.integers(30, 120), st.integers(1, 5), st.integers(0, 2**31), st.floats(1e-6, 0.03), st.floats(1e-8, 1e9))
def test_any_series_gives_proper_bars(count: int, horizon: int, seed: int, volatility: float, price: float) -> None:
    values = bars(count, seed=seed, volatility=volatility, last_close=price)
    forecast = forecast_of(values, horizon=horizon, options=Options(samples=50))
    if forecast is not None:  # it checked itself; the paths too must be exact bars
        assert forecast.paths is not None
        assert (forecast.paths[..., HIGH] >= forecast.paths[..., [OPEN, CLOSE]].max(axis=-1)).all()
        assert (forecast.paths[..., LOW] <= forecast.paths[..., [OPEN, CLOSE]].min(axis=-1)).all()


def test_a_series_costs_as_little_among_two_hundred_as_among_twenty() -> None:
    """Whatever loops over bars, samples or steps in Python would show: a series has 360 of the first, 200 of those."""
    contexts = [context(f"S{index}", count=ASKED, seed=index) for index in range(200)]
    backend = build(Options(samples=200))

    def calls(count: int) -> int:
        return calls_in(lambda: backend.forecast(contexts[:count]))

    calls(1)  # what is made once
    assert calls(200) <= 11 * calls(20)
    assert calls(200) <= 200 * 350  # about 210 a series


@pytest.mark.parametrize(
    ("stem", "every"), [("BTCUSDT__binance-spot__1h", 47), ("ETHUSDT__binance-spot__1h", 47), ("SPY__lean-rth__1h", 23)]
)
def test_intervals_are_honest_on_real_hours_and_beat_a_constant_volatility(stem: str, every: int) -> None:
    contexts, actual = _origins(stem, every)
    found = build(Options()).forecast(contexts)
    assert len(found) == len(contexts)
    forecasts = [found[each.symbol] for each in contexts]
    for channel in (HIGH, LOW, CLOSE):
        low = np.array([forecast.quantile(0.1, 0, channel) for forecast in forecasts])
        high = np.array([forecast.quantile(0.9, 0, channel) for forecast in forecasts])
        covered = ((low <= actual[:, channel]) & (actual[:, channel] <= high)).mean()
        assert 0.75 <= covered <= 0.85, f"channel {channel} of {len(actual)} origins"
    random = np.random.default_rng(11)
    ours, plain = [], []
    for each, forecast, closed in zip(contexts, forecasts, actual[:, CLOSE], strict=True):
        deviation = np.diff(np.log(each.values[:, CLOSE])).std()
        walk = each.last_close * np.exp(deviation * random.standard_normal(256))
        assert forecast.paths is not None
        ours.append(_crps(forecast.paths[:, 0, CLOSE], closed) / each.last_close)
        plain.append(_crps(walk, closed) / each.last_close)
    assert np.mean(ours) <= np.mean(plain)


def _origins(stem: str, every: int) -> tuple[list[Context], np.ndarray]:
    """Contexts of ASKED bars at rolling origins, and the bar [N, C] that came after each."""
    file = DATA / f"{stem}.parquet"
    if not file.exists():
        pytest.skip(f"no recorded bars at {file} (set TRADER_DATA)")
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(file)
    times = table["timestamp"].to_numpy().astype("datetime64[us]")
    values = np.column_stack([table[name].to_numpy() for name in ("open", "high", "low", "close", "volume")])
    values = np.column_stack([values, values[:, CLOSE] * values[:, 4]])
    ends = range(ASKED, len(times) - 1, every)
    contexts = [
        Context(
            symbol=f"{stem}-{end}",
            times=times[end - ASKED : end],
            values=values[end - ASKED : end],
            future_times=times[end : end + 1],
        )
        for end in ends
    ]
    return contexts, values[np.array(ends), :4]


def _crps(samples: np.ndarray, actual: float) -> float:
    """Continuous ranked probability score of an empirical distribution; smaller is better."""
    ordered, count = np.sort(samples), len(samples)
    spread = ((2 * np.arange(1, count + 1) - count - 1) * ordered).sum() / count**2
    return float(np.abs(ordered - actual).mean() - spread)
