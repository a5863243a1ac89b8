"""How a run went, in figures: net of fees and spreads, against holding the same symbols and against doing nothing.

Returns are those from bar to bar of the account's worth at the bars' closes, transfers left out. Ratios are plain
(0.01 is one percent); None is unknown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from trader.adapters.journal.records import Trade
from trader.adapters.journal.trades import round_trips
from trader.core.market import CLOSE, Bars, to_datetime64
from trader.core.performance import SymbolResult, symbol_result
from trader.core.types import Execution, Symbol
from trader.research import intervals
from trader.research.backtest.worth import Floats, Worth, holdings
from trader.research.intervals import Interval, usual_block

YEAR = timedelta(days=365.25)
RESAMPLES = 1000
FEWEST_RETURNS = 30
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """What one curve of wealth comes to."""

    total_return: float
    max_drawdown: float
    sharpe: float | None  # annualised, zero risk-free rate
    sharpe_interval: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolFigures:
    """One symbol's part. Money in the quote currency, after fees."""

    symbol: str
    buys: int
    sells: int
    turnover: Decimal
    fees: Decimal
    profit: Decimal | None
    trades: int
    won: int
    in_market: float | None  # share of the time in which something was held
    buy_and_hold: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One run.

    turnover       traded value, over the first equity
    exposure       mean of what was held over equity, signed
    buy_and_hold   equal parts of every symbol from the first bar to the last, without costs
    """

    first_equity: Decimal
    last_equity: Decimal
    account: Curve
    buy_and_hold: Curve | None
    orders: int
    fills: int
    trades: int
    won: int
    fees: Decimal
    turnover: float
    exposure: float
    symbols: tuple[SymbolFigures, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunHistory:
    """What a run left: of a backtest, or of a daemon's journal.

    worth    at each time of `grid_of`
    fills    oldest first
    bars     of the time of the run, where they are known
    """

    symbols: tuple[Symbol, ...]
    start: datetime
    end: datetime
    interval: timedelta
    worth: Worth
    fills: Sequence[Execution]
    orders: int
    bars: Mapping[Symbol, Bars]


def figures_of(run: RunHistory) -> Figures:
    """ValueError where nothing was ever worth anything."""
    times, worth = grid_of(run.start, run.end, run.interval), run.worth
    if not len(worth.equity) or worth.equity[0] <= 0:
        raise ValueError("no equity was ever reported: there is nothing to judge")
    trades = round_trips(run.fills)
    per_symbol = tuple(_symbol_figures(run, symbol, times, trades) for symbol in run.symbols)
    held_wealth = hold_curve(run, times)
    first = _money(worth.equity[0])
    turnover = sum((e.qty * e.price for e in run.fills), Decimal(0))
    return Figures(
        first_equity=first,
        last_equity=_money(worth.equity[-1]),
        account=curve_of(worth.growth, run.interval),
        buy_and_hold=None if held_wealth is None else curve_of(held_wealth, run.interval),
        orders=run.orders,
        fills=len(run.fills),
        trades=len(trades),
        won=sum(trade.pnl > 0 for trade in trades),
        fees=sum((figures.fees for figures in per_symbol), Decimal(0)),
        turnover=float(turnover / first),
        exposure=float(((worth.equity - worth.cash) / worth.equity).mean()),
        symbols=per_symbol,
    )


# ---- curves ----


def grid_of(start: datetime, end: datetime, interval: timedelta) -> NDArray[np.datetime64]:
    """[N] the bar closes of a run, its start first."""
    step = np.timedelta64(interval // timedelta(microseconds=1), "us")
    return np.arange(to_datetime64(start), to_datetime64(end) + step, step)


def hold_curve(run: RunHistory, times: NDArray[np.datetime64]) -> Floats | None:
    """[N] wealth of one unit in equal parts of all symbols with bars; None where none has any."""
    step = np.timedelta64(run.interval // timedelta(microseconds=1), "us")
    curves = []
    for bars in run.bars.values():
        place = np.searchsorted(bars.times + step, times, side="right") - 1
        if len(bars) and (place >= 0).any():
            closes = bars.values[np.maximum(place, 0), CLOSE]
            curves.append(closes / closes[0])
    return np.mean(curves, axis=0) if curves else None


def curve_of(wealth: Floats, interval: timedelta) -> Curve:
    """wealth [N] at even distances of `interval`."""
    peak = np.maximum.accumulate(wealth)
    returns = wealth[1:] / wealth[:-1] - 1
    return Curve(
        total_return=float(wealth[-1] / wealth[0] - 1),
        max_drawdown=float((1 - wealth / peak).max()),
        sharpe=sharpe_of(returns, interval),
        sharpe_interval=sharpe_interval(returns, interval),
    )


def sharpe_of(returns: Floats, interval: timedelta) -> float | None:
    """None for fewer than 30 returns, or where nothing ever changed."""
    if len(returns) < FEWEST_RETURNS:
        return None
    deviation = float(returns.std(ddof=1))
    return float(returns.mean()) / deviation * math.sqrt(YEAR / interval) if deviation > 0 else None


def sharpe_interval(returns: Floats, interval: timedelta, resamples: int = RESAMPLES) -> Interval | None:
    """Blocks of a day, or n^(1/3) returns where that is more. None where there is no ratio."""
    if sharpe_of(returns, interval) is None:
        return None
    block = max(usual_block(len(returns)), round(_DAY / interval))
    return intervals.sharpe_interval(returns, YEAR / interval, block, resamples=resamples)


# ---- by symbol ----


def _symbol_figures(
    run: RunHistory, symbol: Symbol, times: NDArray[np.datetime64], trades: Sequence[Trade]
) -> SymbolFigures:
    fills = [fill for fill in run.fills if fill.symbol == symbol]
    bars = run.bars.get(symbol)
    within = None if bars is None else _within(bars, run)
    mark = None if within is None or not len(within) else Decimal(repr(float(within[-1])))
    result: SymbolResult = symbol_result(symbol, fills, mark)
    own = [trade for trade in trades if trade.symbol == symbol]
    return SymbolFigures(
        symbol=symbol.text,
        buys=result.buys,
        sells=result.sells,
        turnover=result.turnover,
        fees=result.fees,
        profit=result.profit,
        trades=len(own),
        won=sum(trade.pnl > 0 for trade in own),
        in_market=_in_market(symbol, fills, times),
        buy_and_hold=None if within is None or len(within) < 2 else float(within[-1] / within[0] - 1),
    )


def _within(bars: Bars, run: RunHistory) -> Floats:
    """The closes that were known in the time of the run, the last one before its start first."""
    step = np.timedelta64(run.interval // timedelta(microseconds=1), "us")
    closed = bars.times + step
    first = max(int(np.searchsorted(closed, to_datetime64(run.start), side="right")) - 1, 0)
    last = int(np.searchsorted(closed, to_datetime64(run.end), side="right"))
    return bars.values[first:last, CLOSE]


def _money(amount: np.float64) -> Decimal:
    """To a hundredth of a cent, which is what a double keeps of any account."""
    return Decimal(repr(round(float(amount), 4)))


def _in_market(symbol: Symbol, fills: Sequence[Execution], times: NDArray[np.datetime64]) -> float | None:
    if not len(times):
        return None
    held = np.abs(holdings(times, symbol, fills))
    largest = held.max(initial=0.0)
    return float((held > largest * 1e-3).mean()) if largest > 0 else 0.0  # what a fee rounds to is dust
