"""Each symbol is looked at within so many forecasts, however many there are, and a fault that comes and goes is met."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasters.compiled.rounds import IN_A_ROW, Rounds


def looked_at(rounds: Rounds, symbols: list[str], forecasts: int) -> list[set[str]]:
    found = []
    for _ in range(forecasts):
        due = rounds.due(symbols)
        assert rounds.looked(due, ()) == ""
        found.append(set(due))
    return found


@given(st.integers(1, 60), st.integers(1, 80), st.integers(1, 300))
def test_each_symbol_is_looked_at_within_the_bound(count: int, every: int, within: int) -> None:
    symbols = [f"S{n}" for n in range(count)]
    looks = looked_at(Rounds(every, within), symbols, 3 * within + 2 * every)
    bound = max(within, 2 * min(every, within) - 1)
    for start in range(0, len(looks) - bound, 7):
        assert set().union(*looks[start : start + bound]) == set(symbols)


@pytest.mark.parametrize("period", [2, 3, 5, 10, 25, 50])
def test_what_is_wrong_once_in_so_many_forecasts_is_met(period: int) -> None:
    for phase in range(period):
        looks = looked_at(Rounds(50, 200), ["A", "B"], 50 * 12 * period)
        assert any("A" in look for number, look in enumerate(looks) if number % period == phase), (period, phase)


def test_never_where_it_is_not_asked_for() -> None:
    assert looked_at(Rounds(0, 5), ["A"], 40) == [set()] * 40


def test_a_symbol_whose_paths_turned_is_looked_at_each_time_and_again_and_again_is_a_difference() -> None:
    rounds, symbols = Rounds(10, 40), ["A", "B", "C"]
    first = next(due for _ in range(40) if (due := rounds.due(symbols)))
    assert rounds.looked(first, first) == ""
    for _ in range(IN_A_ROW - 2):
        assert set(first) <= set(rounds.due(symbols))
        assert rounds.looked(first, first) == ""
    assert "in a row" in rounds.looked(rounds.due(symbols), first)


def test_one_look_without_a_turn_clears_it() -> None:
    rounds = Rounds(10, 40)
    rounds.due(["A"])
    for _ in range(IN_A_ROW * 2):
        assert rounds.looked(["A"], ["A"]) == ""
        assert rounds.looked(["A"], []) == ""
