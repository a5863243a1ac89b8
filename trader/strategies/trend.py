"""Holds what goes up: as much as `voltarget` would, while the short average of the closes is above the long one."""

from __future__ import annotations

from dataclasses import dataclass

from trader.core.decision import MarketView, Signal, leave
from trader.core.market import CLOSE
from trader.core.types import Symbol
from trader.strategies import voltarget
from trader.strategies._levels import within


@dataclass(frozen=True, slots=True, kw_only=True)
class Params(voltarget.Params):
    """Averages are of closed bars; the others are those of `voltarget`.

    short            bars of the short average, 1 to 1000
    long             bars of the long one, more than `short`, to 2000
    """

    short: int = 20
    long: int = 100

    def __post_init__(self) -> None:
        voltarget.Params.__post_init__(self)  # `super()` knows no class with slots
        within("short", self.short, 1, 1000)
        within("long", self.long, self.short + 1, 2000)


def bars(params: Params) -> int:
    """What `decide` looks at."""
    return params.long


def decide(view: MarketView, params: Params) -> tuple[Signal, ...]:
    """As `voltarget`, or out where the averages say so; a symbol with too few bars is left as it is."""
    return tuple(_with_trend(view, signal, params) for signal in voltarget.signals(view, params))


def _with_trend(view: MarketView, signal: Signal, params: Params) -> Signal:
    trend = _trend(view, signal.symbol, params)
    if trend is None:
        return Signal(symbol=signal.symbol, entry_side=None, reason=f"fewer than {params.long} bars")
    if trend <= 0:
        return leave(signal.symbol, reason=f"the averages say down: {trend:+.2%}")
    return signal


def _trend(view: MarketView, symbol: Symbol, params: Params) -> float | None:
    """The short average over the long one, less 1; None with too few bars."""
    history = view.bars.get(symbol)
    if history is None or len(history) < params.long:
        return None
    closes = history.values[:, CLOSE]
    return float(closes[-params.short :].mean() / closes[-params.long :].mean() - 1)
