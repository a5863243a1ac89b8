"""Rules for the exchange's fault script, as the tests write them, and how they begin."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.harness import Scene

OUTAGE: dict[str, Any] = {"on": {"path": "^/v2/"}, "do": {"status": 503}}


def more(*values: Any) -> Any:
    """A parameter whose likes are enough for every day: in the table, and not in `make test`."""
    return pytest.param(*values, marks=pytest.mark.slow)


def at(endpoint: str | list[str], do: dict[str, Any], **on: object) -> dict[str, Any]:
    return {"on": {"endpoint": endpoint, **on}, "do": do}


def posts(do: dict[str, Any], **on: object) -> dict[str, Any]:
    return {"on": {"method": "POST", "path": "^/v2/orders$", **on}, "do": do}


def gets(path: str, do: dict[str, Any], **on: object) -> dict[str, Any]:
    return {"on": {"method": "GET", "path": path, **on}, "do": do}


def quotes(kind: str, *, symbol: str = "", **more: object) -> dict[str, Any]:
    return {"on": {"path": "quotes|snapshots"} | ({"symbol": symbol} if symbol else {}), "do": {"quote": kind, **more}}


def asset(symbol: str = "BTC/USD", **rules: object) -> dict[str, Any]:
    return {"on": {"symbol": symbol}, "do": {"asset": rules}}


def held(one: Scene, cycles: int = 2) -> dict[str, str]:
    """Something is, by entries of its own, after so many cycles."""
    one.run(cycles)
    found: dict[str, str] = one.ledger()["holdings"]
    assert found
    return found


def sells(one: Scene) -> list[dict[str, Any]]:
    """Our own orders that sell, whatever became of them."""
    return [order for order in one.ours().values() if order["side"] == "sell"]


def sold_at_the_market(one: Scene) -> list[dict[str, Any]]:
    return [order for order in sells(one) if order["type"] == "market" or order["time_in_force"] == "ioc"]
