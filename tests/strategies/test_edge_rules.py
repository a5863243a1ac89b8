"""edge: the forecast of the close, after every cost."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasters.types import CLOSE, Forecast
from tests.core.make import BTC, HOUR, NOW, SPY, forecast, instrument, portfolio, position, quote
from trader.core.decision import MarketView, Signal
from trader.core.types import EntrySide, Instrument, Position, Symbol
from trader.strategies.edge import Entry, Params, Sides, Statistic, decide, expected_close

D = Decimal
PLAIN = Params(margin_bps=D(0))
# of BTC in the tests: maker 15 in, taker 25 and half of 20 out, and the entry at the bid, 10 below the mid
COSTS_AT_REST = 15 + 25 + 10 - 10


def closing(move_bps: float, symbol: Symbol = BTC, **changes: object) -> Forecast:
    """The close is expected `move_bps` from the last one."""
    plain = forecast(symbol, low=98.0, high=103.0, steps=2)
    table = plain.quantiles.copy()
    table[:, 1, CLOSE] = 100 * (1 + move_bps / 1e4)
    return forecast(symbol, steps=2, **{"quantiles": table, **changes})  # type: ignore[arg-type]


def one(
    guess: Forecast, params: Params = PLAIN, symbol: Symbol = BTC, asset: Instrument | None = None,
    held: tuple[Position, ...] = (), *, quoted: bool = True,
) -> Signal:  # fmt: skip
    view = MarketView(
        now=NOW,
        timeframe=HOUR,
        portfolio=portfolio(held),
        quotes={symbol: quote(symbol)} if quoted else {},
        forecasts={symbol: guess},
        instruments={symbol: asset or instrument(symbol)},
    )
    (made,) = decide(view, params)
    return made


def test_it_enters_where_the_close_beats_the_costs_and_only_there() -> None:
    assert one(closing(COSTS_AT_REST - 1)).entry_side is None
    made = one(closing(COSTS_AT_REST + 1))
    assert (made.entry_side, made.entry) == (EntrySide.LONG, quote().bid)
    assert made.edge == pytest.approx(D("0.0051"), abs=D("0.0001"))


def test_the_margin_and_a_crossing_entry_ask_for_more() -> None:
    assert one(closing(COSTS_AT_REST + 4), replace(PLAIN, margin_bps=D(5))).entry_side is None
    assert one(closing(COSTS_AT_REST + 6), replace(PLAIN, margin_bps=D(5))).entry_side is EntrySide.LONG
    crossing = replace(PLAIN, entry=Entry.CROSS)
    dearer = 25 + 10 + 25 + 10 + 10  # taker both times, half a spread each, and the entry at the ask
    assert one(closing(dearer - 1), crossing).entry_side is None
    made = one(closing(dearer + 1), crossing)
    assert made.entry == quote().ask


def test_protection_comes_from_the_outer_quantiles() -> None:
    made = one(closing(200))
    assert made.target == D("103.88")  # the high's 0.9
    assert made.stop == instrument().price_down(D(97) * (1 - D("0.0025")))


def test_short_only_where_it_is_allowed_and_possible() -> None:
    down = closing(-200, SPY)
    both = replace(PLAIN, sides=Sides.BOTH)
    assert one(down, symbol=SPY).entry_side is None
    made = one(down, both, SPY)
    assert (made.entry_side, made.entry) == (EntrySide.SHORT, quote(SPY).ask)
    assert made.target is not None
    assert made.stop is not None
    assert made.target < D(100) < made.stop
    assert one(down, both, SPY, instrument(SPY, shortable=False)).entry_side is None
    assert one(closing(-200), both).entry_side is None
    assert one(down, replace(both, entry=Entry.CROSS), SPY).entry == quote(SPY).bid


def test_a_sampled_close_must_beat_its_own_error_too() -> None:
    rng = np.random.default_rng(0)
    paths = np.repeat(closing(60).quantiles[9:10], 100, axis=0) + rng.normal(0, 3, (100, 1, 1))
    noisy = closing(60, paths=paths)
    assert one(noisy, replace(PLAIN, sampling_errors=2.0)).entry_side is None
    assert one(noisy, replace(PLAIN, sampling_errors=0.0)).entry_side is EntrySide.LONG


def test_mean_and_median_are_what_they_say() -> None:
    paths = np.repeat(closing(0).quantiles[:1], 4, axis=0)
    paths[:, 1, CLOSE] = [99.0, 100.0, 101.0, 108.0]
    guess = closing(20, paths=paths)
    mean, error = expected_close(guess, replace(PLAIN, statistic=Statistic.MEAN))
    assert mean == 102.0
    assert error == pytest.approx(paths[:, 1, CLOSE].std() / 2)
    median, wider = expected_close(guess, PLAIN)
    assert median == pytest.approx(100.2)
    assert wider == pytest.approx(1.2533 * error)
    assert expected_close(closing(20), PLAIN) == (pytest.approx(100.2), 0.0)
    assert expected_close(closing(20), replace(PLAIN, steps=1)) == (100.0, 0.0)


def test_what_is_held_gets_fresh_exits_and_no_entry() -> None:
    made = one(closing(200), held=(position(BTC),))
    assert (made.entry_side, made.target) == (None, D("103.88"))
    assert one(closing(200), quoted=False, held=(position(BTC),)).target == D("103.88")
    assert one(closing(200), quoted=False).reason == "no usable quote"


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_a_forecast_that_is_no_price_is_refused(value: float) -> None:
    table = closing(0).quantiles.copy()
    table[:, 1, CLOSE] = value
    assert "refused" in one(closing(0, quantiles=table)).reason
    upper = closing(0, levels=np.array([0.6, 0.9]), quantiles=closing(0).quantiles[:2])
    assert "no median" in one(upper).reason


@settings(max_examples=60, deadline=None)
@given(st.floats(-300, 300), st.floats(0, 300))
def test_a_better_close_never_prevents_an_entry(move: float, more: float) -> None:
    if one(closing(move)).entry_side is EntrySide.LONG:
        assert one(closing(move + more)).entry_side is EntrySide.LONG


@pytest.mark.parametrize(("move_bps", "leaves"), [(-9, False), (-11, True), (50, False)])
def test_it_leaves_where_the_forecast_has_changed_its_mind_and_only_then(move_bps: float, leaves: bool) -> None:
    made = one(closing(move_bps), held=(position(),))
    assert made.is_leaving == leaves
    assert ("against" in made.reason) == leaves
