"""What was held before the first start is not ours to sell until somebody says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.core.make import BTC
from tests.trading.bench import CONTEXT, Bench, bench_on, level_bars, restarted
from trader.core.portfolio import exposure_of
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
        ({"symbol": "ETH/USD"}, "is not among what was there"),
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


# ---- orders by hand ----


def ordered_before(limit: str) -> Callable[[Venue, MemoryLedger], VenueBroker]:
    """Somebody had an order at the venue when the daemon was started for the first time."""

    def broker_of(venue: Venue, ledger: MemoryLedger) -> VenueBroker:
        venue.advance(venue.now + timedelta(minutes=1))
        kind = {"symbol": "BTC/USD", "side": OrderSide.BUY, "type": OrderType.LIMIT, "tif": TimeInForce.GTC}
        venue.submit(NewOrder(qty=D(10), limit_price=D(limit), **kind))  # type: ignore[arg-type]
        venue.advance(venue.now + timedelta(seconds=30))
        return VenueBroker(venue, ledger)

    return broker_of


def with_dip(folder: Path, policy: str, limit: str = "99.50") -> Bench:
    """The order fills in the second hour."""
    bars = level_bars(count=160)
    bars.loc[CONTEXT + 1, "low"] = 99.0
    return bench_on({"BTC/USD": bars}, folder, broker_of=ordered_before(limit), adopt=policy, exits__exit_rests="stop")


def two_hours_pass(bench: Bench) -> None:
    bench.go(bench.venue.now + timedelta(hours=2))
    for _ in range(3):
        bench.manage()
        bench.desk.pause(20.0)


@pytest.mark.parametrize(("policy", "exits", "told"), [("ask", 0, 2), ("ignore", 0, 0), ("adopt", 1, 0)])
def test_an_order_from_before_the_first_start_is_left_alone_and_so_is_what_it_fills(
    tmp_path: Path, policy: str, exits: int, told: int
) -> None:
    bench = with_dip(tmp_path, policy)
    (shown,) = bench.desk.board.status()["by_hand"]  # type: ignore[misc]
    assert "buy 10 BTC/USD at 99.5" in str(shown)
    two_hours_pass(bench)
    assert bench.held(BTC) > 9
    assert len(bench.open_orders(BTC)) == exits
    assert len(bench.alerts("adopt")) == told
    assert bench.desk.board.status()["by_hand"] == []
    assert bench.desk.flags()["halted"] == ""


@pytest.mark.parametrize("policy", ["ask", "ignore", "adopt"])
def test_nothing_is_entered_beside_an_order_by_hand_and_it_counts_as_exposure(tmp_path: Path, policy: str) -> None:
    bench = with_dip(tmp_path, policy, limit="50")
    bench.want(BTC, "99.00", "103.00", "97.00")
    bench.cycle()
    assert [order.limit_price for order in bench.open_orders(BTC)] == [D(50)]
    assert bench.desk.board.portfolio is not None
    counted = exposure_of(bench.desk.board.portfolio, bench.manager.instruments, {}, ())
    assert counted.of(BTC) == 500


def test_adopted_it_gets_the_exits_that_were_asked_for_once_it_fills(tmp_path: Path) -> None:
    bench = with_dip(tmp_path, "ask")
    said = adopt(bench, symbol="BTC/USD", stop="90", target="120")
    assert "what it fills gets an exit" in said
    two_hours_pass(bench)
    (exit_order,) = bench.open_orders(BTC)
    assert exit_order.stop_price == D(90)


def test_an_order_that_is_placed_later_is_told_of_and_a_person_may_leave_it_alone(tmp_path: Path) -> None:
    bars = level_bars(count=160)
    bars.loc[CONTEXT + 1, "low"] = 99.0
    bench = bench_on({"BTC/USD": bars}, tmp_path, adopt="ask")
    bench.by_hand(BTC, OrderSide.BUY, "10", "99.50")
    bench.manage()
    (alert,) = bench.alerts("adopt")
    assert "adopt --leave" in alert.detail
    assert "left alone" in adopt(bench, symbol="BTC/USD", leave="1")
    two_hours_pass(bench)
    assert bench.held(BTC) > 9
    assert bench.open_orders(BTC) == []
    assert bench.desk.board.status()["unadopted"] == ["BTC/USD"]


def test_an_order_that_is_placed_later_and_not_left_alone_is_protected_once_it_fills(tmp_path: Path) -> None:
    bars = level_bars(count=160)
    bars.loc[CONTEXT + 1, "low"] = 99.0
    bench = bench_on({"BTC/USD": bars}, tmp_path, adopt="ask")
    bench.by_hand(BTC, OrderSide.BUY, "10", "99.50")
    two_hours_pass(bench)
    assert [order.side for order in bench.open_orders(BTC)] == [OrderSide.SELL]
    with pytest.raises(ValueError, match="has exits of ours"):
        adopt(bench, symbol="BTC/USD", leave="1")


@pytest.mark.parametrize(("policy", "said"), [("ask", "no order that was placed by hand"), ("adopt", "ADOPT=adopt")])
def test_leaving_alone_what_is_not_there_is_refused(tmp_path: Path, policy: str, said: str) -> None:
    bench = bench_on({"BTC/USD": level_bars()}, tmp_path, adopt=policy)
    with pytest.raises(ValueError, match=said):
        adopt(bench, symbol="BTC/USD", leave="1")


def test_what_an_order_filled_is_left_alone_though_the_list_shows_it_late(tmp_path: Path) -> None:
    bench = with_dip(tmp_path, "ask")
    seen = bench.desk.board.portfolio
    assert seen is not None
    consent, minute = bench.desk.consent, timedelta(minutes=1)
    for later in range(3):  # it is over, and what it filled is not in the list yet
        assert consent.look(replace(seen, orders=(), at=seen.at + later * minute)) == {BTC}
    assert consent.look(replace(seen, orders=(), at=seen.at + 4 * minute)) == frozenset(), "it filled nothing"
