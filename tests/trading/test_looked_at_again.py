"""What was decided is looked at again before it is sent, and what the venue has not said is not taken for said."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from forecasters.types import Context, Forecast
from tests.trading.bench import CONTEXT, Bench, Still, bench_on, level_bars
from trader.adapters.latch import Latch
from trader.core.market import Bars
from trader.core.types import (
    Execution,
    Order,
    OrderIntent,
    OrderSide,
    OrderType,
    Purpose,
    Symbol,
    Timeframe,
    TimeInForce,
)
from trader.errors import AccountLocked, Transient
from trader.exchange.engine.events import Holding
from trader.exchange.engine.requests import NewOrder
from trader.exchange.ledger.memory import MemoryLedger
from trader.exchange.venue import Venue
from trader.research.backtest.inprocess import VenueBroker, VenueData
from trader.trading.guard_files import GuardFiles
from trader.trading.last_run import leave_safe
from trader.trading.ports import Opaque, Refused, Submission, Undetermined

BTC, ETH, SPY = Symbol("BTC/USD"), Symbol("ETH/USD"), Symbol("SPY")
START = datetime(2000, 1, 1, tzinfo=UTC)


class Odd(VenueBroker):
    """A venue that answers oddly where it is told to.

    at_cancel  what a cancel does instead, in the order of the cancels; None: nothing at all
    mute       why no order can be looked at by its number; "" where it can
    loses      answers to submissions that are lost on the way back
    lookups    questions by client id that fail
    refuses    purposes of which it takes no order
    """

    def __init__(self, venue: Venue, ledger: MemoryLedger) -> None:
        super().__init__(venue, ledger)
        self.at_cancel: list[Callable[[str], object] | None] = []
        self.mute = ""
        self.loses = self.lookups = 0
        self.refuses: set[Purpose] = set()
        self.sent: list[OrderIntent] = []
        self.cancelled: list[str] = []
        self.before_submit: Callable[[OrderIntent], object] = lambda intent: None
        self.shows_all_fills = False
        self.unreadable: tuple[Opaque, ...] = ()
        self.hides = False  # its list of open orders is empty

    def open_orders(self) -> Sequence[Order]:
        return () if self.hides else super().open_orders()

    def opaque(self) -> Sequence[Opaque]:
        return self.unreadable

    def cancel(self, order_id: str) -> bool:
        self.cancelled.append(order_id)
        if not self.at_cancel:
            return super().cancel(order_id)
        instead = self.at_cancel.pop(0)
        if instead is not None:
            instead(order_id)
        return True

    def really_cancel(self, order_id: str) -> bool:
        return super().cancel(order_id)

    def order(self, order_id: str) -> Order | None:
        if self.mute:
            raise Transient(self.mute)
        return super().order(order_id)

    def order_by_client_id(self, client_order_id: str) -> Order | None:
        if self.lookups:
            self.lookups -= 1
            raise Transient("no answer")
        return super().order_by_client_id(client_order_id)

    def submit(self, intent: OrderIntent) -> Submission:
        self.before_submit(intent)
        self.sent.append(intent)
        if intent.purpose in self.refuses:
            return Refused(reason="not now", code=40310000, status=403)
        answer = super().submit(intent)
        if self.loses:
            self.loses -= 1
            return Undetermined(reason="no answer")
        return answer

    def executions(self, after: datetime) -> Sequence[Execution]:
        return super().executions(START if self.shows_all_fills else after)


def started(folder: Path, *symbols: Symbol, **flags: object) -> tuple[Bench, Odd]:
    """Bars of one price, which an entry at 99.50 can wait under for three hours; in the fourth it fills."""
    tables = {}
    for symbol in symbols or (BTC,):
        tables[symbol.text] = level_bars(symbol.text)
        tables[symbol.text].loc[CONTEXT + 3 :, "low"] = 99.0
    bench = bench_on(tables, folder, broker_of=Odd, **flags)
    broker = bench.desk.broker
    assert isinstance(broker, Odd)
    return bench, broker


def enter(bench: Bench, symbol: Symbol = BTC) -> None:
    bench.want(symbol, "99.50", "103.00", "97.00")


def waiting(folder: Path, *symbols: Symbol) -> tuple[Bench, Odd, str]:
    """With an entry in BTC/USD that rests, and its number at the venue."""
    bench, broker = started(folder, *symbols)
    enter(bench)
    bench.cycle()
    (entry,) = bench.open_orders(BTC)
    return bench, broker, entry.id


def holding(folder: Path, **flags: object) -> tuple[Bench, Odd]:
    bench, broker = started(folder, **flags)
    enter(bench)
    for _ in range(3):
        bench.cycle()
    bench.go(bench.venue.now.replace(minute=59))
    bench.manage()
    bench.wish.clear()
    assert bench.held(BTC) > 0
    return bench, broker


def why_dropped(bench: Bench) -> list[str]:
    return [record.reason for record in bench.journal.intents(["rejected"])]


def note(bench: Bench) -> str:
    return list(bench.journal.cycles.values())[-1].note


# ---- cancels ----


def test_a_cancel_that_the_venue_never_confirms_is_not_taken_for_confirmed(tmp_path: Path) -> None:
    bench, broker, entry = waiting(tmp_path)
    broker.at_cancel = [None]
    assert bench.desk.cancel([entry]) is False
    (alert,) = bench.alerts("cancel")
    assert alert.detail.startswith("1 cancels unconfirmed after 10 s; still working: buy ")
    assert bench.desk.cancel([entry]) is True
    assert not bench.open_orders(BTC)


def test_a_venue_that_does_not_say_what_became_of_an_order_has_confirmed_nothing(tmp_path: Path) -> None:
    bench, broker, entry = waiting(tmp_path)
    broker.mute = "no answer"
    assert bench.desk.cancel([entry]) is False
    broker.mute = ""
    assert bench.desk.cancel([entry]) is True


def test_nothing_is_entered_while_an_earlier_entrys_cancel_is_unconfirmed(tmp_path: Path) -> None:
    """Not in another symbol either: it was sized as if the first were gone, and that one may still fill."""
    bench, broker, _ = waiting(tmp_path, BTC, ETH)
    bench.wish.clear()
    enter(bench, ETH)
    broker.at_cancel = [None, None]
    bench.cycle()
    assert not bench.open_orders(ETH)
    assert why_dropped(bench)[-1] == "an earlier order's cancel is unconfirmed"
    bench.cycle()
    assert len(bench.open_orders(ETH)) == 1


def test_an_exit_waits_in_one_run_for_one_cancel_only(tmp_path: Path) -> None:
    bench, broker = holding(tmp_path, exits__exit_rests="stop")
    (stop,) = bench.open_orders(BTC)
    bench.desk.set_flag("flatten", "BTC/USD")
    broker.cancelled, broker.at_cancel = [], [None] * 3
    bench.manage()
    assert broker.cancelled == [stop.id]
    assert [order.id for order in bench.open_orders(BTC)] == [stop.id]
    assert broker.sent[-1].purpose is Purpose.STOP, "nothing was sent beside it"


# ---- entries ----


def test_a_symbol_that_is_held_by_now_is_not_entered(tmp_path: Path) -> None:
    """A person bought it after the plan. Where the venue takes no exit only a look at what is held shows it."""
    bench, broker, _ = waiting(tmp_path)

    def bought(order_id: str) -> None:
        broker.really_cancel(order_id)
        bench.by_hand(BTC, OrderSide.BUY, "1")
        bench.desk.pause(5.0)

    broker.refuses = {Purpose.STOP, Purpose.TARGET}
    broker.at_cancel = [None, bought]
    bench.cycle()
    assert bench.held(BTC) == Decimal("0.9975")
    assert [intent.purpose for intent in broker.sent] == [Purpose.ENTRY, Purpose.STOP]
    assert "filled or taken while this was decided" in why_dropped(bench)


def test_a_symbol_that_a_person_took_while_an_entry_was_decided_is_left_to_them(tmp_path: Path) -> None:
    bench, broker, _ = waiting(tmp_path)

    def taken(order_id: str) -> None:
        broker.really_cancel(order_id)
        bench.by_hand(BTC, OrderSide.BUY, "1", limit="50")

    broker.at_cancel = [None, taken]
    bench.cycle()
    (theirs,) = bench.open_orders(BTC)
    assert theirs.limit_price == 50
    assert why_dropped(bench) == ["filled or taken while this was decided"]


def test_the_cycle_of_a_bar_runs_once(tmp_path: Path) -> None:
    bench, broker, _ = waiting(tmp_path)
    close = bench.trader.rules.timeframe.floor(bench.venue.now)
    sent = len(broker.sent)
    assert bench.trader.trade(close) is False
    assert len(broker.sent) == sent


def test_an_entry_of_the_bar_before_can_not_fill_while_the_next_is_thought_of(tmp_path: Path) -> None:
    bench, _, _ = waiting(tmp_path)
    seen: list[int] = []

    class Watching(Still):
        def forecast(self, contexts: Sequence[Context]) -> Mapping[str, Forecast]:
            seen.append(len(bench.open_orders(BTC)))
            return super().forecast(contexts)

    bench.trader.forecaster = Watching()
    bench.cycle()
    assert seen == [0]


def test_nothing_is_forecast_from_bars_with_a_gap(tmp_path: Path) -> None:
    table = level_bars(count=150).drop(index=range(30, 60)).reset_index(drop=True)
    bench = bench_on({"BTC/USD": table}, tmp_path)
    enter(bench)
    bench.cycle()
    assert "a gap of 30 bars" in note(bench)
    assert not bench.open_orders(BTC)
    assert bench.trader.fruitless == 1


def test_nothing_is_forecast_from_another_coins_bars(tmp_path: Path) -> None:
    class Doubled(VenueData):
        def bars(
            self, symbols: Sequence[Symbol], timeframe: Timeframe, *, end: datetime, count: int
        ) -> Mapping[Symbol, Bars]:
            found = super().bars(symbols, timeframe, end=end, count=count)
            return {each: replace(bars, values=bars.values * 2, whole=None) for each, bars in found.items()}

    bench, _ = started(tmp_path)
    bench.trader.market = Doubled(bench.venue)
    enter(bench)
    bench.cycle()
    assert "another instrument's series" in note(bench)
    assert bench.trader.fruitless == 1


def test_with_real_quotes_off_none_is_looked_at_and_nothing_is_entered(tmp_path: Path) -> None:
    bench, _ = started(tmp_path)
    bench.trader.rules = replace(bench.trader.rules, add_latest=False)
    enter(bench)
    bench.cycle()
    assert not bench.open_orders(BTC)
    assert "ADD_LATEST is off" in note(bench)
    assert not bench.desk.board.quotes


def test_a_stock_is_not_entered_where_it_would_have_to_be_left_at_once(tmp_path: Path) -> None:
    """Ten minutes before the close what is held is sold."""
    bench = bench_on({"SPY": level_bars("SPY", 160, "5Min")}, tmp_path, timeframe="5Min")
    bench.want(SPY, "99.50", "103.00", "97.00")
    close = bench.trader.sessions.close_of(SPY, bench.venue.now)
    assert close is not None
    for minutes, entered in ((20, 1), (10, 0)):
        bench.go(close - timedelta(minutes=minutes))
        bench.trader.trade(close - timedelta(minutes=minutes))
        assert len(bench.open_orders(SPY)) == entered


def test_where_something_can_not_be_read_nothing_is_entered(tmp_path: Path) -> None:
    bench, broker = started(tmp_path, BTC, ETH)
    broker.unreadable = (Opaque(kind="order", symbol=BTC, detail="of several legs"),)
    enter(bench)
    enter(bench, ETH)
    bench.cycle()
    assert [intent.symbol for intent in broker.sent] == [ETH]


def test_while_what_happens_at_the_venue_is_not_heard_nothing_is_entered(tmp_path: Path) -> None:
    bench, broker = started(tmp_path)
    bench.manager.doubts["stream"] = lambda: "the stream is mute"
    bench.manage()
    enter(bench)
    bench.cycle()
    assert broker.sent == []
    bench.manager.doubts["stream"] = lambda: ""
    bench.manage()
    bench.cycle()
    assert len(broker.sent) == 1


# ---- what is sent, once ----


def test_every_order_is_in_the_journal_before_it_is_sent(tmp_path: Path) -> None:
    bench, broker = started(tmp_path)
    known: list[bool] = []

    def look(intent: OrderIntent) -> None:
        known.append(intent.client_order_id in {each.intent.client_order_id for each in bench.journal.intents()})

    broker.before_submit = look
    enter(bench)
    for _ in range(3):
        bench.cycle()
    bench.go(bench.venue.now.replace(minute=59))
    bench.manage()
    assert {intent.purpose for intent in broker.sent} == {Purpose.ENTRY, Purpose.STOP}
    assert all(known)


def test_an_order_whose_answer_was_lost_is_looked_for_before_it_is_sent_again(tmp_path: Path) -> None:
    bench, broker = started(tmp_path)
    broker.loses = 1
    enter(bench)
    bench.cycle()
    assert len(broker.sent) == 1
    assert [record.state for record in bench.journal.intents()] == ["accepted"]
    assert len(bench.open_orders(BTC)) == 1


def test_a_name_that_the_venue_has_already_is_the_order_that_arrived(tmp_path: Path) -> None:
    bench, broker = started(tmp_path)
    broker.loses = broker.lookups = 1
    enter(bench)
    bench.cycle()
    assert len({intent.client_order_id for intent in broker.sent}) == 1
    assert len(broker.sent) == 2
    assert [record.state for record in bench.journal.intents()] == ["accepted"]
    assert not bench.alerts("refused")


# ---- the books ----


def test_nothing_is_entered_while_units_are_not_explained(tmp_path: Path) -> None:
    bench, _, _ = waiting(tmp_path, BTC, ETH)
    bench.wish.clear()
    enter(bench, ETH)
    stray = Holding(qty=Decimal(3), cost=Decimal(300))
    bench.venue.books = replace(bench.venue.books, holdings={BTC: stray})
    bench.cycle()
    assert "3 at the venue, 0 by the books" in bench.desk.doubt()
    assert not bench.open_orders(ETH)
    assert bench.journal.denials["paused"] == 1


def test_money_that_stays_away_stops_entries_until_a_person_looks(tmp_path: Path) -> None:
    bench, _ = started(tmp_path)
    bench.venue.books = replace(bench.venue.books, cash=bench.venue.books.cash - 9_000)
    for _ in range(20):
        bench.desk.pause(10.0)
        bench.manage()
    assert "no execution explains it" in bench.desk.flags()["halted"]
    assert len(bench.alerts("halt")) == 1


def test_the_first_reason_to_halt_is_the_one_that_stands(tmp_path: Path) -> None:
    bench, _ = started(tmp_path)
    bench.desk.halt("the books differ")
    bench.desk.halt("something else")
    assert bench.desk.flags()["halted"] == "the books differ"
    assert len(bench.alerts("halt")) == 1


def test_a_fill_from_before_the_books_is_in_their_opening_balance_only(tmp_path: Path) -> None:
    """Though the venue tells of it again, as one that is asked by the day does."""

    def traded_before(venue: Venue, ledger: MemoryLedger) -> Odd:
        venue.submit(
            NewOrder(symbol="BTC/USD", side=OrderSide.BUY, qty=Decimal(2), type=OrderType.MARKET, tif=TimeInForce.GTC)
        )
        while not ledger.fills_since(START):
            venue.advance(venue.now + timedelta(seconds=10))
        venue.advance(venue.now + timedelta(seconds=10))
        broker = Odd(venue, ledger)
        broker.shows_all_fills = True
        return broker

    tables = {symbol.text: level_bars(symbol.text) for symbol in (BTC, ETH)}
    bench = bench_on(tables, tmp_path, broker_of=traded_before)
    bench.desk.pause(10.0)
    bench.by_hand(ETH, OrderSide.BUY, "1")  # so that fills are asked for
    bench.go(bench.venue.now + timedelta(seconds=30))
    bench.manage()
    assert bench.desk.flags()["halted"] == ""
    assert bench.desk.known.books().positions == {symbol: bench.held(symbol) for symbol in (BTC, ETH)}
    assert [fill.qty for fill in bench.journal.executions()] == [1]


# ---- what is held, and what a person wants ----


def test_an_exit_that_the_venue_refused_is_not_sent_again_at_once(tmp_path: Path) -> None:
    bench, broker = started(tmp_path)
    broker.refuses = {Purpose.STOP, Purpose.TARGET}
    enter(bench)
    for _ in range(3):
        bench.cycle()
    bench.wish.clear()
    bench.go(bench.venue.now.replace(minute=59))
    exits = len(broker.sent)
    for _ in range(5):
        bench.manage()
    assert len(broker.sent) == exits + 1
    broker.refuses.clear()
    bench.desk.pause(6.0)
    bench.manage()
    assert len(bench.open_orders(BTC)) == 1


def test_an_entry_that_has_waited_too_long_goes_between_bars(tmp_path: Path) -> None:
    bench, _, _ = waiting(tmp_path)
    bench.manager.policy = replace(bench.manager.policy, max_order_age=timedelta(minutes=10))
    bench.manage()
    assert len(bench.open_orders(BTC)) == 1
    bench.desk.pause(600.0)
    bench.manage()
    assert not bench.open_orders(BTC)


def test_a_kill_takes_the_entries_that_wait(tmp_path: Path) -> None:
    bench, _, _ = waiting(tmp_path)
    bench.desk.set_flag("killed", "by hand")
    bench.manage()
    assert not bench.open_orders(BTC)


def test_a_kill_takes_an_entry_that_the_venues_list_leaves_out(tmp_path: Path) -> None:
    bench, broker, _ = waiting(tmp_path)
    broker.hides = True
    bench.desk.pause(1.0)  # where no time passes it is not asked again
    bench.desk.set_flag("killed", "by hand")
    bench.manage()
    assert not bench.open_orders(BTC)


def test_a_latch_is_obeyed_in_the_next_run(tmp_path: Path) -> None:
    bench, _, _ = waiting(tmp_path)
    bench.manager.guards = GuardFiles(latch=Latch(tmp_path, "sim"))
    bench.manage()
    assert len(bench.open_orders(BTC)) == 1
    Latch(tmp_path, "sim").set("killed", "by hand", bench.venue.now)
    bench.manager.manage()
    assert bench.desk.flags()["killed"].startswith("by hand")
    assert not bench.open_orders(BTC)


def test_a_run_ends_where_another_daemon_has_the_journal_by_now(tmp_path: Path) -> None:
    bench, broker = started(tmp_path)

    def another() -> None:
        raise AccountLocked("another daemon writes into this journal")

    bench.manager.guards = GuardFiles(keep_lock=another)
    with pytest.raises(AccountLocked):
        bench.manage()
    assert broker.sent == []


def test_the_daemon_leaves_no_entry_that_nobody_watches(tmp_path: Path) -> None:
    bench, _, _ = waiting(tmp_path)
    leave_safe(bench.manager)
    assert not bench.open_orders(BTC)


def test_the_daemon_leaves_the_stop_resting(tmp_path: Path) -> None:
    bench, _ = holding(tmp_path, exits__exit_rests="target")
    assert [order.stop_price for order in bench.open_orders(BTC)] == [None]
    leave_safe(bench.manager)
    assert [order.stop_price for order in bench.open_orders(BTC)] == [97]
