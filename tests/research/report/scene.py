"""A run to report on, made by hand: two symbols, some hundred bars, a few trades of which each figure is known."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np

from trader.adapters.journal.trades import round_trips
from trader.core.market import Bars, to_datetime64
from trader.core.types import Execution, OrderSide, Symbol, Timeframe
from trader.research.backtest.figures import RunHistory, figures_of
from trader.research.backtest.worth import Worth
from trader.research.report.run import Fan, Run

BTC, SPY = Symbol("BTC/USD"), Symbol("SPY")
HOUR = Timeframe(1, "Hour")
START = datetime(2024, 1, 30, tzinfo=UTC)
D = Decimal


def bars_of(symbol: Symbol, seed: int, count: int = 400, before: int = 30) -> Bars:
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.004, count + before)))
    opened = np.concatenate([[100.0], close[:-1]])
    high, low = np.maximum(opened, close) * 1.002, np.minimum(opened, close) * 0.998
    times = to_datetime64(START) + np.timedelta64(1, "h") * np.arange(-before, count)
    volume = np.full(len(times), 5.0)
    values = np.column_stack([opened, high, low, close, volume, volume * close])
    return Bars(symbol=symbol, timeframe=HOUR, times=times, values=values)


def fill(number: int, symbol: Symbol, side: OrderSide, qty: str, price: str, hours: float, fee: str = "1") -> Execution:
    return Execution(
        id=f"e{number}", order_id=f"o{number}", symbol=symbol, side=side, qty=D(qty), price=D(price),
        at=START + timedelta(hours=hours), fee=D(fee),
    )  # fmt: skip


FILLS = (
    fill(1, BTC, OrderSide.BUY, "10", "100", 20.5),
    fill(2, BTC, OrderSide.SELL, "10", "103", 26.5),
    fill(3, SPY, OrderSide.SELL, "5", "101", 100.5),
    fill(4, SPY, OrderSide.BUY, "5", "104", 110.5),
    fill(5, BTC, OrderSide.BUY, "10", "99", 200.5),
    fill(6, BTC, OrderSide.SELL, "10", "98", 230.5),
)


def history(fills: tuple[Execution, ...] = FILLS, count: int = 400) -> RunHistory:
    rng = np.random.default_rng(9)
    wealth = 10_000 * np.exp(np.cumsum(rng.normal(0, 0.0008, count + 1)))
    held = np.array([20 < hour < 27 for hour in range(count + 1)])
    worth = Worth.of(np.round(wealth, 2), np.round(np.where(held, 0.9, 1.0) * wealth, 2))
    return RunHistory(
        symbols=(BTC, SPY),
        start=START,
        end=START + timedelta(hours=count),
        interval=timedelta(hours=1),
        worth=worth,
        fills=fills,
        orders=len(fills),
        bars={BTC: bars_of(BTC, 1, count), SPY: bars_of(SPY, 2, count)},
    )


def fan_at(hours: float, last: float = 100.0, steps: int = 4) -> Fan:
    levels = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
    spread = np.array([-2.0, -0.7, 0.0, 0.7, 2.0])[:, None] * np.sqrt(1 + np.arange(steps))
    asof = to_datetime64(START + timedelta(hours=hours))
    times = asof + np.timedelta64(1, "h") * np.arange(steps)
    return Fan(asof=asof, times=times, levels=levels, closes=last + spread)


def run(**changes: object) -> Run:
    events = history()
    made = Run(
        title="maxdiff on BTC/USD, SPY",
        history=events,
        figures=figures_of(events),
        trades=round_trips(events.fills),
        facts=[("Span", "2024-01-30 to 2024-02-15"), ("Bars", "1Hour"), ("Forecaster", "baseline")],
        fans={BTC: [fan_at(5), fan_at(20), fan_at(200)], SPY: [fan_at(100)]},
        notes=["A note."],
    )
    return replace(made, **changes)  # type: ignore[arg-type]
