"""What must always hold, and that each thing that does not is told."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.make import BTC, NOW, account, order, position
from trader.core.invariants import violations
from trader.core.types import Order, OrderSide, Portfolio, Position, Purpose

D = Decimal


def portfolio(*orders: Order, held: Position | None = None) -> Portfolio:
    positions = {held.symbol: held} if held is not None else {}
    return Portfolio(account=account(), positions=positions, orders=orders, at=NOW)


def found(whole: Portfolio, *, known: bool = True) -> tuple[str, ...]:
    ids = {each.client_order_id for each in whole.orders} if known else set()
    return violations(whole, ids, D(100_000), max_symbol=D("0.2"), max_gross=D("0.8"))


STOP = order(Purpose.STOP, side=OrderSide.SELL, name="s")
TARGET = order(Purpose.TARGET, side=OrderSide.SELL, name="t")
HAND = order(None, side=OrderSide.SELL, name="h")


@pytest.mark.parametrize(
    ("whole", "known", "told"),
    [
        (portfolio(), True, ""),
        (portfolio(STOP, held=position()), True, ""),
        (portfolio(STOP, HAND, held=position()), False, "bears our name"),
        (portfolio(HAND, held=position()), False, ""),
        (portfolio(STOP, TARGET, held=position()), True, "exits s, t sell 2, held are 1"),
        (portfolio(STOP, TARGET, held=position(qty="2")), True, ""),
        (portfolio(held=position(qty="-1")), True, "coins cannot be sold short"),
        (portfolio(order(qty="200")), True, ""),
        (portfolio(order(qty="400")), True, "40000.00 held and on order, over 20%"),
        (portfolio(order(qty="1"), held=position(qty="400")), True, "40100.00 held and on order, over 20%"),
        (portfolio(held=position(qty="4000")), True, ""),
    ],
)
def test_what_does_not_hold_is_told_with_its_figures(whole: Portfolio, known: bool, told: str) -> None:
    lines = found(whole, known=known)
    assert (lines == ()) if not told else any(told in line for line in lines), lines


@given(st.lists(st.decimals("0.001", "10", places=3), min_size=2, max_size=5), st.decimals("0.001", "10", places=3))
def test_exits_that_add_up_to_more_than_is_held_are_always_told(parts: list[Decimal], held: Decimal) -> None:
    exits = [replace(STOP, id=f"s{n}", qty=part) for n, part in enumerate(parts)]
    told = found(portfolio(*exits, held=position(qty=str(held))))
    assert bool(told) == (sum(parts) > held * (1 + D("0.000001")))
    assert BTC.text in " ".join(told) or not told
