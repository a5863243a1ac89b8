"""The contract that every strategy keeps, and what this one adds to it."""

from __future__ import annotations

import pytest
from strategy_breakout import Params, chances, decide

from trader.contracts.situations import SYMBOLS, sampled, situation
from trader.contracts.strategy import CHECKS, Subject, entries_of
from trader.core.plan import view_of
from trader.core.types import EntrySide
from trader.strategies import find

BREAKOUT = Subject(strategy=find("breakout"), params={"width_bps": "150"})


@pytest.mark.parametrize("check", CHECKS)
def test_it_keeps_the_contract(check: str) -> None:
    assert CHECKS[check](BREAKOUT) == ""


def test_the_contract_saw_it_enter() -> None:
    assert entries_of(BREAKOUT) > 5


def test_a_wider_range_is_left_less_often() -> None:
    forecast = sampled(SYMBOLS[0], seed=1, drift=0.0)
    near, far = chances(forecast, 101.0, 99.0, 4), chances(forecast, 104.0, 96.0, 4)
    assert near[0] > far[0]
    assert near[1] > far[1]


def test_it_buys_where_the_forecast_rises_and_not_where_it_falls() -> None:
    up, down = (decide(view_of(situation(3, drift)), Params(width_bps=150)) for drift in (0.02, -0.02))
    assert {signal.entry_side for signal in up} == {EntrySide.LONG}
    assert {signal.entry_side for signal in down} == {None}


def test_a_parameter_out_of_bounds_is_one_line() -> None:
    with pytest.raises(ValueError, match=r"^breakout\.width_bps: 5\.0 is not in 10 to 2000$"):
        find("breakout").params({"width_bps": "5"})
