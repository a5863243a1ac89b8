"""One alarm with its own name for what is held and not looked after: within a minute, again and again, and an end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.core import make
from tests.trading.bench import Bench
from tests.trading.test_exit_trouble import held, with_quotes, without_exit
from tests.trading.test_partly_there import beats, on
from trader.core.types import OrderSide, Purpose, Symbol
from trader.trading.cover import Cover
from trader.trading.status import Board
from trader.trading.unwatched import NO_COVER, NO_EXIT, NO_PRICE, NO_REPORT, Unwatched

BTC = Symbol("BTC/USD")


def told(bench: Bench) -> Sequence[tuple[str, str]]:
    return [(alert.severity, alert.detail) for alert in bench.alerts("unwatched")]


def test_no_exit_at_rest_is_an_alarm_within_a_minute_that_ends(tmp_path: Path) -> None:
    bench, broker = held(tmp_path)
    broker.refuses = set(Purpose)
    without_exit(bench)
    bench.manage()
    beats(bench, timedelta(seconds=55), every_s=5.0)
    assert not told(bench)
    beats(bench, timedelta(seconds=10), every_s=5.0)
    ((severity, detail),) = told(bench)
    assert severity == "error"
    assert NO_EXIT in detail
    beats(bench, timedelta(minutes=11), every_s=5.0)
    assert len(told(bench)) == 2, "said again"
    broker.refuses = set()
    beats(bench, timedelta(minutes=2), every_s=5.0)
    assert told(bench)[-1][0] == "info"


def test_an_entry_that_may_fill_while_nothing_can_be_seen_is_an_alarm(tmp_path: Path) -> None:
    bench, broker = on(tmp_path)
    bench.want(BTC, "99.50", "103.00", "97.00")
    bench.cycle()
    broker.away = {"positions"}
    beats(bench, timedelta(seconds=55), every_s=5.0)
    assert not told(bench)
    beats(bench, timedelta(seconds=15), every_s=5.0)
    ((severity, detail),) = told(bench)
    assert severity == "error"
    assert "may be held" in detail
    assert NO_REPORT in detail
    broker.away = set()
    beats(bench, timedelta(seconds=10), every_s=5.0)
    assert told(bench)[-1][0] == "info"


def test_the_alarm_of_an_entry_goes_on_where_it_filled_unseen_and_has_no_exit_yet() -> None:
    """An all-clear at the first report would be followed by a minute in which it lies bare and nobody is told."""
    now, alerts = [0.0], list[tuple[str, str]]()
    unwatched = Unwatched(lambda: now[0], lambda kind, severity, text: alerts.append((severity, text)))
    unwatched.unseen(lambda: [BTC])
    now[0] = 300.0
    unwatched.look()
    unwatched.reported([BTC])
    unwatched.in_order(BTC, NO_PRICE, NO_COVER)
    unwatched.look()
    assert [severity for severity, _ in alerts] == ["error"]
    unwatched.in_order(BTC, NO_EXIT)
    unwatched.look()
    assert [severity for severity, _ in alerts] == ["error", "info"]


def test_no_price_is_an_alarm_though_the_stop_rests(tmp_path: Path) -> None:
    bench, broker = held(tmp_path)
    quotes = with_quotes(bench)
    bench.manage()
    broker.markless = quotes.away = True
    beats(bench, timedelta(seconds=110), every_s=5.0)  # the last quote does for a minute
    assert not told(bench)
    beats(bench, timedelta(seconds=15), every_s=5.0)
    ((_, detail),) = told(bench)
    assert NO_PRICE in detail
    assert NO_EXIT not in detail


class Ticking:
    """Seconds that a test counts."""

    def __init__(self) -> None:
        self.now = 0.0
        self.told: list[str] = []

    def seconds(self) -> float:
        return self.now

    def alert(self, kind: str, severity: str, text: str) -> None:
        self.told.append(f"{kind} {severity}: {text}")


def test_jobs_that_hang_are_told_of_from_outside() -> None:
    clock = Ticking()
    watch = Unwatched(clock.seconds, clock.alert, after_s=60, repeat_s=300)
    watch.reported([BTC])
    clock.now = 59
    watch.look()
    assert not clock.told
    for clock.now in range(60, 400):
        watch.look()
    assert len(clock.told) == 2
    assert NO_REPORT in clock.told[0]
    watch.reported([BTC])
    watch.in_order(BTC, NO_PRICE, NO_EXIT, NO_COVER)
    watch.look()
    assert clock.told[-1].startswith("unwatched info: BTC/USD: over")


def looked(watch: Unwatched, *, price: bool) -> None:
    watch.reported([BTC])
    watch.in_order(BTC, NO_EXIT, NO_COVER, *([NO_PRICE] if price else []))
    watch.look()


def test_a_gap_in_which_nobody_looked_is_no_time_without_a_price() -> None:
    clock = Ticking()
    watch = Unwatched(clock.seconds, clock.alert)
    for clock.now, price in ((0, True), (21_600, False), (43_200, True), (64_800, False)):
        looked(watch, price=price)
    assert not clock.told
    clock.now = 86_400
    looked(watch, price=False)
    assert clock.told == [f"unwatched error: BTC/USD is held: {NO_PRICE} for 21600 s"], "at two looks in a row"


def test_a_daemon_that_looks_each_minute_tells_at_the_first_look_without_a_price() -> None:
    clock = Ticking()
    watch = Unwatched(clock.seconds, clock.alert)
    for clock.now, price in ((0, True), (60, True), (120, False)):
        looked(watch, price=price)
    assert len(clock.told) == 1
    assert NO_PRICE in clock.told[0]


def test_a_daemon_that_was_frozen_and_wakes_to_no_price_tells_within_a_minute() -> None:
    clock = Ticking()
    watch = Unwatched(clock.seconds, clock.alert)
    looked(watch, price=True)
    for clock.now in range(18_000, 18_065, 5):
        looked(watch, price=False)
    (told,) = clock.told
    assert f"{NO_PRICE} for 60 s" in told


def test_what_is_not_held_any_more_is_no_alarm() -> None:
    clock = Ticking()
    watch = Unwatched(clock.seconds, clock.alert)
    watch.reported([BTC])
    clock.now = 100
    watch.reported([])
    watch.look()
    assert not clock.told


def test_dust_is_no_alarm(tmp_path: Path) -> None:
    bench, _ = held(tmp_path)
    bench.desk.set_flag("flatten", "BTC/USD")
    beats(bench, timedelta(minutes=3), every_s=10.0)
    assert bench.held(BTC) * 100 < Decimal(1)
    assert not told(bench)


# ---- an exit for less than is held ----


def test_an_exit_for_less_than_is_held_is_an_alarm_that_ends(tmp_path: Path) -> None:
    bench, broker = held(tmp_path)
    broker.refuses = set(Purpose)
    without_exit(bench)
    theirs = bench.by_hand(BTC, OrderSide.SELL, f"{bench.held(BTC) * Decimal('0.4'):.4f}", "150")
    broker.refuses = set()
    beats(bench, timedelta(seconds=130), every_s=5.0)
    ours = [order for order in bench.open_orders(BTC) if order.id != theirs.id]
    assert sum((order.qty for order in ours), Decimal(0)) < bench.held(BTC) * Decimal("0.7")
    ((severity, detail),) = told(bench)
    assert severity == "error"
    assert NO_COVER in detail
    bench.venue.cancel(theirs.id)
    beats(bench, timedelta(seconds=60), every_s=5.0)
    assert told(bench)[-1][0] == "info"
    assert len(told(bench)) == 2


@pytest.mark.parametrize(
    ("held_units", "ordered", "filled", "alarm", "dust"),
    [
        ("1", "1", "0", False, {}),
        ("0.75", "1", "0.25", False, {}),  # filled in part, and the rest rests on
        ("1", "1", "0.25", True, {}),
        ("1", "0.9", "0", True, {}),
        ("-1", "0.9", "0", True, {}),
        ("1.000000002", "1", "0", False, {"BTC/USD": "2E-9"}),
        ("0.000000002", "0", "0", False, {"BTC/USD": "2E-9"}),
    ],
)
def test_what_no_exit_covers_is_told_and_dust_is_shown(
    held_units: str, ordered: str, filled: str, alarm: bool, dust: dict[str, str]
) -> None:
    clock = Ticking()
    watch = Unwatched(clock.seconds, clock.alert)
    board = Board(mode="sim", backend="", strategy="", timeframe="1Hour", symbols=(BTC,))
    cover = Cover(board, watch)
    watch.reported([BTC])
    resting = [make.order(Purpose.STOP, side=OrderSide.SELL, qty=ordered, filled_qty=Decimal(filled))]
    for clock.now in range(0, 100, 5):
        watch.reported([BTC])
        watch.in_order(BTC, NO_PRICE)
        cover.look(BTC, make.position(qty=held_units), resting if Decimal(ordered) else [], make.instrument())
        watch.look()
    assert bool(clock.told) == alarm
    assert board.status()["dust"] == dust
    cover.gone([])
    assert board.dust == {}
