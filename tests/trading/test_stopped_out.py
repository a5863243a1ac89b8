"""After a stop a symbol rests, however the venue carried the stop."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.trading.bench import CONTEXT, bench_on, level_bars
from trader.core.types import OrderClass, OrderSide, Symbol


@pytest.mark.parametrize("name", ["BTC/USD", "SPY"])
def test_a_stop_begins_the_rest_of_its_symbol(tmp_path: Path, name: str) -> None:
    """A coin's is an order of its own, a stock's the leg of an OCO."""
    symbol, bars = Symbol(name), level_bars(name)
    bars.loc[CONTEXT + 1, "low"] = 99.0  # the entry
    bars.loc[CONTEXT + 2, ["low", "close"]] = 96.0  # the stop
    bench = bench_on({name: bars}, tmp_path, exits__exit_rests="stop", exits__stocks_overnight=True)
    bench.want(symbol, "99.50", "103.00", "97.00")
    bench.cycle()
    bench.venue.advance(bench.venue.now.replace(minute=59))
    bench.manage()
    (exit_, *legs) = bench.open_orders(symbol)
    assert bool(legs) == (exit_.order_class is OrderClass.OCO) == (name == "SPY")
    bench.wish.clear()
    bench.cycle()
    bench.cycle()
    sold = bench.ledger.fills[-1]
    assert (sold.side, sold.price < 98) == (OrderSide.SELL, True)
    assert bench.desk.risk_state(bench.desk.sync()).last_stop_at == {symbol: sold.at}
