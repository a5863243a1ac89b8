"""Exits by the venue's rules as they are now: another tick, and a limit of one order."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from tests.core.make import NOW, instrument, levels, position, quote, resting
from trader.core.decision import ExitPolicy, ExitRests
from trader.core.protect import protect
from trader.core.types import Instrument, Order, Position

D = Decimal
STOP = ExitPolicy(exit_rests=ExitRests.STOP)
LIMIT = D(400)
CUT = instrument(max_notional=LIMIT)


@pytest.mark.parametrize(("tick", "stop"), [("0.01", "95.37"), ("0.5", "95"), ("5", "95")])
def test_a_stop_of_before_the_tick_changed_is_on_the_tick_of_now(tick: str, stop: str) -> None:
    rules = instrument(tick=D(tick))
    action = protect(position(), quote(), levels(stop="95.37"), STOP, rules, NOW, (), session_close=None)
    assert action.place is not None
    assert action.place.stop_price == D(stop)
    assert not (action.place.limit_price or D(0)) % D(tick)


def placed(held: Position, mid: str, rests: list[Order], rules: Instrument = CUT) -> list[Order]:
    """What rests once nothing more is to be done."""
    for number in range(20):
        action = protect(held, quote(mid=mid), levels(), STOP, rules, NOW, rests, session_close=None)
        if action.cancel:
            rests = [order for order in rests if order.id not in action.cancel]
            held = replace(held, qty_available=held.qty - sum(order.remaining for order in rests))
        elif action.place is None:
            return rests
        else:
            rests = [*rests, replace(resting(action.place, f"x{number}"), qty=action.place.qty)]
            held = replace(held, qty_available=held.qty_available - action.place.qty)
    raise AssertionError("it never comes to rest")


@pytest.mark.parametrize("qty", ["10", "3.64", "7.272727273", "4"])
def test_each_piece_has_room_for_how_the_venue_values_it_and_all_is_sold(qty: str) -> None:
    rests = placed(position(qty=qty), "100", [])
    assert sum(order.qty for order in rests) == D(qty)
    assert max(order.qty for order in rests) * D("1.03") * D("100.1") <= LIMIT


@pytest.mark.parametrize("mid", ["97", "101", "104"])
def test_pieces_that_rest_stay_as_they_are_while_the_market_moves(mid: str) -> None:
    rests = placed(position(qty="10"), "100", [])
    held = replace(position(qty="10", available="0"), mark=D(mid))
    assert placed(held, mid, rests) == rests


def test_what_is_left_of_the_pieces_is_large_enough_to_be_sold() -> None:
    rules = instrument(max_notional=LIMIT, min_qty=D(1))
    assert min(order.qty for order in placed(position(qty="4"), "100", [], rules)) >= 1
