"""How it went: time-weighted return, drawdown, Sharpe, fees, turnover, each symbol, against holding the same ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from trader.core.types import ZERO, Execution, OrderSide, Symbol

_YEAR = timedelta(days=365.25)


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolResult:
    """One symbol's part. Money in the quote currency."""

    symbol: Symbol
    buys: int
    sells: int
    turnover: Decimal
    fees: Decimal
    qty: Decimal  # still held, signed
    profit: Decimal | None  # realised and not, after fees; None while the mark of what is held is unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """Ratios are plain (0.01 is one percent). None is unknown: too short a history, or a missing mark."""

    start: datetime
    end: datetime
    first_equity: Decimal
    last_equity: Decimal
    transfers: Decimal  # money that came in after the start, less what went out: in none of the ratios
    total_return: Decimal
    max_drawdown: Decimal
    sharpe: float | None  # annualised, of the returns between equity points spaced evenly, zero risk-free rate
    fees: Decimal
    turnover: Decimal
    buy_and_hold: Decimal | None  # equal weights in every symbol from the first mark to the last, without costs
    symbols: tuple[SymbolResult, ...]


def performance(
    points: Sequence[tuple[datetime, Decimal]],
    executions: Sequence[Execution],
    first_marks: Mapping[Symbol, Decimal],
    last_marks: Mapping[Symbol, Decimal],
    interval: timedelta,
    transfers: Sequence[tuple[datetime, Decimal]] = (),
) -> Performance | None:
    """None where there are fewer than two equity points.

    points    (when, equity in account currency), oldest first
    interval  the bars' length: the returns of the Sharpe ratio are taken over it
    transfers (when, money that came in or, negative, went out), each in the equity of the first point at or after it
    """
    if len(points) < 2:
        return None
    (start, first), (end, last) = points[0], points[-1]
    growth = without_transfers(points, transfers)
    symbols = tuple(
        symbol_result(symbol, [e for e in executions if e.symbol == symbol], last_marks.get(symbol))
        for symbol in sorted({e.symbol for e in executions})
    )
    return Performance(
        start=start,
        end=end,
        first_equity=first,
        last_equity=last,
        transfers=sum((money for at, money in transfers if start < at <= end), ZERO),
        total_return=growth[-1][1] / first - 1,
        max_drawdown=max_drawdown([equity for _, equity in growth]),
        sharpe=sharpe(growth, interval),
        fees=sum((result.fees for result in symbols), ZERO),
        turnover=sum((result.turnover for result in symbols), ZERO),
        buy_and_hold=buy_and_hold(first_marks, last_marks),
        symbols=symbols,
    )


def without_transfers(
    points: Sequence[tuple[datetime, Decimal]], transfers: Sequence[tuple[datetime, Decimal]]
) -> list[tuple[datetime, Decimal]]:
    """What the first equity would have become: each step's growth is that of the money that was there before it."""
    if not transfers:
        return list(points)
    pending = sorted(transfers)
    value, growth_points = points[0][1], [points[0]]
    for (_, equity_before), (at, equity) in pairwise(points):
        inflow = ZERO
        while pending and pending[0][0] <= at:
            when, money = pending.pop(0)
            inflow += money if when > points[0][0] else ZERO
        if equity_before > 0:
            value *= (equity - inflow) / equity_before
        growth_points.append((at, value))
    return growth_points


def symbol_result(symbol: Symbol, executions: Sequence[Execution], mark: Decimal | None) -> SymbolResult:
    """Sum one symbol's executions; a fee taken in the coin counts at its fill's price."""
    qty = cash = fees = turnover = ZERO
    for execution in executions:
        notional = execution.qty * execution.price
        in_coin = execution.fee_currency == symbol.base and symbol.base != symbol.currency
        qty += execution.side.sign * execution.qty - (execution.fee if in_coin else ZERO)
        cash -= execution.side.sign * notional + (ZERO if in_coin else execution.fee)
        fees += execution.fee * execution.price if in_coin else execution.fee
        turnover += notional
    known = ZERO if qty == 0 else mark
    return SymbolResult(
        symbol=symbol,
        buys=sum(e.side is OrderSide.BUY for e in executions),
        sells=sum(e.side is OrderSide.SELL for e in executions),
        turnover=turnover,
        fees=fees,
        qty=qty,
        profit=None if known is None else cash + qty * known,
    )


def max_drawdown(equities: Sequence[Decimal]) -> Decimal:
    """The deepest fall from a peak, as a ratio of that peak (0 or more)."""
    peak, worst = equities[0], ZERO
    for equity in equities:
        peak = max(peak, equity)
        if peak > 0:
            worst = max(worst, 1 - equity / peak)
    return worst


def sharpe(points: Sequence[tuple[datetime, Decimal]], interval: timedelta) -> float | None:
    """Annualised mean over deviation of the returns from interval to interval; None below 30 of them.

    An interval without a point is one in which nothing changed: it counts, with no return.
    """
    samples: dict[int, float] = {}
    for at, equity in points:
        samples[(at - points[0][0]) // interval] = float(equity)
    values, last = list[float](), float(points[0][1])
    for place in range(max(samples) + 1):
        last = samples.get(place, last)
        values.append(last)
    returns = [b / a - 1 for a, b in pairwise(values) if a > 0]
    if len(returns) < 30:
        return None
    mean = sum(returns) / len(returns)
    deviation = math.sqrt(sum((r - mean) ** 2 for r in returns) / (len(returns) - 1))
    return mean / deviation * math.sqrt(_YEAR / interval) if deviation > 0 else None


def buy_and_hold(first: Mapping[Symbol, Decimal], last: Mapping[Symbol, Decimal]) -> Decimal | None:
    """Mean return of the symbols that have both marks."""
    returns = [last[symbol] / mark - 1 for symbol, mark in first.items() if symbol in last and mark > 0]
    return sum(returns, ZERO) / len(returns) if returns else None
