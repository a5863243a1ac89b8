"""The market of a scenario: generated, as the exchange's own, with jumps and gaps on top."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np

from tests.chaos.scenario import Scenario
from trader.core.types import AssetClass, Symbol, Timeframe
from trader.exchange.market.assets import LISTED, instrument_of
from trader.exchange.market.files import Columns, to_micros
from trader.exchange.market.generator import Generator
from trader.exchange.market.market import Market
from trader.exchange.market.replay import Reel
from trader.exchange.market.series import Series, length_of, on_ticks
from trader.exchange.market.sessions import DAY_US, Sessions, playing_of

CONTEXT = 30  # bars before the start
_MONDAY = datetime(2024, 1, 8, tzinfo=UTC)
_DAY = timedelta(days=1)
_SIZES = (0.01, 0.03, 0.08)  # of a jump, as a share of the price
_STOCK_SPREAD = Decimal(2)


def market_of(scenario: Scenario) -> Market:
    """Endless. It starts somewhere in a week."""
    timeframe, sessions = Timeframe.parse(scenario.timeframe), Sessions()
    length_us = length_of(timeframe)
    start_us = to_micros(_MONDAY) + 7 * DAY_US + scenario.market_seed % 7 * DAY_US
    symbols = [Symbol(text) for text in scenario.symbols]
    reels = {symbol: _reel(symbol, timeframe, start_us, scenario, sessions) for symbol in symbols}
    assert start_us % length_us == 0
    return Market(
        reels,
        LISTED,
        timeframe=timeframe,
        start_us=start_us,
        end_us=None,
        fingerprint=f"chaos {scenario.seed}",
        sessions=sessions,
    )


def _reel(symbol: Symbol, timeframe: Timeframe, start_us: int, scenario: Scenario, sessions: Sessions) -> Reel:
    stock = symbol.asset_class is AssetClass.STOCK
    instrument, spread = instrument_of(symbol), _STOCK_SPREAD if stock else Decimal(scenario.spread_bps)
    generator = Generator(
        symbol,
        timeframe,
        seed=scenario.market_seed,
        origin_us=start_us - 10 * DAY_US,
        spread_bps=float(spread),
        sessions=sessions,
    )
    dice = random.Random(f"jumps {scenario.market_seed} {symbol}")
    level = 1.0

    def chunk() -> Columns:
        nonlocal level
        made, level = _jumped(generator.next_chunk(), level, dice, scenario.jumps_a_day * timeframe.duration / _DAY)
        return on_ticks(made, instrument)

    series = Series(symbol, timeframe, chunk(), playing=playing_of(symbol, length_of(timeframe), sessions), grow=chunk)
    return Reel(
        series,
        instrument,
        quotes=None,
        spread_bps=spread,
        source="generator",
        is_open=sessions.is_open if stock else None,
    )


def _jumped(columns: Columns, level: float, dice: random.Random, chance: float) -> tuple[Columns, float]:
    """Now and then the price steps, between two bars (a gap) or inside of one, and stays there."""
    before, after = np.empty(len(columns)), np.empty(len(columns))
    for place in range(len(columns)):
        before[place] = level
        if dice.random() < chance:
            level *= 1 + dice.choice(_SIZES) * dice.choice((1, -1))
            level = min(max(level, 0.25), 4.0)  # a context must stay of one scale
            if dice.random() < 0.5:
                before[place] = level  # it opens there
        after[place] = level
    high, low = np.maximum(before, after), np.minimum(before, after)
    return replace(
        columns,
        open=columns.open * before,
        high=columns.high * high,
        low=columns.low * low,
        close=columns.close * after,
    ), level
