"""The one exit that should rest now.

The venue refuses a second sell of the same quantity, so that one exit owns it and the other level is watched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from trader.core.decision import ExitPolicy, Levels
from trader.core.types import (
    EntrySide,
    Instrument,
    Order,
    OrderClass,
    OrderType,
    Position,
    Purpose,
    Quote,
    Symbol,
    TimeInForce,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitWish:
    """An exit without its id: the shell gives it one. An OCO has `limit_price` as target and `stop_price` as stop."""

    symbol: Symbol
    purpose: Purpose
    entry_side: EntrySide
    qty: Decimal
    type: OrderType
    tif: TimeInForce
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    order_class: OrderClass = OrderClass.SIMPLE
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectAction:
    """keep: the venue id of the exit that goes on resting. cancel: venue ids, to be confirmed terminal first.

    `place` only when all in `cancel` are terminal; if one of them filled meanwhile, sync and ask again.
    With neither `keep` nor `place`, `reason` says why nothing rests (flat, dust, closed, waiting for a quote).
    """

    keep: str | None = None
    cancel: tuple[str, ...] = ()
    place: ExitWish | None = None
    reason: str = ""


def protect(
    position: Position,
    quote: Quote | None,
    levels: Levels | None,
    policy: ExitPolicy,
    instrument: Instrument,
    now: datetime,
    resting: Sequence[Order],
    *,
    session_close: datetime | None,
    price_hint: Decimal | None = None,
) -> ProtectAction:
    """`resting`: all open orders of the symbol. `session_close`: of the stock session under way, None when closed."""
    raise NotImplementedError


def close_now(
    position: Position,
    quote: Quote | None,
    policy: ExitPolicy,
    instrument: Instrument,
    resting: Sequence[Order],
    purpose: Purpose,
    *,
    session_close: datetime | None,
) -> ProtectAction:
    """Out at the market, for flatten, kill and time exits: crypto as an ioc limit inside the collar, stocks market."""
    raise NotImplementedError
