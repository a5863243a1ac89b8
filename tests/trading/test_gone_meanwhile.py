"""A position that is sold while another one is looked after."""

from __future__ import annotations

from pathlib import Path

from tests.core.make import BTC, ETH
from tests.trading.bench import bench_on, level_bars


def test_one_that_is_gone_by_its_turn_costs_nothing(tmp_path: Path) -> None:
    """Each is looked after in the newest report, which the one before it may have brought."""
    bench = bench_on({symbol: level_bars(symbol) for symbol in ("BTC/USD", "ETH/USD")}, tmp_path)
    with bench.desk.lock:
        without_either = bench.desk.sync()
        for symbol in (BTC, ETH):
            assert bench.manager._protect(symbol, without_either, None, None) is without_either
