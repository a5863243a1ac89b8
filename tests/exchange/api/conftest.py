"""One exchange of a module: crypto and a stock, generated, its clock standing until it is advanced."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.exchange.api.running import Running, running

START = "2024-02-01T15:00:00Z"  # a Thursday, half an hour into the session


@pytest.fixture(scope="module")
def exchange() -> Iterator[Running]:
    arguments = ["--symbol", "BTC/USD,ETH/USD,AAPL", "--timeframe", "15Min", "--start", START]
    with running(arguments) as found:
        yield found
