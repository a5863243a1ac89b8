"""One alarm with its own name for what is held and not looked after: within a minute, again and again, and an end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from tests.trading.bench import Bench
from tests.trading.test_exit_trouble import held, with_quotes, without_exit
from tests.trading.test_partly_there import beats, on
from trader.core.types import Purpose, Symbol
from trader.trading.unwatched import NO_EXIT, NO_PRICE, NO_REPORT, Unwatched

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
    for what in (NO_PRICE, NO_EXIT):
        watch.in_order(BTC, what)
    watch.look()
    assert clock.told[-1].startswith("unwatched info: BTC/USD: over")


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
