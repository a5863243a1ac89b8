"""Figures that are told wrong: nothing is sized, sold or entered on one that something else contradicts."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from tests.faults.harness import Scene
from tests.faults.script import at, held, more, quotes, resume, sells, sold_at_the_market
from tests.faults.universal import caps_hold, nothing_unmanaged

Scenes = Callable[..., Scene]


def test_row_63_one_tenfold_equity_ends_nothing(scene: Scenes) -> None:
    one = scene(seed=2, RISK__MAX_DRAWDOWN="0.15")
    held(one)
    one.faults(at("account", {"figure": "equity", "times": 10}, nth=3))
    one.run(6)
    assert one.fired() == [1]
    assert len(one.entries()) >= 2
    assert "drawdown" not in one.alerts()
    assert "equity" not in one.alerts()
    one.assert_universal()


@pytest.mark.parametrize("factor", [10, more(0.1), more(0), -1])
def test_row_64_nothing_is_traded_on_cash_that_is_told_wrong(scene: Scenes, factor: float) -> None:
    one = scene(seed=2)
    before, entries = held(one), len(one.entries())
    one.faults(at("account", {"figure": "cash", "times": factor}))
    one.run(1, expect=None)
    assert one.ledger()["holdings"] == before
    assert len(one.entries()) == entries
    assert "cash" in one.flag("halted")
    with one.journal() as journal:
        assert {each.kind for each in journal.corrections(limit=None)} <= {"opening"}, "booked, though equity denies it"
    nothing_unmanaged(one.ledger())


@pytest.mark.parametrize("factor", [10, 0.1])
def test_row_65_units_that_are_told_wrong_sell_no_more_than_the_books_say(scene: Scenes, factor: float) -> None:
    one = scene(seed=2)
    units = Decimal(held(one)["BTC/USD"])
    one.faults(at("positions", {"figure": "qty", "times": factor}))
    one.run(1, expect=70)
    assert all(Decimal(order["qty"]) <= units for order in sells(one))
    caps_hold(one.ledger())
    nothing_unmanaged(one.ledger())
    assert "books" in one.alerts()
    one.faults()
    resume(one)
    one.run(2)
    one.assert_universal()


MARK: dict[str, Any] = {"figure": "mark"}
BOTH = ["bid", "ask"]


@pytest.mark.parametrize(
    "rules",
    [
        more([at("positions", MARK | {"value": 0})]),
        [at("positions", MARK | {"value": "NaN"})],
        more([at("positions", MARK | {"times": -1})]),
        [at("positions", MARK | {"times": 0.1})],
        more([at("positions", MARK | {"times": 10})]),
        [at("quotes", {"figure": BOTH, "times": 0.1})],
        more([at("quotes", {"figure": BOTH, "times": 10})]),
        more([at("quotes", {"figure": BOTH, "value": "NaN"})]),
        more([at("quotes", {"figure": BOTH, "times": -1})]),
        [quotes("zero"), at("positions", MARK | {"times": 0.1})],
        more([quotes("absurd", bid=150, ask=260)]),
    ],
    ids=lambda rules: "+".join("-".join(str(value) for value in rule["do"].values()) for rule in rules),
)
def test_row_66_nothing_is_sold_at_the_market_on_a_price_that_can_not_be(
    scene: Scenes, rules: list[dict[str, Any]]
) -> None:
    one = scene(seed=2)
    held(one)
    one.faults(*rules)
    one.run(1)
    assert min(one.fired()) > 0
    assert not sold_at_the_market(one)
    nothing_unmanaged(one.ledger())
    one.faults()
    one.run(1)
    one.assert_universal()


def test_row_67_on_swapped_quotes_nothing_is_entered(scene: Scenes) -> None:
    one = scene(seed=2, symbols="BTC/USD,ETH/USD", rules=[quotes("swapped", symbol="BTC/USD", **{"with": "ETH/USD"})])
    one.run(3)
    assert one.fired()[0] > 0
    assert not one.entries()
    one.faults()
    one.run(2)
    assert one.entries()
    one.assert_universal()


def test_row_67_on_swapped_quotes_nothing_is_left(scene: Scenes) -> None:
    one = scene(seed=2, symbols="BTC/USD,ETH/USD")
    held(one)
    one.faults(quotes("swapped", symbol="BTC/USD", **{"with": "ETH/USD"}))
    one.run(1)
    assert not sold_at_the_market(one)
    assert "price: " in one.alerts()
    one.faults()
    one.run(1)
    one.assert_universal()


@pytest.mark.parametrize("factor", [10, more(2), more(0)])
def test_row_68_filled_units_that_can_not_be_are_not_booked(scene: Scenes, factor: float) -> None:
    """Told wrong by the orders alone: what was traded is what the activities say."""
    places = ["orders", "order", "order_by_client_id", "submit"]
    one = scene(seed=2, rules=[at(places, {"figure": "filled_qty", "times": factor})])
    one.run(4)
    caps_hold(one.ledger())
    nothing_unmanaged(one.ledger())
    one.faults()
    one.run(2)
    one.assert_universal()
