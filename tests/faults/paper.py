"""The daemon as on a paper account: real time, both jobs on threads of their own. What is held was bought by hand at
the venue after the daemon's start, so that no bar has to be waited for; its exit shows that the daemon has noticed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.faults.harness import Program, Scene

Scenes = Callable[..., Scene]

SOON_S = 30.0  # a few seconds and much room; a daemon that nothing wakes would look only after a minute
RESTS = {"symbol": "ETH/USD", "type": "limit", "limit_price": "100", "qty": "1", "client_order_id": "rests"}


def stream(kind: str, **on: object) -> dict[str, Any]:
    return {"on": on, "do": {"stream": kind}}


def paper(scene: Scenes, *, in_step: bool = False, **environment: str) -> Scene:
    """`in_step`: the venue's clock is the machine's, so that quotes are fit to act on; that may cost a quarter of a
    minute until there is a book. Else it is ahead by some seconds."""
    keys = {"ALPACA_API_KEY_ID": "PKTEST", "ALPACA_API_SECRET_KEY": "secret", "MANAGE_INTERVAL_S": "2"}
    keys["TRADE_DELAY_S"] = str((datetime.now(UTC).second + 45) % 60)  # no cycle while a test runs
    # a book comes with each quarter of a bar: the next one is only as far away as the daemon takes to start.
    # Ahead of us, and still so where the exchange takes its time: a fill from before our start is not ours to book.
    quarter = datetime.fromtimestamp((time.time() // 15 + 2) * 15, UTC) - timedelta(seconds=0.5)
    soon = datetime.now(UTC) + timedelta(seconds=1)  # as long as the exchange takes to start
    start = ["--start", (soon if in_step else quarter).isoformat(), "--timeframe", "1Min"]
    return scene(
        seed=2,
        mode="paper",
        speed="1",
        symbols="BTC/USD,ETH/USD",
        exchange=start,
        **{"TIMEFRAME": "1Min", "STRATEGY": "flat", **keys, **environment},
    )


@contextmanager
def running(one: Scene, resting: Mapping[str, str] | None = RESTS) -> Iterator[Program]:
    """With an order open from the start: with nothing at the venue it is asked once a minute only."""
    if resting is not None:
        placed = one.order(**resting)
        assert placed.status_code == 200, placed.text
    daemon = one.start()
    one.until(lambda: one.ledger()["stream_listeners"] == 1)
    one.until(lambda: daemon.poll() is not None or "ready" in daemon.said() or "agree" in daemon.said())
    yield daemon
    daemon.end()


def buy(one: Scene, symbol: str = "BTC/USD") -> None:
    """So little that even a quiet minute fills it at once: what is left of a market order forbids our stop."""
    one.until(lambda: one.order(symbol=symbol, qty="0.02").status_code == 200, every_s=0.5)


def is_protected(one: Scene, symbol: str = "BTC/USD") -> bool:
    ledger = one.ledger()
    held = float(ledger["holdings"].get(symbol, 0))
    orders = [order for order in ledger["orders"].values() if order["symbol"] == symbol and order["side"] == "sell"]
    live = [order for order in orders if order["status"] == "new"]
    return held > 0 and bool(live) and abs(sum(float(o["qty"]) for o in live) - held) < held / 1000
