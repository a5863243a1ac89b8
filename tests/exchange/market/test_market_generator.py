from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from numpy.typing import NDArray

from trader.core.types import Symbol, Timeframe
from trader.exchange.market.market import BarRow, Market, MarketError, MarketOptions, open_market

from .support import AAPL, BTC, DAY, ETH, FIVE, HOUR, SPY, at, played, real_data

# Measured on hourly bars recorded at real venues, over pairs of neighbouring bars:
#                              kurtosis  acf of |r|, lag 1  mean of lags 1-24  E log(high/low) / E|r|
#   BTC/USDT Binance 2020-2025    17.9        0.28              0.185               2.17
#   ETH/USDT Binance 2020-2025    17.5        0.29              0.213               2.13
#   BNB/USDT Binance 2023-2025    20.7        0.29              0.170               2.06
#   SPY 2007-2017 (QuantConnect)  35.2        0.39              0.327               2.05
#   SPY 2023-2025 (Yahoo)          7.5        0.23              0.098               1.97
KURTOSIS = (7.5, 35.2)
FIRST_LAG = (0.23, 0.39)
MEAN_OF_DAY = (0.098, 0.327)
RANGE_TO_RETURN = (1.97, 2.17)


def figures(rows: list[BarRow]) -> tuple[float, float, float, float]:
    """(kurtosis, |r| at lag 1, mean of |r| at lags 1-24, range against return) over neighbouring hourly bars."""
    starts = np.array([row.start.timestamp() for row in rows])
    beside = np.diff(starts) == 3600
    returns = np.diff(np.log([row.close for row in rows]))[beside]
    ranges = np.log([row.high / row.low for row in rows])[1:][beside]
    size = np.abs(returns)
    off = size - size.mean()
    lags = [float((off[lag:] * off[:-lag]).mean() / off.var()) for lag in range(1, 25)]
    centred = returns - returns.mean()
    kurtosis = float((centred**4).mean() / centred.var() ** 2)
    return kurtosis, lags[0], float(np.mean(lags)), float(ranges.mean() / size.mean())


def hours_of(market: Market, symbol: Symbol, days: int) -> list[BarRow]:
    return market.bars(symbol, HOUR, start=None, end=market.start + timedelta(days=days), limit=10**6)


def within(value: float, bounds: tuple[float, float]) -> bool:
    return bounds[0] <= value <= bounds[1]


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("symbol", [BTC, ETH])
def test_generated_hours_behave_like_recorded_ones(symbol: Symbol, seed: int) -> None:
    rows = hours_of(open_market(MarketOptions(seed=seed)), symbol, 1500)
    kurtosis, first, day, ratio = figures(rows)
    assert len(rows) > 36_000  # as many as were measured
    assert within(kurtosis, KURTOSIS)
    assert within(first, FIRST_LAG)
    assert within(day, MEAN_OF_DAY)
    assert within(ratio, RANGE_TO_RETURN)


@pytest.mark.parametrize(
    "name",
    [
        "BTCUSDT__binance-spot__1h",
        "ETHUSDT__binance-spot__1h",
        "BNBUSDT__binance-spot__1h",
        "SPY__lean-rth__1h",
        "SPY__yahoo-rth__1h",
    ],
)
def test_the_ranges_are_those_of_the_recorded_series(name: str) -> None:
    symbol = SPY if name.startswith("SPY") else BTC
    market = open_market(MarketOptions(data={symbol: real_data(f"bars/{name}.parquet")}))
    rows = market.bars(symbol, HOUR, start=None, end=at("2026-01-01"), limit=10**6)
    kurtosis, first, day, ratio = figures(rows)
    assert KURTOSIS[0] * 0.99 <= kurtosis <= KURTOSIS[1] * 1.01
    assert FIRST_LAG[0] - 0.005 <= first <= FIRST_LAG[1] + 0.005
    assert MEAN_OF_DAY[0] - 0.005 <= day <= MEAN_OF_DAY[1] + 0.005
    assert RANGE_TO_RETURN[0] - 0.01 <= ratio <= RANGE_TO_RETURN[1] + 0.01


def test_the_same_seed_makes_the_same_market_and_another_seed_another() -> None:
    one, same, other = (open_market(MarketOptions(seed=seed)) for seed in (5, 5, 6))
    assert played(one, 100) == played(same, 100) != played(other, 100)
    assert one.fingerprint == same.fingerprint != other.fingerprint


def test_a_market_that_is_opened_late_goes_on_as_if_it_had_run() -> None:
    ran = open_market(MarketOptions())
    until = ran.start + timedelta(days=400)  # more than two chunks
    for day in range(0, 400, 7):
        ran.next_time(ran.start + timedelta(days=day))
    late = open_market(MarketOptions())
    assert late.tapes(until, lambda _: True) == ran.tapes(until, lambda _: True) != ()
    for symbol in (BTC, ETH):
        assert late.bars(symbol, HOUR, start=None, end=until, limit=10**6) == ran.bars(
            symbol, HOUR, start=None, end=until, limit=10**6
        )


def test_a_symbol_is_the_same_whatever_else_is_listed() -> None:
    alone = open_market(MarketOptions(symbols=(BTC,)))
    together = open_market(MarketOptions(symbols=(ETH, BTC, Symbol("SOL/USD"))))
    assert alone.start == together.start
    assert hours_of(alone, BTC, 10) == hours_of(together, BTC, 10)


