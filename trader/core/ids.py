"""Names of cycles and orders. Deterministic: the same plan gives the same ids, so that a crash can't double an order.

A client order id reads `trd-<account>-<moment>-<kind>-<symbol>-<purpose>-<attempt>`; `/` is written `_`.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from trader.core.types import Order, Purpose, Symbol
from trader.core.values import quick

MAX_LENGTH = 128  # the venue's limit
_MOMENT = r"\d{8}T\d{6}(?:\.\d{6})?Z"
_KIND = re.compile("[a-z]+")
_KINDS = frozenset({"trade", "manage"})
_CLIENT = re.compile(
    rf"trd-(?P<account>[0-9a-f]{{8}})-(?P<cycle>{_MOMENT}-[a-z]+)-(?P<symbol>[A-Z0-9._]+)"
    r"-(?P<purpose>[a-z]+)-(?P<attempt>\d+)"
)


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOrderId:
    """What one of our ids says."""

    account: str  # eight hexadecimal digits of the account's hash
    cycle_id: str
    symbol: Symbol
    purpose: Purpose
    attempt: int


@lru_cache(maxsize=256)
def cycle_id(at: datetime, kind: str) -> str:
    """`20251101T130000Z-trade`; with microseconds where there are any. `kind` is lower-case letters."""
    moment = at.astimezone(UTC)
    fraction = f".{moment.microsecond:06d}" if moment.microsecond else ""
    written = moment.isoformat()[:19].replace("-", "").replace(":", "")  # strftime takes ten times as long
    name = f"{written}{fraction}Z-{kind}"
    if kind not in _KINDS and not _KIND.fullmatch(kind):
        raise ValueError(f"not a kind of cycle: {kind!r} (lower-case letters)")
    return name


@lru_cache(maxsize=16)
def account_tag(account_id: str) -> str:
    """Short, and not the account's number: ids are seen in many places."""
    return hashlib.sha256(account_id.encode()).hexdigest()[:8]


def client_order_id(account_id: str, cycle_id: str, symbol: Symbol, purpose: Purpose, attempt: int = 0) -> str:
    """At most 128 characters; starts with `trd-`. Raises ValueError where it could not be parsed back."""
    name = f"trd-{account_tag(account_id)}-{cycle_id}-{symbol.text.replace('/', '_')}-{purpose.value}-{attempt}"
    if len(name) > MAX_LENGTH or parse_client_order_id(name) is None:  # kept: it is asked for at the next sync
        raise ValueError(f"not a client order id: {name!r}")
    return name


@lru_cache(maxsize=4096)  # each sync asks for the same few, again and again
def parse_client_order_id(text: str) -> ClientOrderId | None:
    """None for an id that is not one of ours."""
    match = _CLIENT.fullmatch(text)
    if match is None:
        return None
    try:
        symbol, purpose = Symbol(match["symbol"].replace("_", "/")), Purpose(match["purpose"])
    except ValueError:
        return None
    return ClientOrderId(
        account=match["account"],
        cycle_id=match["cycle"],
        symbol=symbol,
        purpose=purpose,
        attempt=int(match["attempt"]),
    )


def purpose_of(order: Order) -> Purpose | None:
    """Why we placed it; None for an order that is not ours."""
    parsed = parse_client_order_id(order.client_order_id)
    return parsed.purpose if parsed is not None and parsed.symbol == order.symbol else None
