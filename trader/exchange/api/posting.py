"""Activities that a fault script posts: deposits, fees, dividends, shares journaled, and whatever else a venue may."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid5

from trader.core.types import ZERO, Symbol
from trader.exchange.api.faults import WITH_UNITS, Entry, FaultError
from trader.exchange.engine.ids import NAMESPACE

_UNDATED = datetime(2000, 1, 1, tzinfo=UTC)
_NUMBERS, _FIELDS = ("net_amount", "qty", "price", "late_s"), ("type", "description")


def read_entry(raw: Any, where: str, number: Callable[[Any, str], float]) -> Entry:
    """As the script says it. Raises FaultError."""
    if not isinstance(raw, dict) or not isinstance(raw.get("type"), str):
        raise FaultError(f"{where}: post takes a type, and some of {', '.join((*_NUMBERS, *_FIELDS[1:]))}")
    odd, kind = sorted(set(raw) - {*_NUMBERS, *_FIELDS}), raw["type"].upper()
    if odd or not kind.isalnum() or kind == "FILL" or len(kind) > 10:
        raise FaultError(f"{where}: post can't take {', '.join(odd) or kind}; a type is a word, and not FILL")
    told = {name: Decimal(str(number(raw[name], f"{where}: {name}"))) for name in _NUMBERS if name in raw}
    return Entry(
        id="",
        kind=kind,
        cash=told.get("net_amount", ZERO),
        qty=told.get("qty", ZERO),
        symbol=None,
        price=told.get("price"),
        description=str(raw.get("description", "")),
        late_s=float(told.get("late_s", ZERO)),
    )


def entry_of(entry: Entry, symbol: Symbol | None, start: datetime | None, name: str, where: str) -> Entry:
    """With the symbol that the rule is about. Its id is of what it says and of the moment that it is set for: an
    exchange that is started again posts it no second time."""
    if entry.kind in WITH_UNITS and entry.qty and symbol is None:
        raise FaultError(f"{where}: units of what? post needs on.symbol here")
    own = uuid5(NAMESPACE, f"posted: {name} {start} {symbol} {entry}")
    return replace(entry, symbol=symbol, id=f"{start or _UNDATED:%Y%m%d}000000000::{own}")
