"""What the account is worth: the smaller of two counts where they differ, and a peak that one figure does not move."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.make import BTC, account, portfolio, position
from trader.core.decision import RiskLimits, RiskState
from trader.core.equity import AGREEING, Peak, at_worth, worth_of
from trader.core.gates import closed, rooms

D = Decimal
BAND = D("0.02")


@pytest.mark.parametrize(
    ("told", "counts"),
    [("100000", "100000"), ("101900", "101900"), ("1000000", "100000"), ("10000", "10000"), ("-100000", "-100000")],
)
def test_the_smaller_one_counts_beyond_the_band(told: str, counts: str) -> None:
    book = portfolio((position(BTC, "100", "100"),), of=account(told, cash=D(told)))
    worth = worth_of(book, D(90_000), BAND)
    assert worth.equity == D(counts)
    assert bool(worth.problem) == (told not in ("100000", "101900"))
    after = at_worth(book, worth)
    assert after.account.equity == D(counts)
    assert not worth.problem or after.account.buying_power <= max(D(counts), D(0))


def test_without_books_the_venues_word_is_all_there_is() -> None:
    assert worth_of(portfolio(of=account("7")), None, BAND).equity == 7


FIGURES = st.decimals("1", "1000000", places=2)


@given(FIGURES, FIGURES)
def test_no_figure_of_the_venues_makes_us_richer_than_our_own_count(told: Decimal, own: Decimal) -> None:
    worth = worth_of(portfolio(of=account(told)), own, BAND)
    assert worth.equity <= own * (1 + BAND) / (1 - BAND)


@given(st.lists(FIGURES, min_size=1, max_size=30))
def test_a_peak_was_reached_by_three_readings_in_a_row(readings: list[Decimal]) -> None:
    peak = Peak()
    for reading in readings:
        peak.reached(reading)
    runs = [min(readings[i : i + AGREEING]) for i in range(len(readings) - AGREEING + 1)]
    assert peak.value is None or peak.value <= max(runs)


def test_the_first_equity_is_a_peak_once_three_readings_agree() -> None:
    peak = Peak()
    for reading in (D(1_000_000), D(100_000), D(100_100)):
        assert not peak.reached(reading)
    assert peak.value is None
    assert peak.reached(D(99_900))
    assert peak.value == 99_900


def test_one_reading_above_moves_no_peak_and_three_do() -> None:
    peak = Peak(D(100))
    for reading in (D(1000), D(100), D(1000), D(1000)):
        assert not peak.reached(reading)
    assert peak.reached(D(110))
    assert peak.value == 110


def test_the_room_to_each_gate_and_which_are_closed() -> None:
    state = RiskState(day_start_equity=D(100), peak_equity=D(200), last_stop_at={}, refusals=10, day_orders=2000)
    found = rooms(D(100), state, RiskLimits())
    assert found["daily_loss"] == 1
    assert found["refusals"] == D("0.5")
    assert closed(found) == {"drawdown", "day_orders"}
