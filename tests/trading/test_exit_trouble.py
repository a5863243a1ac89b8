"""Exits that are refused, or taken and then refused; prices that are not there or not to be believed; orders of others
in the way. What is held ends protected, or somebody is told; and nothing is tried without end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest

from tests.trading.bench import CONTEXT, Bench, bench_on, level_bars
from tests.trading.test_partly_there import beats, stops
from trader.core.types import Instrument, Order, OrderIntent, OrderSide, OrderStatus, Position, Purpose, Quote, Symbol
from trader.errors import Transient
from trader.exchange.ledger.memory import MemoryLedger
from trader.exchange.venue import Venue
from trader.research.backtest.inprocess import VenueBroker, VenueData
from trader.trading.ports import Accepted, Refused, Submission

BTC, SPY = Symbol("BTC/USD"), Symbol("SPY")


class Moody(VenueBroker):
    """`rejects`: exits are taken, and rejected a moment later. `refuses`: purposes refused at once. `tick`: as the
    venue has it now, and orders off it are refused."""

    def __init__(self, venue: Venue, ledger: MemoryLedger) -> None:
        super().__init__(venue, ledger)
        self.rejects = False
        self.markless = False
        self.refuses: set[Purpose] = set()
        self.tick: Decimal | None = None
        self.rejected: dict[str, Order] = {}
        self.tried: list[OrderIntent] = []

    def submit(self, intent: OrderIntent) -> Submission:
        if not intent.purpose.reduces:
            return super().submit(intent)
        self.tried.append(intent)
        prices = [price for price in (intent.limit_price, intent.stop_price) if price is not None]
        if self.tick is not None and any(price % self.tick for price in prices):
            return Refused(reason="price increment", code=42210000, status=422)
        if intent.purpose in self.refuses:
            return Refused(reason="opposite side order exists", code=40310000, status=403)
        outcome = super().submit(intent)
        if self.rejects and isinstance(outcome, Accepted):
            super().cancel(outcome.order.id)
            self.rejected[outcome.order.id] = replace(outcome.order, status=OrderStatus.REJECTED)
        return outcome

    def positions(self) -> Sequence[Position]:
        return [replace(each, mark=None) if self.markless else each for each in super().positions()]

    def order(self, order_id: str) -> Order | None:
        return self.rejected.get(order_id) or super().order(order_id)

    def instruments(self, symbols: Sequence[Symbol], *, fresh: bool = False) -> Mapping[Symbol, Instrument]:
        found = super().instruments(symbols)
        return found if self.tick is None else {s: replace(each, tick=self.tick) for s, each in found.items()}


def held(folder: Path, symbol: Symbol = BTC, bars: pd.DataFrame | None = None, **flags: object) -> tuple[Bench, Moody]:
    bars = level_bars(symbol.text) if bars is None else bars
    bars.loc[CONTEXT + 1, "low"] = 99.0
    flags = {"exits__exit_rests": "stop", **flags}
    bench = bench_on({symbol.text: bars}, folder, broker_of=Moody, **flags)
    bench.enter(symbol)
    bench.desk.pause(15.0)
    bench.manage()  # it has stayed: no rejection has come after all
    broker = bench.desk.broker
    assert isinstance(broker, Moody)
    broker.tried.clear()
    return bench, broker


def without_exit(bench: Bench, symbol: Symbol = BTC) -> None:
    """Somebody has cancelled it at the venue."""
    bench.venue.cancel(next(order.id for order in bench.open_orders(symbol) if order.parent_id is None))
    bench.desk.pause(1.0)


@pytest.mark.parametrize("how", ["rejects", "refuses"])
def test_exits_that_end_refused_are_tried_ever_more_rarely_and_somebody_is_told(tmp_path: Path, how: str) -> None:
    bench, broker = held(tmp_path)
    broker.rejects, broker.refuses = how == "rejects", set(Purpose) if how == "refuses" else set()
    without_exit(bench)
    began = bench.venue.now
    beats(bench, timedelta(minutes=10), every_s=1.0)
    tried = [each.created_at for each in bench.journal.all_intents.values() if each.created_at >= began]
    assert len(tried) <= 5 + 10
    assert min(b - a for a, b in pairwise(tried)) >= timedelta(seconds=5)
    told = [alert.at for alert in bench.alerts("unprotected")]
    assert len(told) >= 9
    assert max(b - a for a, b in pairwise(told)) <= timedelta(seconds=63)
    assert {each.purpose for each in broker.tried} == {Purpose.STOP, Purpose.TARGET}, "another kind is tried, too"
    broker.rejects, broker.refuses = False, set()
    beats(bench, timedelta(minutes=12), every_s=5.0)
    assert [(side, stop) for side, stop, _ in stops(bench)] == [(OrderSide.SELL, Decimal(97))]
    assert bench.alerts("unprotected")[-1].severity == "info"


def test_a_limit_on_attempts_holds_whatever_else_is_set(tmp_path: Path) -> None:
    bench, broker = held(tmp_path, exits__max_attempts_per_minute=1)
    broker.refuses = set(Purpose)
    without_exit(bench)
    beats(bench, timedelta(minutes=3), every_s=1.0)
    assert len(broker.tried) <= 4


def test_an_oco_that_is_refused_gives_way_to_the_stop(tmp_path: Path) -> None:
    bench, broker = held(tmp_path, SPY, exits__stocks_overnight=True)
    broker.refuses = {Purpose.PROTECT}
    without_exit(bench, SPY)
    beats(bench, timedelta(minutes=1), every_s=1.0)
    assert [(side, stop) for side, stop, _ in stops(bench, SPY)] == [(OrderSide.SELL, Decimal(97))]


def test_a_tick_that_changes_is_read_again_and_the_exit_priced_anew_in_the_same_run(tmp_path: Path) -> None:
    bench, broker = held(tmp_path, exits__fallback_stop_bps=Decimal("333"))
    bench.desk.known.drop_levels(BTC)
    without_exit(bench)
    broker.tick = Decimal("0.1")
    bench.manage()
    (stop,) = [stop for _, stop, _ in stops(bench)]
    assert stop is not None
    assert stop % Decimal("0.1") == 0
    assert bench.alerts("rules")
    assert not bench.alerts("unprotected")


def test_a_persons_buy_that_no_stop_may_rest_beside_is_named_and_the_target_rests(tmp_path: Path) -> None:
    bench, _ = held(tmp_path)
    without_exit(bench)
    theirs = bench.by_hand(BTC, OrderSide.BUY, "0.5", "90")
    beats(bench, timedelta(minutes=1), every_s=1.0)
    resting = [order.limit_price for order in bench.open_orders(BTC) if order.side is OrderSide.SELL]
    assert resting == [Decimal(103)]
    assert theirs.id in bench.alerts("unprotected")[0].detail


@pytest.mark.parametrize(("flag", "value"), [("killed", "by a person"), ("flatten", "BTC/USD")])
@pytest.mark.parametrize("side", OrderSide)
def test_who_says_out_is_out_whatever_order_of_theirs_is_in_the_way(
    tmp_path: Path, side: OrderSide, flag: str, value: str
) -> None:
    bench, _ = held(tmp_path)
    without_exit(bench)
    half = str((bench.held(BTC) / 2).quantize(Decimal("0.1")))
    bench.by_hand(BTC, side, half, "150" if side is OrderSide.SELL else "50")
    bench.desk.set_flag(flag, value)
    beats(bench, timedelta(seconds=30), every_s=5.0)
    assert bench.held(BTC) == 0
    assert not bench.open_orders(BTC)


# ---- prices ----


class Quotes(VenueData):
    """`away`: none come. `told`: instead of the true ones."""

    away = False
    told: tuple[str, str] | None = None

    def quotes(self, symbols: Sequence[Symbol]) -> Mapping[Symbol, Quote]:
        if self.away:
            raise Transient("quotes: 503")
        found = super().quotes(symbols)
        if self.told is None:
            return found
        bid, ask = (Decimal(each) for each in self.told)
        return {symbol: replace(each, bid=bid, ask=ask) for symbol, each in found.items()}


def with_quotes(bench: Bench) -> Quotes:
    quotes = Quotes(bench.venue)
    bench.manager.prices.market = quotes
    return quotes


def test_a_stop_that_is_watched_rests_before_the_quote_is_too_old(tmp_path: Path) -> None:
    bench, _ = held(tmp_path, exits__exit_rests="target")
    assert [stop for _, stop, _ in stops(bench)] == [None], "the target rests, the stop is watched"
    quotes = with_quotes(bench)
    bench.manage()
    quotes.away = True
    beats(bench, timedelta(seconds=25), every_s=5.0)
    assert [stop for _, stop, _ in stops(bench)] == [None], "one failed request changes nothing"
    beats(bench, timedelta(seconds=15), every_s=5.0)
    assert [stop for _, stop, _ in stops(bench)] == [Decimal(97)]
    quotes.away = False
    bench.manage()
    assert [stop for _, stop, _ in stops(bench)] == [None]


def test_a_gap_through_the_stop_limit_is_chased_on_the_mark_where_there_are_no_quotes(tmp_path: Path) -> None:
    bars = level_bars()
    bars.loc[CONTEXT + 3 :, ["open", "high", "low", "close"]] = 90.0
    bench, _ = held(tmp_path, bars=bars)
    with_quotes(bench).away = True
    bench.go(bench.venue.now.replace(minute=0) + timedelta(hours=2, minutes=1))
    beats(bench, timedelta(minutes=1), every_s=5.0)
    assert bench.held(BTC) == 0


@pytest.mark.parametrize("told", [("10", "10.02"), ("50", "260"), ("0", "0"), ("1000", "1001")])
def test_nothing_is_sold_at_the_market_on_a_price_that_nothing_confirms(tmp_path: Path, told: tuple[str, str]) -> None:
    bench, _ = held(tmp_path, exits__exit_rests="target")
    quotes = with_quotes(bench)
    bench.manage()
    before = bench.held(BTC)
    quotes.told = told
    beats(bench, timedelta(seconds=50), every_s=5.0)
    assert bench.held(BTC) == before
    assert [stop for _, stop, _ in stops(bench)] == [Decimal(97)]


def test_the_alarm_ends_with_the_position(tmp_path: Path) -> None:
    bench, broker = held(tmp_path)
    broker.refuses = set(Purpose)
    without_exit(bench)
    bench.manage()
    assert [alert.severity for alert in bench.alerts("unprotected")] == ["error"]
    bench.by_hand(BTC, OrderSide.SELL, str(bench.held(BTC)))
    beats(bench, timedelta(minutes=1), every_s=5.0)
    assert bench.alerts("unprotected")[-1].severity == "info"
