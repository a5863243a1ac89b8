"""What was held before the first start is not ours to sell until somebody says so."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.core.make import BTC
from tests.trading.bench import Bench, bench_on, level_bars, restarted
from trader.core.types import OrderSide, OrderType, TimeInForce
from trader.exchange.engine.requests import NewOrder
from trader.exchange.ledger.memory import MemoryLedger
from trader.exchange.venue import Venue
from trader.research.backtest.inprocess import VenueBroker

D = Decimal


def bought_before(venue: Venue, ledger: MemoryLedger) -> VenueBroker:
    """Somebody bought ten, minutes before the daemon was started for the first time."""
    venue.advance(venue.now + timedelta(minutes=1))
    order = NewOrder(symbol="BTC/USD", side=OrderSide.BUY, qty=D(10), type=OrderType.MARKET, tif=TimeInForce.GTC)
    venue.submit(order)
    venue.advance(venue.now + timedelta(minutes=2))
    return VenueBroker(venue, ledger)


def started(folder: Path, policy: str) -> Bench:
    return bench_on({"BTC/USD": level_bars(count=160)}, folder, broker_of=bought_before, adopt=policy)


def days_pass(bench: Bench, hours: int = 55) -> None:
    """Longer than the oldest that a position of ours may become."""
    for _ in range(hours):
        bench.cycle()
        bench.manage()


def adopt(bench: Bench, **args: str) -> str:
    return bench.desk.consent.adopt(bench.desk.board.portfolio, args, bench.venue.now)


@pytest.mark.parametrize(("policy", "told"), [("ask", 1), ("ignore", 0)])
def test_it_is_left_alone_shown_and_told_and_nothing_is_entered_beside_it(
    tmp_path: Path, policy: str, told: int
) -> None:
    bench = started(tmp_path, policy)
    held = bench.held(BTC)
    bench.want(BTC, "99.50", "103.00", "97.00")
    days_pass(bench)
    assert bench.held(BTC) == held
    assert bench.open_orders(BTC) == []
    assert bench.desk.board.status()["unadopted"] == ["BTC/USD"]
    assert len(bench.alerts("adopt")) == told
    assert bench.alerts("unwatched") == []


def test_adopt_gives_it_the_exits_that_were_asked_for(tmp_path: Path) -> None:
    bench = started(tmp_path, "ask")
    assert "adopted" in adopt(bench, symbol="BTC/USD", stop="90", target="120")
    bench.manage()
    (exit_order,) = bench.open_orders(BTC)
    assert D(90) in (exit_order.stop_price, exit_order.limit_price) or exit_order.limit_price == D(120)
    assert bench.desk.board.status()["unadopted"] == []
    assert bench.desk.known.levels()[BTC].stop == D(90)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"symbol": "ETH/USD"}, "is not among what was held"),
        ({"symbol": "BTC/USD", "stop": "120", "target": "90"}, "the wrong way round"),
        ({"symbol": "BTC/USD", "stop": "-1"}, "is no price"),
        ({"symbol": "BTC/USD", "stop": "cheap"}, "is no price"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_it_stays_alone(tmp_path: Path, args: dict[str, str], said: str) -> None:
    bench = started(tmp_path, "ask")
    with pytest.raises(ValueError, match=said):
        adopt(bench, **args)
    bench.manage()
    assert bench.open_orders(BTC) == []


def test_kill_sells_it_for_a_person_has_said_so(tmp_path: Path) -> None:
    bench = started(tmp_path, "ask")
    bench.desk.set_flag("killed", "boom")
    bench.manage()
    bench.go(bench.venue.now + timedelta(hours=1))
    bench.manage()
    assert bench.held(BTC) == 0


def test_a_restart_does_not_adopt_it(tmp_path: Path) -> None:
    bench = started(tmp_path, "ask")
    again = restarted(bench, "BTC/USD", tmp_path)
    days_pass(again, 3)
    assert again.open_orders(BTC) == []


def test_once_it_is_gone_the_symbol_is_traded_like_any_other(tmp_path: Path) -> None:
    bench = started(tmp_path, "ask")
    bench.by_hand(BTC, OrderSide.SELL, str(bench.held(BTC)))
    bench.go(bench.venue.now + timedelta(minutes=30))
    bench.manage()
    assert bench.desk.board.status()["unadopted"] == []
