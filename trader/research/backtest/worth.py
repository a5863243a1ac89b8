"""What an account is worth at the close of each bar: its cash and units of then, marked with that close.

What a venue reports comes when it comes: the last report before a close is of the bar before, and a return that is
taken from reports belongs to another bar than the market's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from trader.adapters.journal.records import Correction
from trader.adapters.journal.rows import TRANSFER
from trader.core.fills import cash_of, units_of
from trader.core.market import CLOSE, Bars, to_datetime64
from trader.core.types import ZERO, Execution, Symbol

Floats = NDArray[np.float64]
Times = NDArray[np.datetime64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """At each time [N]: `equity` and `cash` in account currency, and `growth`: what the first equity would have become,
    transfers left out."""

    equity: Floats
    cash: Floats
    growth: Floats

    @staticmethod
    def of(equity: Floats, cash: Floats, inflow: Floats | None = None) -> Worth:
        """`inflow` [N]: money that came in since the time before."""
        if inflow is None or not inflow[1:].any():
            return Worth(equity=equity, cash=cash, growth=equity)
        before, after = equity[:-1], equity[1:] - inflow[1:]
        steps = np.divide(after, before, out=np.ones(len(before)), where=before > 0)
        return Worth(equity=equity, cash=cash, growth=equity[0] * np.concatenate([[1.0], np.cumprod(steps)]))


def worth_at(
    times: Times,
    fills: Sequence[Execution],
    corrections: Sequence[Correction],
    bars: Mapping[Symbol, Bars],
    interval: timedelta,
    currency: str = "USD",
) -> Worth:
    """`times` [N], the closes of bars of `interval`. What happened at a time counts then.
    `corrections`: cash and units that no fill explains.

    A symbol of which no bar has closed yet is marked with the price of its last fill.
    """
    flows = [(fill.at, cash_of(fill, currency)) for fill in fills]
    cash = _sums(times, [*flows, *((each.at, each.cash) for each in corrections)])
    equity = cash.copy()
    for symbol in sorted({fill.symbol for fill in fills} | {each.symbol for each in corrections if each.symbol}):
        equity += holdings(times, symbol, fills, corrections) * _marks(times, symbol, fills, bars.get(symbol), interval)
    inflow = _sums(times, [(each.at, each.cash) for each in corrections if each.kind == TRANSFER])
    return Worth.of(equity, cash, np.diff(inflow, prepend=inflow[:1]))


def holdings(
    times: Times, symbol: Symbol, fills: Iterable[Execution], corrections: Iterable[Correction] = ()
) -> Floats:
    """[N] units of `symbol` held at each time, fees taken in the coin off."""
    moves = [(fill.at, units_of(fill)) for fill in fills if fill.symbol == symbol]
    return _sums(times, [*moves, *((each.at, each.qty) for each in corrections if each.symbol == symbol)])


def _sums(times: Times, moves: Iterable[tuple[datetime, Decimal]]) -> Floats:
    """[N] what has moved until each time. Summed exactly: a position that was closed is zero, no rounding error."""
    ordered = sorted(moves, key=lambda move: move[0])
    totals, total = [0.0], ZERO
    for _, amount in ordered:
        total += amount
        totals.append(float(total))
    at = np.array([to_datetime64(moment) for moment, _ in ordered], dtype="datetime64[us]")
    return np.array(totals)[np.searchsorted(at, times, side="right")]


def _marks(times: Times, symbol: Symbol, fills: Sequence[Execution], bars: Bars | None, interval: timedelta) -> Floats:
    own = [fill for fill in fills if fill.symbol == symbol]
    prices = _last_known(times, [to_datetime64(fill.at) for fill in own], [float(fill.price) for fill in own])
    if bars is None or not len(bars):
        return prices
    closed = bars.times + np.timedelta64(interval // timedelta(microseconds=1), "us")
    place = np.searchsorted(closed, times, side="right") - 1
    return np.where(place >= 0, bars.values[np.maximum(place, 0), CLOSE], prices)


def _last_known(times: Times, at: Sequence[np.datetime64], values: Sequence[float]) -> Floats:
    """[N] the first value before there is one; 0 where there is none at all."""
    if not values:
        return np.zeros(len(times))
    place = np.searchsorted(np.array(at, dtype="datetime64[us]"), times, side="right") - 1
    return np.array(values)[np.maximum(place, 0)]
