"""What the tests of the rows share: rules for the exchange's fault script, how they begin, and what is looked at."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
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


def flat(one: Scene) -> bool:
    """But for what fees leave of a coin."""
    return not [qty for qty in one.ledger()["holdings"].values() if float(qty) > 0.0001]


def resume(one: Scene) -> None:
    """What a halt has left behind is taken away by a person."""
    with one.journal() as journal:
        journal.set_flag("halted", "", datetime.now(UTC))


@contextmanager
def locked_journal(one: Scene) -> Iterator[None]:
    """It can be read, and nobody else can write it."""
    with closing(sqlite3.connect(one.database, isolation_level=None, timeout=20)) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        yield
        blocker.execute("ROLLBACK")


def sells(one: Scene) -> list[dict[str, Any]]:
    """Our own orders that sell, whatever became of them."""
    return [order for order in one.ours().values() if order["side"] == "sell"]


def sold_at_the_market(one: Scene) -> list[dict[str, Any]]:
    return [order for order in sells(one) if order["type"] == "market" or order["time_in_force"] == "ioc"]
