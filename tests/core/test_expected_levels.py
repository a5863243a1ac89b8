"""The search for the best levels: nothing on its grid is better, costs never help, and units do not matter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasters.types import quantiles_of
from tests.core.make import LEVELS, forecast
from trader.core.expected import exits_of_held, grid, worth
from trader.core.outcomes import Costs, Floats, Outlook, outlook, proceeds
from trader.core.types import EntrySide

SEEDS = st.integers(0, 10_000)
SIDES = st.sampled_from([EntrySide.LONG, EntrySide.SHORT])
DRIFTS = st.floats(-0.02, 0.02)
COST = st.floats(0.0, 0.01)


def walks(seed: int, drift: float = 0.0, steps: int = 4, count: int = 64, last: float = 128.0) -> Floats:
    """[S, H, C] proper bars around a random walk."""
    rng = np.random.default_rng(seed)
    close = last * np.exp(np.cumsum(rng.normal(drift, 0.01, (count, steps)), axis=1))
    opened = np.concatenate([np.full((count, 1), last), close[:, :-1]], axis=1)
    shadow = np.exp(np.abs(rng.normal(0, 0.004, (2, count, steps))))
    high, low = np.maximum(opened, close) * shadow[0], np.minimum(opened, close) / shadow[1]
    return np.stack([opened, high, low, close], axis=2)


def look_at(paths: Floats, side: EntrySide) -> Outlook:
    given_forecast = forecast(steps=paths.shape[1], paths=paths, quantiles=quantiles_of(paths, LEVELS))
    return outlook(given_forecast, side, paths.shape[1])


@settings(max_examples=40, deadline=None)
@given(SEEDS, SIDES, DRIFTS, COST, COST)
def test_no_combination_of_the_grid_is_worth_more_than_the_chosen_one(
    seed: int, side: EntrySide, drift: float, entry_cost: float, exit_cost: float
) -> None:
    look = look_at(walks(seed, drift), side)
    costs = Costs(entry=entry_cost, target=exit_cost, taken=exit_cost)
    table = grid(look, side.sign * 128.0, costs)
    best = table.best()
    assert best is not None
    chosen = worth(look, table.entries[best[0]], table.targets[best[1]], table.stops[best[2]], costs)
    assert chosen.value == pytest.approx(table.values[best], abs=1e-12)
    for index in np.random.default_rng(seed).integers(0, table.values.size, 25):
        at = np.unravel_index(index, table.values.shape)
        if not np.isfinite(table.values[at]):
            continue
        other = worth(look, table.entries[at[0]], table.targets[at[1]], table.stops[at[2]], costs)
        assert other.value == pytest.approx(table.values[at], abs=1e-12)  # the table says what each is worth
        assert chosen.value >= other.value - 1e-12


@settings(max_examples=40, deadline=None)
@given(SEEDS, SIDES, DRIFTS, COST, COST)
def test_higher_costs_never_raise_the_value(seed: int, side: EntrySide, drift: float, cost: float, more: float) -> None:
    look = look_at(walks(seed, drift), side)
    cheap = grid(look, side.sign * 128.0, Costs(entry=cost, target=cost, taken=cost)).values.max()
    for dear in (
        Costs(entry=cost + more, target=cost, taken=cost),
        Costs(entry=cost, target=cost + more, taken=cost),
        Costs(entry=cost, target=cost, taken=cost + more),
    ):
        assert grid(look, side.sign * 128.0, dear).values.max() <= cheap + 1e-12


@settings(max_examples=25, deadline=None)
@given(SEEDS, SIDES, st.integers(-30, 12))
def test_another_unit_of_price_changes_no_choice_and_no_value(seed: int, side: EntrySide, power: int) -> None:
    """By a power of two, so that floats stay exact: the same bytes."""
    costs, unit = Costs(entry=0.001, target=0.001, taken=0.002), 2.0**power
    plain = grid(look_at(walks(seed), side), side.sign * 128.0, costs)
    scaled = grid(look_at(walks(seed) * unit, side), side.sign * 128.0 * unit, costs)
    assert scaled.values.tobytes() == plain.values.tobytes()
    assert (scaled.entries == plain.entries * unit).all()
    assert (scaled.targets == plain.targets * unit).all()
    assert (scaled.stops == plain.stops * unit).all()


@settings(max_examples=25, deadline=None)
@given(SEEDS, SIDES)
def test_the_order_of_the_paths_does_not_matter_and_equal_inputs_give_equal_bytes(seed: int, side: EntrySide) -> None:
    costs = Costs(entry=0.001, target=0.001, taken=0.002)
    paths = walks(seed)
    one = grid(look_at(paths, side), side.sign * 128.0, costs)
    assert grid(look_at(paths.copy(), side), side.sign * 128.0, costs).values.tobytes() == one.values.tobytes()
    mixed = paths[np.random.default_rng(seed).permutation(len(paths))]
    assert grid(look_at(mixed, side), side.sign * 128.0, costs).values == pytest.approx(one.values, abs=1e-12)


def test_no_entry_is_better_than_our_side_of_the_book_and_levels_are_in_order() -> None:
    table = grid(look_at(walks(3), EntrySide.LONG), 127.0, Costs(entry=0, target=0, taken=0))
    assert table.entries.max() <= 127.0
    for at in np.argwhere(np.isfinite(table.values)):
        assert table.stops[at[2]] < table.entries[at[0]] < table.targets[at[1]]


def test_an_average_over_few_fills_is_not_believed() -> None:
    table = grid(look_at(walks(3), EntrySide.LONG), 110.0, Costs(entry=0, target=0, taken=0))
    assert table.best() is None


def test_what_is_held_gets_the_exits_with_the_greatest_expected_proceeds() -> None:
    costs = Costs(entry=0.0, target=0.001, taken=0.003)
    look = look_at(walks(11, 0.002), EntrySide.LONG)
    target, stop = exits_of_held(look, costs)
    assert stop < target
    chosen = proceeds(look, np.array([target]), np.array([stop]), costs, entered=False).mean()
    for other in (target * 0.99, target * 1.01):
        again = proceeds(look, np.array([other]), np.array([stop]), costs, entered=False).mean()
        assert chosen >= again - 0.15  # between the grid's points there may be a little more


def test_a_horizon_of_one_bar_still_has_levels() -> None:
    table = grid(look_at(walks(5, steps=1), EntrySide.LONG), 128.0, Costs(entry=0, target=0, taken=0))
    best = table.best()
    assert best is not None
    assert best[1] == 0  # no target can be met in the entry's own bar: the highest of equals
