"""What a planned trade brings on each path: the engine's order of events, and every cost."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from forecasters.types import Forecast, quantiles_of
from tests.core.make import BTC, LEVELS, SPY, forecast, instrument, quote
from trader.core.outcomes import Costs, costs_of, made_paths, net_returns, outlook, proceeds
from trader.core.types import EntrySide, Symbol

D = Decimal
FREE = Costs(entry=0.0, target=0.0, taken=0.0)
LONG, SHORT = EntrySide.LONG, EntrySide.SHORT


def sampled(paths: list[list[tuple[float, float, float, float]]], symbol: Symbol = BTC) -> Forecast:
    """A forecast of these paths, each a list of (open, high, low, close)."""
    drawn = np.array(paths, dtype=np.float64)
    return forecast(symbol, steps=drawn.shape[1], paths=drawn, quantiles=quantiles_of(drawn, LEVELS))


def outcome(
    bars: list[tuple[float, float, float, float]],
    side: EntrySide = LONG,
    levels: tuple[str, str, str] = ("99", "103", "97"),
    costs: Costs = FREE,
) -> list[float]:
    """Net returns of one path: empty where the entry does not fill."""
    prices = (D(levels[0]), D(levels[1]), D(levels[2]))
    made = net_returns(sampled([bars]), side, prices, costs, entry_crosses=False, steps=9)
    return [round(float(each), 12) for each in made]


CALM = (100.0, 101.0, 99.5, 100.0)
DIPS = (100.0, 101.0, 98.5, 100.0)


def test_an_entry_that_the_market_does_not_trade_through_brings_nothing() -> None:
    assert outcome([CALM, DIPS]) == []
    assert outcome([(100.0, 101.0, 99.0, 100.0), CALM]) == []  # touched only: others were there first


def test_the_target_is_taken_in_a_later_bar() -> None:
    assert outcome([DIPS, (100.0, 103.5, 99.5, 103.0)]) == [round(103 / 99 - 1, 12)]


def test_in_the_entrys_own_bar_the_target_does_not_count_and_the_stop_does() -> None:
    wild = (100.0, 105.0, 98.5, 100.0)
    assert outcome([wild, CALM]) == [round(100 / 99 - 1, 12)]
    assert outcome([(100.0, 105.0, 96.0, 100.0), CALM]) == [round(97 / 99 - 1, 12)]


def test_where_one_bar_touches_both_the_stop_counts() -> None:
    assert outcome([DIPS, (100.0, 104.0, 96.5, 104.0)]) == [round(97 / 99 - 1, 12)]


def test_a_bar_that_opens_beyond_the_target_meets_it_before_it_falls_to_the_stop() -> None:
    falls = (104.0, 104.5, 96.0, 96.5)
    assert outcome([(100.0, 105.0, 98.5, 104.0), falls]) == [round(103 / 99 - 1, 12)]
    assert outcome([DIPS, falls]) == [round(103 / 99 - 1, 12)]  # the target's own price, however far the open jumped
    assert outcome([(100.0, 105.0, 96.9, 104.0), falls]) == [round(97 / 99 - 1, 12)]  # it was stopped before
    assert outcome([(104.0, 105.0, 96.0, 96.5)]) == [round(97 / 99 - 1, 12)]  # the entry came after its own bar's open


def test_the_level_that_is_reached_first_counts() -> None:
    up, down = (100.0, 104.0, 99.5, 102.0), (102.0, 102.0, 96.0, 96.5)
    assert outcome([DIPS, up, down]) == [round(103 / 99 - 1, 12)]
    assert outcome([DIPS, (100.0, 100.0, 96.0, 98.0), up]) == [round(97 / 99 - 1, 12)]


def test_a_stop_that_a_bar_opens_beyond_is_left_at_the_open() -> None:
    assert outcome([DIPS, (95.0, 96.0, 94.0, 95.5)]) == [round(95 / 99 - 1, 12)]


def test_what_is_left_is_sold_at_the_last_close() -> None:
    assert outcome([DIPS, (100.0, 102.0, 99.0, 98.0)]) == [round(98 / 99 - 1, 12)]


def test_what_is_held_already_meets_a_target_that_the_first_bar_opens_beyond() -> None:
    look = outlook(sampled([[(104.0, 104.5, 96.0, 96.5)]]), LONG, 1)
    assert proceeds(look, np.array([103.0, 104.2]), np.array([97.0]), FREE, entered=False).tolist() == [
        [[103.0], [97.0]]
    ]


def test_a_short_is_the_mirror_image() -> None:
    levels = ("101", "97", "103")
    rises = (100.0, 101.5, 99.0, 100.0)
    assert outcome([rises, (100.0, 100.0, 96.0, 96.5)], SHORT, levels) == [round(1 - 97 / 101, 12)]
    assert outcome([rises, (104.0, 104.5, 99.0, 100.0)], SHORT, levels) == [round(1 - 104 / 101, 12)]
    assert outcome([(100.0, 103.5, 96.0, 100.0), CALM], SHORT, levels) == [round(1 - 103 / 101, 12)]
    assert outcome([CALM, CALM], SHORT, levels) == []


def test_every_leg_pays_its_own() -> None:
    costs = Costs(entry=0.001, target=0.002, taken=0.004)
    by_target = outcome([DIPS, (100.0, 103.5, 99.5, 103.0)], costs=costs)
    by_stop = outcome([DIPS, (98.0, 98.0, 96.0, 96.0)], costs=costs)
    at_close = outcome([DIPS, (98.0, 98.5, 97.5, 98.0)], costs=costs)
    assert by_target == [round(103 * 0.998 / 99 - 1 - 0.001, 12)]
    assert by_stop == [round(97 * 0.996 / 99 - 1 - 0.001, 12)]
    assert at_close == [round(98 * 0.996 / 99 - 1 - 0.001, 12)]


def test_an_entry_that_crosses_fills_on_every_path() -> None:
    made = net_returns(sampled([[CALM, CALM]]), LONG, (D(101), D(105), D(95)), FREE, entry_crosses=True, steps=2)
    assert made == pytest.approx([100 / 101 - 1])


def test_costs_are_the_instruments_fees_and_half_the_spread_of_what_crosses() -> None:
    coin, width = instrument(BTC), quote(width_bps="20")
    assert costs_of(coin, width, entry_crosses=False, target_rests=False) == Costs(
        entry=0.0015, target=0.0025 + 0.001, taken=0.0025 + 0.001
    )
    assert costs_of(coin, width, entry_crosses=True, target_rests=True) == Costs(
        entry=0.0025 + 0.001, target=0.0015, taken=0.0025 + 0.001
    )
    stock = costs_of(instrument(SPY), quote(SPY, width_bps="2"), entry_crosses=False, target_rests=True)
    assert (stock.entry, stock.target, stock.taken) == (0.0, 0.0, pytest.approx(0.0001))


# ---- paths from quantiles ----


def quantile_forecast(steps: int = 5) -> Forecast:
    table = np.empty((len(LEVELS), steps, 4))
    spread = (LEVELS - 0.5)[:, None] * np.sqrt(1 + np.arange(steps)) * 4  # [Q, H]
    table[:, :, 0] = table[:, :, 3] = 100 + spread
    table[:, :, 1], table[:, :, 2] = 101 + spread, 99 + spread
    return forecast(steps=steps, quantiles=table)


def test_made_paths_have_the_forecasts_quantiles_at_every_step() -> None:
    guess = quantile_forecast()
    made = made_paths(guess)
    inner = slice(1, -1)
    again = quantiles_of(made, LEVELS)
    assert again[inner] == pytest.approx(guess.quantiles[inner], abs=0.05)
    assert made.min() == guess.quantiles.min()  # the tails are the outermost levels, not more
    assert made.max() == guess.quantiles.max()


def test_made_paths_are_proper_bars_tied_over_time_like_a_random_walk() -> None:
    made = made_paths(quantile_forecast())
    assert (made[:, :, 1] >= made[:, :, [0, 3]].max(axis=2)).all()
    assert (made[:, :, 2] <= made[:, :, [0, 3]].min(axis=2)).all()
    ranks = made[:, :, 3].argsort(axis=0).argsort(axis=0)
    near, far = np.corrcoef(ranks[:, 0], ranks[:, 1])[0, 1], np.corrcoef(ranks[:, 0], ranks[:, 4])[0, 1]
    assert near == pytest.approx(np.sqrt(1 / 2), abs=0.12)
    assert far == pytest.approx(np.sqrt(1 / 5), abs=0.15)


def test_made_paths_are_the_same_each_time_and_a_single_level_is_a_single_path() -> None:
    assert made_paths(quantile_forecast()).tobytes() == made_paths(quantile_forecast()).tobytes()
    alone = forecast(steps=2, levels=np.array([0.5]), quantiles=np.full((1, 2, 4), 100.0))
    assert (made_paths(alone) == 100.0).all()
    assert outlook(alone, LONG, 1).best.shape == (256, 1)
