"""Situations to put a strategy into: three symbols, made from a seed, as the daemon's own values.

A coin that can't be sold short, another one, and a stock that can. Quotes are 20 bps wide around 100; the forecasts are
64 paths of a random walk, with a drift or without, with their paths or with quantiles alone. The closed bars, where the
strategy looks at them, are a walk with the same drift that ends at 100.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from forecasters.types import Forecast, quantiles_of
from trader.core.decision import DecisionInputs, ExitPolicy, RiskLimits, RiskState, Sizing, SizingRule
from trader.core.fees import schedule_for
from trader.core.ids import cycle_id
from trader.core.market import Bars, to_datetime64
from trader.core.types import Account, AssetClass, Instrument, Portfolio, Position, Quote, Symbol, Timeframe

SYMBOLS = (Symbol("BTC/USD"), Symbol("ETH/USD"), Symbol("SPY"))
HELD = {SYMBOLS[0]: Decimal(1), SYMBOLS[2]: Decimal(-5)}
LEVELS = np.round(np.arange(1, 20) * 0.05, 2)
NOW = datetime(2025, 3, 12, 15, 0, 5, tzinfo=UTC)
HOUR = Timeframe(1, "Hour")
PRICE, DRIFTS, STEPS = 100.0, (-0.02, -0.004, 0.0, 0.004, 0.02), (1, 2, 4, 5)

Floats = NDArray[np.float64]
Value = TypeVar("Value")


def situations(count: int = 40, bars: int = 0) -> Iterator[DecisionInputs]:
    """So many different ones, always the same.

    bars  closed bars of each symbol
    """
    for seed in range(count):
        yield situation(
            seed * 10,
            DRIFTS[seed % len(DRIFTS)],
            held=seed % 3 == 2,
            paths=seed % 4 != 3,
            steps=STEPS[seed // 5 % len(STEPS)],
            bars=bars,
        )


def situation(
    seed: int, drift: float, *, held: bool = False, paths: bool = True, steps: int = 4, bars: int = 0
) -> DecisionInputs:
    """`drift` of the walks, a bar; `held`: a coin is held long, the stock short."""
    equity = Decimal(100_000)
    account = Account(
        id="11111111-2222-3333-4444-555555555555",
        status="ACTIVE",
        currency="USD",
        equity=equity,
        cash=equity,
        buying_power=equity,
        trading_blocked=False,
        shorting_enabled=True,
        at=NOW,
    )
    positions = {symbol: _position(symbol, qty) for symbol, qty in HELD.items()} if held else {}
    return DecisionInputs(
        cycle_id=cycle_id(NOW.replace(second=0), "trade"),
        now=NOW,
        timeframe=HOUR,
        strategy="under examination",
        params={},
        sizing=Sizing(rule=SizingRule.KELLY),
        limits=RiskLimits(),
        exits=ExitPolicy(),
        portfolio=Portfolio(account=account, positions=positions, at=NOW),
        quotes={symbol: _quote(symbol) for symbol in SYMBOLS},
        forecasts={s: sampled(s, seed + n, drift, steps, paths=paths) for n, s in enumerate(SYMBOLS)},
        instruments={symbol: _instrument(symbol) for symbol in SYMBOLS},
        levels={},
        open_symbols=frozenset(SYMBOLS),
        risk=RiskState(day_start_equity=equity, peak_equity=equity, last_stop_at={}),
        bars={s: _bars(s, seed + n, drift, bars) for n, s in enumerate(SYMBOLS)} if bars else {},
    )


def reordered(inputs: DecisionInputs) -> DecisionInputs:
    """The same, its maps filled in the reverse order."""
    return replace(
        inputs,
        quotes=_backwards(inputs.quotes),
        forecasts=_backwards(inputs.forecasts),
        instruments=_backwards(inputs.instruments),
        portfolio=replace(inputs.portfolio, positions=_backwards(inputs.portfolio.positions)),
        bars=_backwards(inputs.bars),
    )


def _backwards(values: Mapping[Symbol, Value]) -> dict[Symbol, Value]:
    return dict(reversed(list(values.items())))


def sampled(symbol: Symbol, seed: int, drift: float, steps: int = 4, *, paths: bool = True) -> Forecast:
    drawn = _walks(seed, drift, steps)
    asof = NOW.replace(second=0)
    return Forecast(
        symbol=str(symbol),
        asof=asof,
        times=to_datetime64(asof) + np.timedelta64(1, "h") * np.arange(steps),
        last_close=PRICE,
        levels=LEVELS,
        quantiles=quantiles_of(drawn, LEVELS),
        paths=drawn if paths else None,
        backend="made",
        model="made@1",
        dtype="float64",
        compile_mode="eager",
        latency_s=0.0,
    )


def _walks(seed: int, drift: float, steps: int, count: int = 64) -> Floats:
    """[S, H, C] bars around a random walk from PRICE."""
    random = np.random.default_rng(seed)
    close = PRICE * np.exp(np.cumsum(random.normal(drift, 0.01, (count, steps)), axis=1))
    opened = np.concatenate([np.full((count, 1), PRICE), close[:, :-1]], axis=1)
    shadow = np.exp(np.abs(random.normal(0, 0.004, (2, count, steps))))
    high, low = np.maximum(opened, close) * shadow[0], np.minimum(opened, close) / shadow[1]
    return np.stack([opened, high, low, close], axis=2)


def _bars(symbol: Symbol, seed: int, drift: float, count: int) -> Bars:
    [walk] = _walks(seed, drift, count, 1)  # [T, C]
    prices = walk * (PRICE / walk[-1, -1])
    starts = to_datetime64(NOW.replace(second=0)) - np.timedelta64(1, "h") * np.arange(count, 0, -1)
    volumes = np.ones((count, 1))
    return Bars(
        symbol=symbol, timeframe=HOUR, times=starts, values=np.hstack([prices, volumes, prices[:, -1:] * volumes])
    )


def _quote(symbol: Symbol) -> Quote:
    return Quote(
        symbol=symbol,
        bid=Decimal("99.9"),
        ask=Decimal("100.1"),
        bid_size=Decimal(1),
        ask_size=Decimal(1),
        at=NOW,
        source="made",
    )


def _position(symbol: Symbol, qty: Decimal) -> Position:
    return Position(symbol=symbol, qty=qty, qty_available=abs(qty), avg_entry_price=Decimal(100), mark=Decimal(100))


def _instrument(symbol: Symbol) -> Instrument:
    coin = symbol.asset_class is AssetClass.CRYPTO
    return Instrument(
        symbol=symbol,
        tick=Decimal("0.01"),
        lot=Decimal("0.000000001"),
        min_qty=Decimal("0.000000001"),
        min_notional=Decimal(10) if coin else Decimal(1),
        fees=schedule_for(symbol.asset_class),
        sub_dollar_tick=None if coin else Decimal("0.0001"),
        shortable=not coin,
    )
