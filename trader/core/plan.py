"""Signals to orders: sizing, then risk, then intents. Pure: equal inputs, equal plan, byte for byte."""

from __future__ import annotations

from collections.abc import Sequence

from trader.core.decision import DecisionInputs, MarketView, Plan, Signal


def view_of(inputs: DecisionInputs) -> MarketView:
    """What the strategy may see of the inputs: usable quotes and finite forecasts only."""
    raise NotImplementedError


def plan(inputs: DecisionInputs, signals: Sequence[Signal]) -> Plan:
    """`cancels` are venue ids of our open entries from earlier cycles: to be confirmed terminal before `intents` go.

    An intent whose symbol filled while being cancelled must be dropped by the caller (one position a symbol).
    """
    raise NotImplementedError
