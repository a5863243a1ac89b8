"""A strategy that raises, hangs or talks nonsense; and gates that close. Entries wait, exits go on."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.harness import Scene
from tests.faults.script import at, more
from tests.receiver import receiving
from tests.waiting import GENEROUS_S

Scenes = Callable[..., Scene]

STRATEGY = '''"""Trades like maxdiff for a while."""
import threading, time
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from trader.core.decision import Signal
from trader.core.types import EntrySide, Symbol
from trader.strategies import maxdiff

calls = 0
BTC, LONG, SHORT = Symbol("BTC/USD"), EntrySide.LONG, EntrySide.SHORT


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """Nothing to choose."""


def decide(view, params):
    global calls
    calls += 1
    if {first} <= calls <= {last}:
        Path("{stamp}").write_text(str(time.monotonic()))
        {deed}
    return maxdiff.decide(view, maxdiff.Params())
'''


def written(folder: Path, deed: str, first: int = 1, last: int = 10**9) -> str:
    """The path of one that does `deed` from its first to its last such call."""
    path = folder / "strategy.py"
    path.write_text(STRATEGY.format(deed=deed, first=first, last=last, stamp=folder / "stamp"))
    return str(path)


def traded(one: Scene) -> None:
    """In and out, though the strategy is of no use from the second cycle on."""
    assert [each["side"] for each in one.ledger()["executions"]][:2] == ["buy", "sell"]
    assert len(one.entries()) == 1


def test_row_69_a_strategy_that_raises_costs_entries_and_no_exit(scene: Scenes, tmp_path: Path) -> None:
    one = scene(seed=2, STRATEGY=written(tmp_path, "raise ZeroDivisionError('division by zero')", first=2))
    one.run(6)
    traded(one)
    assert "ZeroDivisionError: division by zero: nothing is entered, exits go on" in one.alerts()
    assert one.alerts().count("strategy:") == 2  # in the first such cycle and in the third
    one.assert_universal()


def test_row_69_it_is_told_at_once_and_when_it_is_over(
    scene: Scenes, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    strategy = written(tmp_path, "raise ZeroDivisionError('division by zero')", last=2)
    with receiving() as receiver:
        one = scene(seed=2, speed="3600", STRATEGY=strategy, ALERT_WEBHOOK_URL=receiver.url)
        began = time.monotonic()
        one.run_until(lambda: receiver.find("strategy", "info"))
        told = receiver.wait("strategy", "error", after=began, within_s=GENEROUS_S)
        over = receiver.wait("strategy", "info", after=began, within_s=GENEROUS_S)
    assert told.at < over.at
    raised_last = float((tmp_path / "stamp").read_text())
    record_property("alarm", [69, "strategy", max(told.at - raised_last, 0.0), 0.0, over.at - raised_last])
    one.leave_the_market()
    one.assert_universal()


def test_row_70_a_strategy_that_never_returns_is_given_up_and_exits_go_on(scene: Scenes, tmp_path: Path) -> None:
    one = scene(seed=2, STRATEGY=written(tmp_path, "threading.Event().wait()", first=2), STRATEGY_DEADLINE_S="0.3")
    one.run(6)
    traded(one)
    assert "has not answered within 0.3 s" in one.alerts()
    one.assert_universal()


@pytest.mark.parametrize(
    "deed",
    [
        "return [Signal(symbol=BTC, entry_side=LONG, entry=Decimal('NaN'), stop=Decimal('NaN'))]",
        more("return [Signal(symbol=BTC, entry_side=LONG, entry=Decimal(-5), target=Decimal(9), stop=Decimal(-9))]"),
        more("return [Signal(symbol=Symbol('DOGE/USD'), entry_side=LONG, entry=Decimal(5), target=Decimal(9))]"),
        "return [Signal(symbol=BTC, entry_side=LONG, entry=Decimal(10**9), target=Decimal(10**10), stop=Decimal(1))]",
        more("return 'buy everything'"),
        more("return [None, 7, 'BTC/USD']"),
    ],
)
def test_row_71_signals_that_can_not_be_meant_are_denied_one_by_one(scene: Scenes, tmp_path: Path, deed: str) -> None:
    one = scene(seed=2, STRATEGY=written(tmp_path, deed, first=2))
    one.run(6)
    traded(one)
    assert not [order for order in one.ours().values() if order["symbol"] != "BTC/USD"]
    one.assert_universal()


def test_row_71_beside_one_that_can_not_be_meant_the_others_go(scene: Scenes, tmp_path: Path) -> None:
    nonsense = "Signal(symbol=Symbol('ETH/USD'), entry_side=LONG, entry=Decimal('Infinity'))"
    deed = f"return [{nonsense}, *maxdiff.decide(view, maxdiff.Params())]"
    one = scene(seed=2, STRATEGY=written(tmp_path, deed))
    one.run(3)
    assert one.entries()
    assert "can't be meant" in one.alerts()
    one.assert_universal()


def test_row_60_nothing_is_sold_short_once_the_venue_does_not_lend_it(scene: Scenes, tmp_path: Path) -> None:
    deed = (
        "return [Signal(symbol=s, entry_side=SHORT, entry=i.price_down(q.bid), edge=Decimal('0.03'),"
        " target=i.price_down(q.bid * Decimal('0.97')), stop=i.price_down(q.bid * Decimal('1.02')))"
        " for s, i in view.instruments.items() if (q := view.quotes.get(s)) is not None]"
    )
    one = scene(seed=2, symbols="AAPL", STRATEGY=written(tmp_path, deed), exchange=["--start", "2024-03-05T15:00:00Z"])
    one.run(1)
    shorted = [order for order in one.entries() if order["side"] == "sell"]
    assert shorted, "while it is lent"
    one.faults({"on": {"symbol": "AAPL"}, "do": {"asset": {"shortable": False, "easy_to_borrow": False}}})
    one.run(8)
    refused = [order for order in one.entries()[len(shorted) :] if order["side"] == "sell"]
    assert not refused
    one.faults()


# ---- gates ----


def test_row_88_a_gate_that_closes_is_told_with_its_room_and_when_it_opens(scene: Scenes) -> None:
    one = scene(seed=2, exchange=["--start", "2024-03-05T18:00:00Z"], RISK__MAX_DAY_ORDERS="1")
    one.run(4)
    assert len(one.entries()) == 1
    assert "gate: day_orders: nothing is entered" in one.alerts()
    assert one.status()["gates"]["day_orders"] == "0.00"
    one.run(4)  # over midnight, and another one goes
    assert len(one.entries()) == 2
    one.assert_universal()


def test_row_88_while_it_runs_it_says_when_a_gate_opens(scene: Scenes) -> None:
    one = scene(seed=2, exchange=["--start", "2024-03-05T20:00:00Z"], RISK__MAX_DAY_ORDERS="1")
    one.run(7)
    told = [text for text in one.alerts().splitlines() if "day_orders" in text]
    assert "gate: day_orders: open again" in told
    one.assert_universal()


def test_row_88_a_loss_of_the_day_is_told(scene: Scenes) -> None:
    one = scene(seed=2, RISK__MAX_DAILY_LOSS="0.0001", RISK__MAX_DRAWDOWN="0.0001")
    one.run(12)
    assert "gate: daily_loss" in one.alerts()
    assert "--reset-peak" in one.alerts()
    one.assert_universal()


def test_row_50_entries_that_are_taken_and_then_rejected_end_at_a_gate(scene: Scenes) -> None:
    one = scene(seed=2, RISK__MAX_REFUSALS="3", rules=[at("submit", {"reject_late": "not today"}, side="buy")])
    one.run(8)
    assert len(one.entries()) == 3
    assert {order["status"] for order in one.entries()} == {"rejected"}
    assert not one.ledger()["executions"]
    assert "gate: refusals: nothing is entered" in one.alerts()
    one.faults()
    resumed = one.trader("resume")
    assert resumed.wait() == 0, resumed.said()
    one.run(4)
    assert one.ledger()["executions"]
    one.assert_universal()
