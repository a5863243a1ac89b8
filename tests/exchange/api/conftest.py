"""One exchange of a module: crypto and a stock, generated, its clock standing until it is advanced.

Orders are obeyed at once here: these tests look at what the API says of orders and fills, and not at when. Of that
test_slow_orders.py is, and everything that runs the daemon.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.exchange.api.running import AT_ONCE, Running, running

START = "2024-02-01T15:00:00Z"  # a Thursday, half an hour into the session


@pytest.fixture(scope="module")
def exchange() -> Iterator[Running]:
    arguments = ["--symbol", "BTC/USD,ETH/USD,AAPL", "--timeframe", "15Min", "--start", START, *AT_ONCE]
    with running(arguments) as found:
        yield found
