"""Ids that follow from what they name, so that equal runs give equal ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

from trader.core.types import Symbol

if TYPE_CHECKING:
    from hashlib import _Hash

NAMESPACE = UUID("6c6f8f3e-5b0a-4c57-9a51-2a6a6f9d0f10")  # of accounts and assets


def asset_id(symbol: Symbol) -> str:
    return str(uuid5(NAMESPACE, f"asset:{symbol}"))


def derived_id(namespace: UUID, name: str) -> str:
    """As `str(uuid.uuid5(namespace, name))`, without the objects on the way there."""
    digest = _begun(namespace).copy()
    digest.update(name.encode())
    text = digest.hexdigest()
    variant = "89ab"[int(text[16], 16) & 3]
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{variant}{text[17:20]}-{text[20:32]}"


@lru_cache(maxsize=16)
def _begun(namespace: UUID) -> _Hash:
    """Never to be changed: copied for each name."""
    return hashlib.sha1(namespace.bytes, usedforsecurity=False)


def spellings(symbols: Iterable[Symbol]) -> dict[str, Symbol]:
    """Each by every name that the venue takes, asset ids among them."""
    known = tuple(symbols)
    found = dict[str, Symbol]()
    for symbol in known:
        found |= {symbol.position_name: symbol, asset_id(symbol).upper(): symbol}
    return found | {symbol.text: symbol for symbol in known}
