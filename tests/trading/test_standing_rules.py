"""What must never be halts the entries, and normal life does not."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from tests.core.make import BTC
from tests.trading.bench import CONTEXT, bench_on, level_bars
from trader.core.ids import client_order_id, cycle_id
from trader.core.types import OrderSide, OrderType, Purpose, TimeInForce
from trader.exchange.engine.requests import NewOrder

D = Decimal


def test_an_order_under_our_name_that_this_journal_never_made_halts(tmp_path: Path) -> None:
    bench = bench_on({"BTC/USD": level_bars()}, tmp_path)
    bench.manage()
    name = client_order_id(bench.desk.account_id, cycle_id(bench.venue.now, "trade"), BTC, Purpose.ENTRY, 7)
    bench.venue.submit(
        NewOrder(
            symbol="BTC/USD", side=OrderSide.BUY, qty=D(1), type=OrderType.LIMIT, limit_price=D(50),
            tif=TimeInForce.GTC, client_order_id=name,
        )
    )  # fmt: skip
    for minute in (1, 2, 3):
        bench.go(bench.venue.now.replace(minute=minute * 5))
        bench.manage()
    assert "bears our name, and this journal never made it" in bench.desk.board.flags["halted"]


def test_an_entry_its_fill_and_its_exit_are_all_as_they_must_be(tmp_path: Path) -> None:
    bars = level_bars()
    bars.loc[CONTEXT + 1, "low"] = 99.0
    bench = bench_on({"BTC/USD": bars}, tmp_path)
    bench.enter(BTC)
    for _ in range(3):
        bench.manage()
    assert bench.desk.board.flags["halted"] == ""
