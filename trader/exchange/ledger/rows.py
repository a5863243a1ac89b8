"""How the exchange's values become text in the ledger and come back unchanged.

Decimals are written as they print (never through a float), times as microseconds of ISO 8601 in UTC.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

from trader.core.types import OrderClass, OrderSide, OrderStatus, OrderType, Quote, Symbol, TimeInForce
from trader.exchange.engine.events import Phase, Posted, SimOrder, Tape

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_DECIMALS = (
    "qty", "filled_qty", "filled_notional", "notional", "limit_price", "stop_price",
    "cash", "units", "price", "low", "high", "last", "volume", "bid", "ask", "bid_size", "ask_size",
)  # fmt: skip
_TIMES = (
    "submitted_at", "updated_at", "entered_bar", "filled_at", "canceled_at", "expired_at",
    "arrives_at", "leaves_at", "failed_at", "at", "bar_start", "fresh_until", "listed_at",
)  # fmt: skip
_READERS: Mapping[str, Callable[[Any], Any]] = {
    "symbol": Symbol,
    "side": OrderSide,
    "type": OrderType,
    "tif": TimeInForce,
    "status": OrderStatus,
    "arrives_as": OrderStatus,
    "order_class": OrderClass,
    "phase": lambda text: Phase(int(text)),
    "leg_ids": tuple,
    "day": date.fromisoformat,
    **dict.fromkeys(_DECIMALS, Decimal),
    **dict.fromkeys(_TIMES, datetime.fromisoformat),
}


def microseconds(moment: datetime) -> int:
    """Since 1970, for columns that are compared and sorted."""
    return (moment - _EPOCH) // _MICROSECOND


def moment_of(count: int) -> datetime:
    return _EPOCH + _MICROSECOND * count


def order_text(order: SimOrder) -> str:
    return _text(order)


def order_of(text: str) -> SimOrder:
    return SimOrder(**_values(json.loads(text), SimOrder))


def tape_text(tape: Tape) -> str:
    return _text(tape)


def tape_of(text: str) -> Tape:
    raw = json.loads(text)
    quote = raw.pop("quote")
    values = _values(raw, Tape)
    return Tape(**values, quote=None if quote is None else Quote(**_values(quote, Quote)))


def posted_text(entry: Posted) -> str:
    return _text(entry)


def posted_of(text: str) -> Posted:
    return Posted(**_values(json.loads(text), Posted))


def _text(value: object) -> str:
    return json.dumps(_plain(value), separators=(",", ":"))


def _plain(value: object) -> dict[str, Any]:
    names = _names(type(value))
    return {name: _written(getattr(value, name)) for name in names}


def _written(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, Quote):
        return _plain(value)
    return str(value)


def _values(raw: Mapping[str, Any], kind: type) -> dict[str, Any]:
    known = _names(kind)
    return {name: _read(name, value) for name, value in raw.items() if name in known}


def _read(name: str, value: Any) -> Any:
    reader = _READERS.get(name)
    return value if value is None or reader is None else reader(value)


_NAMES: dict[type, tuple[str, ...]] = {}


def _names(kind: type) -> tuple[str, ...]:
    if kind not in _NAMES:
        _NAMES[kind] = tuple(f.name for f in fields(kind))
    return _NAMES[kind]
