"""After a stop a symbol rests, however the venue carried the stop."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.trading.bench import CONTEXT, bench_on, level_bars
from trader.core.types import OrderClass, OrderIntent, OrderSide, Symbol
from trader.research.backtest.inprocess import VenueBroker
from trader.trading.ports import Accepted, Submission


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


class Slow(VenueBroker):
    """Its answer to an exit comes when all of that has filled already."""

    def submit(self, intent: OrderIntent) -> Submission:
        answer = super().submit(intent)
        if not isinstance(answer, Accepted) or not intent.purpose.reduces:
            return answer
        self._venue.advance(self._venue.now + timedelta(seconds=30))
        order = self.order_by_client_id(intent.client_order_id)
        assert order is not None
        return Accepted(order=order)


def test_a_stop_that_has_filled_before_the_venue_answers_is_one_too(tmp_path: Path) -> None:
    """The order was over when it was first seen: no list of open orders ever shows it."""
    symbol, bars = Symbol("BTC/USD"), level_bars()
    bars.loc[CONTEXT + 1, "low"] = 99.0
    bars.loc[CONTEXT + 2, ["low", "close"]] = 96.0
    bars.loc[CONTEXT + 3 :, ["open", "high", "low", "close"]] = 96.0
    bench = bench_on({"BTC/USD": bars}, tmp_path, exits__exit_rests="target", broker_of=Slow)
    bench.enter(symbol)
    (target,) = bench.open_orders(symbol)
    assert target.stop_price is None
    bench.go(bench.venue.now + timedelta(hours=1, minutes=10))
    bench.manage()
    assert bench.held(symbol) == 0
    sold = bench.ledger.fills[-1]
    assert bench.desk.risk_state(bench.desk.sync()).last_stop_at == {symbol: sold.at}
