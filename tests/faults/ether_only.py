"""A strategy: maxdiff for ether. To what is held of bitcoin, by a person, it gives no levels."""

from __future__ import annotations

from trader.core.decision import MarketView, Signal
from trader.core.types import Symbol
from trader.strategies import flat, maxdiff

ETHER = Symbol("ETH/USD")
Params = flat.Params


def decide(view: MarketView, params: flat.Params) -> tuple[Signal, ...]:
    return tuple(each for each in maxdiff.decide(view, maxdiff.Params()) if each.symbol == ETHER)
