"""A venue that is only partly there: what is held is protected by what can be read, and entries alone wait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.trading.bench import CONTEXT, Bench, bench_on, level_bars, restarted
from trader.core.types import Account, Execution, Order, OrderSide, Position, Symbol
from trader.errors import Transient
from trader.exchange.ledger.memory import MemoryLedger
from trader.exchange.venue import Venue
from trader.research.backtest.inprocess import VenueBroker

BTC, ETH, SPY = Symbol("BTC/USD"), Symbol("ETH/USD"), Symbol("SPY")
PARTS = (("account",), ("executions",), ("order_by_client_id", "order"))


class Partial(VenueBroker):
    """`away`: what fails. `hidden`: positions that the list leaves out; `as_of`: it is that of then; `factor`: of units
    told. `unlisted`: open orders that their list leaves out. `activity_lag`: how late executions are told of; `untold`:
    those of these symbols are not told of at all."""

    def __init__(self, venue: Venue, ledger: MemoryLedger) -> None:
        super().__init__(venue, ledger)
        self.away: set[str] = set()
        self.hidden: set[Symbol] = set()
        self.factor = Decimal(1)
        self.stale: Sequence[Position] | None = None
        self.unlisted = False
        self.activity_lag = timedelta(0)
        self.untold: set[Symbol] = set()

    def account(self) -> Account:
        self._there("account")
        return super().account()

    def positions(self) -> Sequence[Position]:
        self._there("positions")
        found = super().positions() if self.stale is None else self.stale
        return [replace(each, qty=each.qty * self.factor) for each in found if each.symbol not in self.hidden]

    def open_orders(self) -> Sequence[Order]:
        return [] if self.unlisted else super().open_orders()

    def executions(self, after: datetime) -> Sequence[Execution]:
        self._there("executions")
        seen = self._venue.now - self.activity_lag
        return [each for each in super().executions(after) if each.at <= seen and each.symbol not in self.untold]

    def order_by_client_id(self, client_order_id: str) -> Order | None:
        self._there("order_by_client_id")
        return super().order_by_client_id(client_order_id)

    def order(self, order_id: str) -> Order | None:
        self._there("order")
        return super().order(order_id)

    def _there(self, part: str) -> None:
        if part in self.away:
            raise Transient(f"{part}: 502")


def on(folder: Path, *symbols: str, **flags: object) -> tuple[Bench, Partial]:
    """Bars of one price, but for the dip that fills an entry."""
    bars = {}
    for symbol in symbols or ("BTC/USD",):
        bars[symbol] = level_bars(symbol)
        bars[symbol].loc[CONTEXT + 1, "low"] = 99.0
    bench = bench_on(bars, folder, broker_of=Partial, exits__exit_rests="stop", **flags)
    broker = bench.desk.broker
    assert isinstance(broker, Partial)
    return bench, broker


def entered(folder: Path, *symbols: str, **flags: object) -> tuple[Bench, Partial]:
    bench, broker = on(folder, *symbols, **flags)
    for symbol in symbols or ("BTC/USD",):
        bench.want(Symbol(symbol), "99.50", "103.00", "97.00")
    bench.cycle()
    bench.go(bench.venue.now.replace(minute=59))
    bench.manage()
    bench.wish.clear()
    return bench, broker


def stops(bench: Bench, symbol: Symbol = BTC) -> list[tuple[OrderSide, Decimal | None, Decimal]]:
    return [(each.side, each.stop_price, each.qty) for each in bench.open_orders(symbol)]


def protected(bench: Bench, symbol: Symbol = BTC) -> bool:
    return stops(bench, symbol) == [(OrderSide.SELL, Decimal(97), bench.held(symbol))]


def beats(bench: Bench, span: timedelta, every_s: float = 20.0) -> None:
    until = bench.venue.now + span
    while bench.venue.now < until:
        bench.manage()
        bench.desk.pause(every_s)


@pytest.mark.parametrize("parts", PARTS)
def test_an_entry_that_fills_while_one_endpoint_is_away_has_its_stop_and_others_wait(
    tmp_path: Path, parts: tuple[str, ...]
) -> None:
    bench, broker = on(tmp_path)
    bench.want(BTC, "99.50", "103.00", "97.00")
    bench.cycle()
    broker.away = set(parts)
    bench.go(bench.venue.now.replace(minute=59))
    bench.manage()
    assert bench.held(BTC) > 0
    assert protected(bench)
    assert "502" in bench.desk.doubt()
    beats(bench, timedelta(hours=2))
    assert protected(bench)
    assert bench.desk.flags()["halted"] == ""
    broker.away = set()
    beats(bench, timedelta(minutes=2))
    assert bench.desk.doubt() == ""
    assert bench.desk.known.books().positions == {BTC: bench.held(BTC)}
    assert [each.kind for each in bench.journal.corrections] == ["opening"]


def test_activities_that_are_a_minute_late_are_no_halt_and_the_books_are_exact_then(tmp_path: Path) -> None:
    bench, broker = on(tmp_path)
    bench.want(BTC, "99.50", "103.00", "97.00")
    bench.cycle()
    broker.activity_lag = timedelta(seconds=60)
    bench.venue.advance(bench.venue.now.replace(minute=59))
    bench.manage()
    assert protected(bench)
    assert bench.desk.doubt() == "", "the order itself shows what it filled"
    beats(bench, timedelta(minutes=3))
    assert protected(bench)
    assert bench.desk.flags()["halted"] == ""
    assert not bench.alerts("books")
    assert bench.desk.known.books().positions == {BTC: bench.held(BTC)}
    assert [each.kind for each in bench.journal.corrections] == ["opening"]
    assert not bench.desk.known.live()[1:], "the entry is over once all of it is booked"


def test_a_position_that_the_list_shows_a_minute_late_is_protected_from_the_fill_on(tmp_path: Path) -> None:
    bench, broker = on(tmp_path)
    bench.want(BTC, "99.50", "103.00", "97.00")
    bench.cycle()
    broker.stale = ()
    bench.go(bench.venue.now.replace(minute=59))
    bench.manage()
    assert protected(bench)
    beats(bench, timedelta(seconds=60))
    assert protected(bench)
    broker.stale = None
    beats(bench, timedelta(minutes=1))
    assert protected(bench)
    assert bench.desk.flags()["halted"] == ""
    assert bench.desk.doubt() == ""


@pytest.mark.parametrize("symbols", [("BTC/USD", "ETH/USD"), ("BTC/USD",), ("SPY",)])
def test_one_that_is_left_out_keeps_its_stop_and_its_levels(tmp_path: Path, symbols: tuple[str, ...]) -> None:
    missing = Symbol(symbols[-1])
    bench, broker = entered(tmp_path, *symbols, exits__stocks_overnight=True)
    before, levels = stops(bench, missing), bench.desk.known.levels()
    resting = {order.id for order in bench.open_orders(missing)}
    assert before
    broker.hidden = {missing}
    beats(bench, timedelta(minutes=5))
    bench.cycle()
    assert {order.id for order in bench.open_orders(missing)} == resting
    assert bench.desk.known.levels() == levels
    assert bench.alerts("books")
    assert protected(bench, Symbol(symbols[0])) or missing is SPY
    broker.hidden = set()
    beats(bench, timedelta(minutes=1))
    assert {order.id for order in bench.open_orders(missing)} == resting
    assert bench.desk.doubt() == ""
    assert [each.severity for each in bench.alerts("books")] == ["error", "info"]


def test_a_share_that_is_left_out_is_not_sold_short_by_a_new_order(tmp_path: Path) -> None:
    bench, broker = entered(tmp_path, "SPY")
    broker.hidden = {SPY}
    bench.desk.pause(200)  # no fill any more that the list could lag
    bench.venue.cancel(next(order.id for order in bench.open_orders(SPY) if order.parent_id is None))
    beats(bench, timedelta(minutes=2))
    assert not bench.open_orders(SPY)


@pytest.mark.parametrize("symbol", ["BTC/USD", "SPY"])
@pytest.mark.parametrize("factor", ["10", "0.1"])
def test_units_told_wrong_change_no_exit(tmp_path: Path, symbol: str, factor: str) -> None:
    bench, broker = entered(tmp_path, symbol)
    held = Symbol(symbol)
    resting = {order.id: order.qty for order in bench.open_orders(held)}
    assert resting
    broker.factor = Decimal(factor)
    beats(bench, timedelta(minutes=5))
    assert {order.id: order.qty for order in bench.open_orders(held)} == resting
    assert bench.alerts("books")
    assert bench.desk.doubt()
    broker.factor = Decimal(1)
    beats(bench, timedelta(minutes=1))
    assert {order.id: order.qty for order in bench.open_orders(held)} == resting
    assert bench.desk.doubt() == ""


def test_an_order_that_the_list_leaves_out_is_not_placed_again(tmp_path: Path) -> None:
    bench, broker = entered(tmp_path)
    broker.unlisted = True
    beats(bench, timedelta(minutes=2))
    broker.unlisted = False
    assert protected(bench)
    assert not bench.alerts("unprotected")


def test_a_restart_while_the_activities_are_away_protects_all_the_same(tmp_path: Path) -> None:
    bench, broker = on(tmp_path)
    bench.want(BTC, "99.50", "103.00", "97.00")
    bench.cycle()
    broker.away = {"executions", "order_by_client_id"}
    bench.go(bench.venue.now.replace(minute=59))
    again = restarted(bench, "BTC/USD", tmp_path, broker=broker)
    assert protected(again)
    assert "502" in again.desk.doubt()


def test_a_fill_that_was_left_out_is_booked_though_later_ones_were_told_before(tmp_path: Path) -> None:
    bench, broker = on(tmp_path, "BTC/USD", "ETH/USD")
    broker.untold = {BTC}
    bench.want(BTC, "99.50", "103.00", "97.00")
    bench.cycle()
    bench.wish.clear()
    beats(bench, timedelta(hours=1), every_s=60.0)
    bench.by_hand(ETH, OrderSide.BUY, "1")
    beats(bench, timedelta(minutes=20), every_s=60.0)
    assert {fill.symbol for fill in bench.journal.fills} == {ETH}
    broker.untold = set()
    beats(bench, timedelta(minutes=2))
    assert {fill.symbol for fill in bench.journal.fills} == {BTC, ETH}
    assert bench.journal.believed().positions == {symbol: bench.held(symbol) for symbol in (BTC, ETH)}


def test_an_exit_takes_the_place_of_another_whole_though_the_list_still_counts_that_one_as_resting(
    tmp_path: Path,
) -> None:
    bench, broker = on(tmp_path)
    bench.enter(BTC)
    bench.desk.pause(60.0)
    broker.stale = list(VenueBroker.positions(broker))
    assert broker.stale[0].qty_available < bench.held(BTC) / 100
    bench.desk.known.save_levels([replace(bench.journal.levels()[BTC], stop=Decimal("96"))])
    bench.manage()
    (stop,) = bench.open_orders(BTC)
    assert stop.stop_price == 96
    assert stop.qty == bench.held(BTC)