def returns_of(market: Market, symbol: Symbol) -> NDArray[np.float64]:
    return np.diff(np.log([row.close for row in hours_of(market, symbol, 365)]))


def test_pairs_move_together_but_not_as_one() -> None:
    market = open_market(MarketOptions())
    assert 0.5 < np.corrcoef(returns_of(market, BTC), returns_of(market, ETH))[0, 1] < 0.9  # recorded: about 0.8


def test_volatility_and_volume_keep_the_rhythm_of_day_and_week() -> None:
    rows = hours_of(open_market(MarketOptions()), BTC, 700)
    size = np.array([np.log(row.high / row.low) for row in rows])
    volume = np.array([row.volume for row in rows])
    hour = np.array([row.start.hour for row in rows])
    weekend = np.array([row.start.weekday() >= 5 for row in rows])
    for figure in (size, volume):
        assert figure[(hour >= 13) & (hour < 17)].mean() > 1.2 * figure[(hour >= 3) & (hour < 7)].mean()
        assert figure[~weekend].mean() > 1.15 * figure[weekend].mean()


def test_the_spread_widens_with_volatility_and_is_marked_as_made_up() -> None:
    market = open_market(MarketOptions(spread_bps=Decimal(20)))
    opens = [tape for tape in played(market, 4 * 4000) if tape.symbol == BTC][::4]
    rows = {row.start: row for row in hours_of(market, BTC, 200)}
    quotes = [tape.quote for tape in opens if tape.bar_start in rows and tape.quote is not None]
    assert {(quote.synthetic, quote.source) for quote in quotes} == {(True, "generator")}
    spread = np.array([float(quote.spread_bps) for quote in quotes])
    sizes = [np.log(rows[tape.bar_start].high / rows[tape.bar_start].low) for tape in opens if tape.bar_start in rows]
    assert np.corrcoef(spread, sizes)[0, 1] > 0.3
    assert 15 < np.median(spread) < 25
    assert spread.max() > 2 * np.median(spread)


def test_generated_stocks_trade_in_their_sessions_only() -> None:
    market = open_market(MarketOptions(symbols=(SPY, AAPL), timeframe=HOUR, context=100))
    tapes = played(market, 3000)
    assert {tape.symbol for tape in tapes} == {SPY, AAPL}
    assert all(market.is_open(tape.symbol, tape.at) for tape in tapes)
    assert len(market.bars(SPY, HOUR, start=None, end=market.start, limit=10**6)) >= 100
    kurtosis, first, day, ratio = figures(hours_of(market, SPY, 1500))
    assert within(kurtosis, (5, 60))
    assert within(first, (0.1, 0.45))
    assert within(day, (0.05, 0.35))
    assert within(ratio, (1.9, 2.3))


@pytest.mark.parametrize("text", ["1Min", "5Min", "15Min", "4Hour", "1Day"])
def test_any_length_that_divides_a_day_can_be_generated(text: str) -> None:
    timeframe = Timeframe.parse(text)
    market = open_market(MarketOptions(timeframe=timeframe, symbols=(BTC, SPY), context=50))
    for symbol in (BTC, SPY):
        rows = market.bars(symbol, timeframe, start=None, end=market.start, limit=50, newest=True)
        assert len(rows) == 50
        assert all(0 < row.low <= min(row.open, row.close) <= max(row.open, row.close) <= row.high for row in rows)
    assert played(market, 8)


def test_a_length_that_does_not_divide_a_day_is_refused() -> None:
    with pytest.raises(MarketError, match="generated bars of 7Min do not divide a day"):
        open_market(MarketOptions(timeframe=Timeframe.parse("7Min")))


@pytest.mark.parametrize("symbols", [(BTC, ETH), (SPY,)])
def test_a_market_of_so_many_bars_ends_after_them(symbols: tuple[Symbol, ...]) -> None:
    market = open_market(MarketOptions(symbols=symbols, bars=30, context=40))
    first = [tape for tape in played(market, 10**6) if tape.symbol == symbols[0]]
    starts = {tape.bar_start for tape in first if tape.at < (market.end or market.start)}
    assert len(starts) == 30
    assert market.end == max(starts) + timedelta(hours=1)


def test_a_stock_market_may_start_on_a_holiday() -> None:
    labour_day = at("2024-09-02 15:00")
    market = open_market(
        MarketOptions(symbols=(SPY,), timeframe=Timeframe.parse("1Min"), start=labour_day, context=30, bars=10)
    )
    assert market.end == at("2024-09-03 13:40")
    assert market.next_time(labour_day) == at("2024-09-03 13:30")
    assert len(market.bars(SPY, market.timeframe, start=None, end=labour_day, limit=1000)) >= 30


def test_the_start_may_be_chosen() -> None:
    start: datetime = at("2021-06-01 12:00")
    market = open_market(MarketOptions(start=start, context=700, timeframe=FIVE))
    assert market.start == start
    assert len(market.bars(BTC, FIVE, start=None, end=start, limit=10**6)) >= 700
    daily = open_market(MarketOptions(start=start, context=300, timeframe=DAY, symbols=(AAPL,)))
    assert len(daily.bars(AAPL, DAY, start=None, end=start, limit=10**6)) >= 300


def test_options_that_make_no_market_are_refused() -> None:
    for wrong in (replace(MarketOptions(), bars=0), replace(MarketOptions(), context=0)):
        with pytest.raises(MarketError, match="at least 1"):
            open_market(wrong)
