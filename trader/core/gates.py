"""How much room is left to each gate that ends entries: for `status`, and to tell a person when one closes."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from trader.core.decision import RiskLimits, RiskState

_ALL = Decimal(1)


def rooms(equity: Decimal, state: RiskState, limits: RiskLimits) -> dict[str, Decimal]:
    """By gate, the share of its limit that is left: 1 is all of it, 0 or less is closed. Unknown ones are absent."""
    shares: dict[str, Decimal] = {}
    falls = (
        ("daily_loss", state.day_start_equity, limits.max_daily_loss),
        ("drawdown", state.peak_equity, limits.max_drawdown),
    )
    for name, base, limit in falls:
        if base is not None and base > 0 and equity.is_finite() and limit > 0:
            shares[name] = 1 - (1 - equity / base) / limit
    counts = (
        ("order_rate", state.orders_last_minute, limits.max_orders_per_minute),
        ("day_orders", state.day_orders, limits.max_day_orders),
        ("refusals", state.refusals, limits.max_refusals),
        ("losing_exits", state.losing_exits, limits.max_losing_exits),
    )
    for name, count, maximum in counts:
        if maximum:
            shares[name] = 1 - Decimal(count) / maximum if count else _ALL
    if limits.max_day_notional and equity.is_finite() and equity > 0:
        shares["day_notional"] = 1 - state.day_notional / (limits.max_day_notional * equity)
    return shares


TOLD = (
    "daily_loss",
    "drawdown",
    "day_notional",
    "day_orders",
    "refusals",
    "losing_exits",
)  # order_rate passes by itself


def closed(found: Mapping[str, Decimal]) -> frozenset[str]:
    """Those that a person is told of."""
    return frozenset([name for name, room in found.items() if name in TOLD and room <= 0])
