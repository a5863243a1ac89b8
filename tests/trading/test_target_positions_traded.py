"""A wanted position on the simulated venue: added to, reduced and left, with one exit at rest for what is held."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.trading.bench import Bench, BrokerOf, bench_on, level_bars
from tests.trading.test_consent import bought_before
from trader.core.decision import Signal, hold, leave
from trader.core.types import EntrySide, OrderIntent, OrderSide, Purpose, Symbol
from trader.exchange.ledger.memory import MemoryLedger
from trader.exchange.venue import Venue
from trader.research.backtest.inprocess import VenueBroker
from trader.trading.last_resort import leave_stops
from trader.trading.ports import Refused, Submission

D = Decimal
BTC, SPY = Symbol("BTC/USD"), Symbol("SPY")


class Odd(VenueBroker):
    """`refused`: purposes that the venue does not take; `keeps`: exits that it does not cancel; `sells`: what a person
    sells while our exit makes room."""

    refused: frozenset[Purpose] = frozenset()
    keeps = False
    sells = D(0)

    def submit(self, intent: OrderIntent) -> Submission:
        if intent.purpose in self.refused:
            return Refused(code="42210000", reason="not now")
        return super().submit(intent)

    def cancel(self, order_id: str) -> None:
        if self.keeps:
            return
        super().cancel(order_id)
        if self.sells:
            qty, self.sells = self.sells, D(0)
            self.bench.by_hand(BTC, OrderSide.SELL, str(qty))

    bench: Bench


def odd(venue: Venue, ledger: MemoryLedger) -> Odd:
    return Odd(venue, ledger)


def on(folder: Path, broker_of: BrokerOf = VenueBroker, **flags: object) -> Bench:
    limits = {f"risk__{name}": "1" for name in ("max_symbol", "max_gross", "max_net")}
    return bench_on({"BTC/USD": level_bars()}, folder, broker_of=broker_of, **limits, **flags)


def want(bench: Bench, weight: str, **changes: object) -> None:
    wish = hold(BTC, weight=D(weight), stop=D(90), band=D("0.005"), reason=f"wants {weight}")
    bench.wish[BTC] = replace(wish, **changes)  # type: ignore[arg-type]
    bench.cycle()


def share(bench: Bench) -> Decimal:
    return bench.held(BTC) * 100 / bench.desk.broker.account().equity


def resting(bench: Bench) -> list[tuple[Decimal, Decimal]]:
    """(stop, units) of what rests."""
    return [(order.stop_price or D(0), order.qty - order.filled_qty) for order in bench.open_orders(BTC)]


def names(bench: Bench) -> list[str]:
    return [str(record.intent.purpose) for record in bench.journal.all_intents.values()]


def test_it_is_added_to_and_one_exit_rests_for_all_of_it(tmp_path: Path) -> None:
    bench = on(tmp_path)
    want(bench, "0.10")
    bench.manage()
    first = bench.held(BTC)
    assert [stop for stop, _ in resting(bench)] == [D(90)]
    want(bench, "0.25")
    assert bench.held(BTC) > 2 * first
    [(stop, units)] = resting(bench)
    assert (stop, units) == (D(90), bench.manager.instruments[BTC].qty_down(bench.held(BTC)))
    assert abs(share(bench) - D("0.25")) < D("0.005")


def test_it_is_reduced_and_what_stays_is_protected(tmp_path: Path) -> None:
    bench = on(tmp_path)
    want(bench, "0.30")
    want(bench, "0.10", stop=D(85))
    assert abs(share(bench) - D("0.10")) < D("0.005")
    [(stop, units)] = resting(bench)
    assert (stop, units) == (D(85), bench.manager.instruments[BTC].qty_down(bench.held(BTC)))
    assert names(bench).count("signal") == 1


def test_leaving_leaves_at_a_loss_and_without_a_forecast(tmp_path: Path) -> None:
    bench = on(tmp_path)
    want(bench, "0.30")
    assert bench.desk.journal.levels()[BTC].stop == D(90)
    bench.wish[BTC] = leave(BTC, reason="over")
    bench.trader.decide = lambda inputs: (leave(BTC, reason="over"),)
    bench.trader.forecaster.forecast = lambda contexts: {}  # type: ignore[method-assign]
    bench.cycle()
    assert bench.held(BTC) * 100 < 1
    assert not resting(bench)
    bench.manage()
    assert BTC not in bench.desk.journal.levels()


def test_what_a_person_buys_after_it_was_reduced_is_not_sold_by_the_old_decision(tmp_path: Path) -> None:
    bench = on(tmp_path)
    want(bench, "0.30")
    want(bench, "0.10")
    bench.wish.clear()
    for order in bench.open_orders(BTC):
        bench.venue.cancel(order.id)
    bench.by_hand(BTC, OrderSide.BUY, "50")
    bench.manage()
    bench.cycle()
    assert bench.held(BTC) > 140
    assert names(bench).count("signal") == 1


def test_an_entry_is_dropped_where_what_is_held_changed_while_its_exit_made_room(tmp_path: Path) -> None:
    bench = on(tmp_path, odd)
    want(bench, "0.10")
    bench.manage()
    broker = bench.desk.broker
    assert isinstance(broker, Odd)
    before, entries = bench.held(BTC), names(bench).count("entry")
    broker.bench, broker.sells = bench, D(10)
    want(bench, "0.25")  # with the same stop, so that only the entry takes it away
    assert bench.held(BTC) == before - 10
    assert names(bench).count("entry") == entries + 1  # written down, and not sent
    dropped = [record for record in bench.journal.all_intents.values() if record.intent.purpose is Purpose.ENTRY]
    assert "its exit filled" in dropped[-1].reason
    [(stop, units)] = resting(bench)
    assert stop == D(90)
    assert units == bench.manager.instruments[BTC].qty_down(bench.held(BTC))


def test_an_exit_that_the_venue_does_not_cancel_goes_on_and_the_entry_does_not(tmp_path: Path) -> None:
    bench = on(tmp_path, odd)
    want(bench, "0.10")
    bench.manage()
    before, protected = bench.held(BTC), resting(bench)
    broker = bench.desk.broker
    assert isinstance(broker, Odd)
    broker.keeps = True
    want(bench, "0.25")
    assert (bench.held(BTC), resting(bench)) == (before, protected)
    assert "would not make room" in list(bench.journal.all_intents.values())[-1].reason


def test_a_sale_that_is_refused_gives_way_to_the_stop_and_is_tried_a_minute_later(tmp_path: Path) -> None:
    bench = on(tmp_path, odd)
    want(bench, "0.30")
    bench.manage()
    broker = bench.desk.broker
    assert isinstance(broker, Odd)
    broker.refused = frozenset({Purpose.SIGNAL})
    want(bench, "0.10")
    assert names(bench).count("signal") == 1
    for second in range(6, 60, 6):
        bench.go(bench.venue.now.replace(second=0) + timedelta(seconds=second))
        bench.manage()
        if second >= 12:
            assert [stop for stop, _ in resting(bench)] == [D(90)], second
    assert names(bench).count("signal") == 1
    broker.refused = frozenset()
    bench.go(bench.venue.now + timedelta(seconds=30))
    bench.manage()
    assert abs(share(bench) - D("0.10")) < D("0.005")
    assert [stop for stop, _ in resting(bench)] == [D(90)]


def test_gates_that_end_entries_end_no_sale(tmp_path: Path) -> None:
    bench = on(tmp_path)
    want(bench, "0.30")
    bench.desk.halt("by a test")
    want(bench, "0.10")
    assert abs(share(bench) - D("0.10")) < D("0.005")
    want(bench, "0.30")
    assert abs(share(bench) - D("0.10")) < D("0.005")


def test_a_strategy_gets_the_bars_that_it_asks_for_and_no_more(tmp_path: Path) -> None:
    bench = on(tmp_path)
    bench.trader.rules = replace(bench.trader.rules, view_bars=7)
    seen: list[Mapping[Symbol, object]] = []

    def decide(inputs: object) -> tuple[Signal, ...]:
        seen.append(inputs.bars)  # type: ignore[attr-defined]
        return ()

    bench.trader.decide = decide
    bench.cycle()
    [bars] = [found[BTC] for found in seen]
    assert len(bars) == 7  # type: ignore[arg-type]


@pytest.mark.parametrize("exit_rests", ["target", "stop", "nearest"])
def test_a_target_price_is_no_duty_and_a_stop_price_is(tmp_path: Path, exit_rests: str) -> None:
    bench = on(tmp_path, exits__exit_rests=exit_rests)
    want(bench, "0.20")
    bench.manage()
    [(stop, _)] = resting(bench)
    assert stop == D(90)
    assert bench.desk.journal.levels()[BTC].entry_side is EntrySide.LONG


def test_what_was_there_before_the_first_start_is_neither_added_to_nor_sold(tmp_path: Path) -> None:
    bench = bench_on({"BTC/USD": level_bars()}, tmp_path, broker_of=bought_before, adopt="ask")
    assert bench.held(BTC) == D("9.975")
    for weight in ("0.15", "0.001", "0"):
        want(bench, weight)
        bench.manage()
    assert bench.held(BTC) == D("9.975")
    bench.desk.consent.adopt(bench.desk.board.portfolio, {"symbol": "BTC/USD"}, bench.venue.now)
    bench.wish.clear()
    bench.manage()
    assert bench.held(BTC) == D("9.975"), "what was wanted before anybody agreed sells nothing"
    assert len(resting(bench)) == 1


def test_a_fatal_end_leaves_the_stop_of_all_that_is_held_and_sells_nothing(tmp_path: Path) -> None:
    """Of a stock, whose sale at the market would need no price."""
    limits = {f"risk__{name}": "1" for name in ("max_symbol", "max_gross", "max_net")}
    bench = bench_on({"SPY": level_bars("SPY")}, tmp_path, exits__stocks_overnight=True, **limits)
    bench.wish[SPY] = hold(SPY, weight=D("0.30"), stop=D(90), reason="wants 0.30")
    bench.cycle()
    bench.manage()
    held, desk, manager = bench.held(SPY), bench.desk, bench.manager
    assert held > 0
    wanted = {SPY: replace(desk.journal.levels()[SPY], keep=D(1), why="less")}
    rules = manager.instruments
    told = leave_stops(desk.broker, desk.clock, desk.account_id, wanted, rules, manager.policy, desk.pause)
    assert (told, bench.held(SPY)) == ([], held)
    assert [(order.stop_price, order.qty) for order in bench.open_orders(SPY)] == [(D(90), held)]
