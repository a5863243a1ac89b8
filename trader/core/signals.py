"""Whether a strategy's signals can be meant at all. What is merely unwise is for the risk layer to deny."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal

from trader.core.decision import Signal
from trader.core.types import EntrySide, Symbol

MOST_WEIGHT = Decimal(10)  # a larger one is a mistake: a price, or per cent


def sound_signals(told: object) -> tuple[tuple[Signal, ...], tuple[str, ...]]:
    """Those that are sound, and a line for each that is not: each by itself, for one symbol's must not cost another's.

    told  whatever the strategy returned
    """
    if isinstance(told, (str, bytes)) or not isinstance(told, Iterable):
        return (), (f"not a sequence of signals: {_shown(told)}",)
    sound, problems = [], []
    for signal in told:
        problem = _problem(signal)
        if problem:
            problems.append(problem)
        else:
            sound.append(signal)
    return tuple(sound), tuple(problems)


def _problem(signal: object) -> str:
    if not isinstance(signal, Signal):
        return f"not a signal: {_shown(signal)}"
    symbol: object = signal.symbol  # typed, which binds no stranger
    side: object = signal.entry_side
    if not isinstance(symbol, Symbol):
        return f"not a symbol: {_shown(symbol)}"
    if side is not None and not isinstance(side, EntrySide):
        return f"{symbol}: not a side: {_shown(side)}"
    prices = (("entry", signal.entry), ("target", signal.target), ("stop", signal.stop))
    for name, value in (*prices, ("edge", signal.edge)):
        if value is not None and not (isinstance(value, Decimal) and value.is_finite()):
            return f"{signal.symbol}: {name} {_shown(value)}"
    for name, value in prices:
        if value is not None and value <= 0:
            return f"{signal.symbol}: {name} {value}"
    if signal.is_target and (problem := _target_problem(signal)):
        return f"{symbol}: {problem}"
    reason: object = signal.reason
    return "" if isinstance(reason, str) else f"{symbol}: reason {_shown(reason)}"


def _target_problem(signal: Signal) -> str:
    if signal.weight is not None and signal.units is not None:
        return "both a weight and units"
    if signal.entry_side is not None:
        return "a target position has no side of its own: below zero it is short"
    band: object = signal.band
    for name, value in (("weight", signal.weight), ("units", signal.units), ("band", band)):
        if value is not None and not (isinstance(value, Decimal) and value.is_finite()):
            return f"{name} {_shown(value)}"
    if signal.weight is not None and abs(signal.weight) > MOST_WEIGHT:
        return f"a weight of {signal.weight}: 1 is all of the equity"
    if signal.band < 0:
        return f"band {signal.band}"
    age: object = signal.max_age
    return "" if age is None or (isinstance(age, timedelta) and age > timedelta(0)) else f"max_age {_shown(age)}"


def _shown(value: object) -> str:
    """A stranger's value may not even print."""
    try:
        return repr(value)[:80]
    except Exception:  # noqa: BLE001  it is a stranger's
        return f"<{type(value).__name__}>"
