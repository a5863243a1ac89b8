"""What voltarget, trend and topk hold of what, by the forecasts and bars that they are shown."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from math import sqrt

import numpy as np
import pytest

from tests.core.make import BTC, ETH, HOUR, NOW, SPY, bars, forecast, inputs, portfolio, position
from trader.contracts.situations import sampled
from trader.core.decision import MarketView, Signal
from trader.core.market import Bars, to_datetime64
from trader.core.plan import plan, view_of
from trader.core.types import Symbol, Timeframe
from trader.strategies import find, topk, trend, voltarget
from trader.strategies._volatility import bars_a_year, spread_of, yearly

D = Decimal


def view(*symbols: Symbol, history: Mapping[Symbol, Bars] | None = None, drift: float = 0.0) -> MarketView:
    forecasts = {symbol: sampled(symbol, number, drift) for number, symbol in enumerate(symbols)}
    return view_of(inputs(symbols, forecasts=forecasts, bars=history or {}))


def walk(symbol: Symbol, steps: np.ndarray) -> Bars:
    """Closes by log returns, the last one at 100."""
    closes = np.exp(np.cumsum(np.concatenate([[0.0], steps])))
    closes *= 100 / closes[-1]
    starts = to_datetime64(NOW.replace(second=0)) - np.timedelta64(1, "h") * np.arange(len(closes), 0, -1)
    table = np.column_stack([closes] * 4 + [np.ones(len(closes)), closes])
    return Bars(symbol=symbol, timeframe=HOUR, times=starts, values=table)


def by_symbol(signals: tuple[Signal, ...]) -> dict[Symbol, Signal]:
    return {signal.symbol: signal for signal in signals}


# ---- volatility ----


def test_the_spread_is_the_deviation_of_what_the_forecast_was_drawn_from() -> None:
    spreads = [spread_of(sampled(BTC, seed, 0.0)) for seed in range(40)]
    assert abs(sum(spreads) / 40 / 0.01 - 1) < 0.05
    assert abs(spread_of(sampled(BTC, 1, 0.0), 3) / 0.02 - 1) < 0.3  # four bars: twice as much


def test_a_year_of_a_coin_has_all_its_hours_and_a_year_of_a_stock_its_sessions() -> None:
    day, hour = Timeframe(1, "Day"), Timeframe(1, "Hour")
    assert (bars_a_year(BTC, day), bars_a_year(SPY, day)) == (365.25, 252)
    assert (bars_a_year(BTC, hour), bars_a_year(SPY, hour)) == (8766, 252 * 6.5)


def test_a_forecast_without_outer_quantiles_or_spread_is_refused() -> None:
    flat = forecast(spread=0.0, low=100, high=100)
    with pytest.raises(ValueError, match="no spread"):
        spread_of(flat)
    narrow = forecast(levels=np.array([0.4, 0.5, 0.6]), quantiles=np.full((3, 1, 4), 100.0))
    with pytest.raises(ValueError, match="no quantiles from 5% to 95%"):
        spread_of(narrow)


# ---- voltarget ----


def test_it_holds_what_has_the_wanted_volatility_and_never_more_than_its_share() -> None:
    seen = view(BTC)
    [signal] = voltarget.decide(seen, voltarget.Params(coins=0.4))
    volatility = yearly(seen.forecasts[BTC], BTC, HOUR)
    assert signal.weight is not None
    assert abs(float(signal.weight) - 0.4 / volatility) < 1e-3
    assert [s.weight for s in voltarget.decide(seen, voltarget.Params(coins=2.0))] == [D(1)]
    assert [s.weight for s in voltarget.decide(seen, voltarget.Params(coins=2.0, most=0.3))] == [D("0.3")]


def test_several_symbols_share_the_equity() -> None:
    weights = [s.weight for s in voltarget.decide(view(BTC, ETH), voltarget.Params(coins=2.0))]
    assert weights == [D("0.5"), D("0.5")]


def test_its_stop_is_far_away_and_within_what_the_risk_layer_takes() -> None:
    for deviations in (6.0, 20.0):
        made = plan(inputs(), voltarget.decide(view(BTC), voltarget.Params(stop_deviations=deviations)))
        assert made.intents
        [level] = made.levels
        assert level.stop is not None
        assert D(75) < level.stop < D(96)


def test_without_a_forecast_what_is_held_stays() -> None:
    seen = view_of(inputs(forecasts={}, portfolio=portfolio([position()])))
    assert voltarget.decide(seen, voltarget.Params()) == ()


# ---- trend ----


def test_it_holds_while_the_averages_say_up_and_leaves_where_they_say_down() -> None:
    params = trend.Params(short=3, long=20)
    up, down = (walk(BTC, np.full(30, step)) for step in (0.01, -0.01))
    [held] = trend.decide(view(BTC, history={BTC: up}), params)
    assert held.weight is not None
    assert held.weight > 0
    [left] = trend.decide(view(BTC, history={BTC: down}), params)
    assert left.is_leaving
    assert "down" in left.reason


def test_with_too_few_bars_what_is_held_stays_as_it_is() -> None:
    [signal] = trend.decide(view(BTC, history={BTC: bars(10)}), trend.Params(short=3, long=20))
    assert not signal.is_target
    assert "fewer than 20 bars" in signal.reason


def test_the_daemon_is_told_how_many_bars() -> None:
    assert find("trend").bars(trend.Params(long=77)) == 77
    assert find("topk").bars(topk.Params(lookback=50)) == 50
    assert find("voltarget").bars(voltarget.Params()) == 0


# ---- topk ----


def three(*slopes: float, noise: float = 0.01, together: float = 0.0) -> dict[Symbol, Bars]:
    """Three histories with these slopes; `together`: how much of their noise is one."""
    random = np.random.default_rng(7)
    common = random.normal(0, noise, 100)
    return {
        symbol: walk(symbol, slope + sqrt(together) * common + sqrt(1 - together) * random.normal(0, noise, 100))
        for symbol, slope in zip((BTC, ETH, SPY), slopes, strict=True)
    }


def test_the_best_are_held_and_the_others_left() -> None:
    history = three(0.02, -0.02, 0.01)
    signals = by_symbol(topk.decide(view(BTC, ETH, SPY, history=history), topk.Params(count=1, lookback=100)))
    assert signals[BTC].weight
    assert signals[ETH].is_leaving
    assert signals[SPY].is_leaving
    assert "not among the best 1" in signals[SPY].reason


def test_nothing_is_held_where_all_fall() -> None:
    signals = topk.decide(view(BTC, ETH, SPY, history=three(-0.02, -0.02, -0.02)), topk.Params(lookback=100))
    assert all(signal.is_leaving for signal in signals)


def test_what_moves_together_is_held_less_of() -> None:
    params = topk.Params(count=3, lookback=100, most=1.0, volatility=0.05)
    apart = topk.decide(view(BTC, ETH, SPY, history=three(0.02, 0.02, 0.02)), params)
    one = topk.decide(view(BTC, ETH, SPY, history=three(0.02, 0.02, 0.02, together=0.98)), params)
    ratio = float(sum(s.weight or 0 for s in one) / sum(s.weight or 0 for s in apart))
    assert abs(ratio - 1 / sqrt(3)) < 0.1  # three at once weigh like one


def test_by_the_forecast_the_rank_is_its_median_over_its_spread() -> None:
    history = three(0.0, 0.0, 0.0)
    forecasts = {BTC: sampled(BTC, 1, 0.02), ETH: sampled(ETH, 2, -0.02), SPY: sampled(SPY, 3, 0.004)}
    seen = view_of(inputs((BTC, ETH, SPY), forecasts=forecasts, bars=history))
    signals = by_symbol(topk.decide(seen, topk.Params(count=2, rank=topk.Rank.FORECAST, lookback=100)))
    assert signals[BTC].weight
    assert signals[SPY].weight
    assert signals[ETH].is_leaving


def test_a_symbol_whose_closes_stand_still_is_not_judged() -> None:
    history = {BTC: walk(BTC, np.zeros(99))}
    [signal] = topk.decide(view(BTC, history=history), topk.Params(lookback=100))
    assert not signal.is_target
    assert "stand still" in signal.reason
