"""maxdiff by expected value: what is surely good is traded, what is not surely good is left."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasters.types import Forecast, quantiles_of
from tests.core.make import BTC, HOUR, LEVELS, NOW, SPY, forecast, instrument, portfolio, position, quote
from tests.core.test_expected_levels import walks
from trader.core.decision import MarketView, Signal
from trader.core.types import EntrySide, FeeSchedule, Instrument, Position, Symbol
from trader.strategies.maxdiff import Mode, Params, TargetFill, decide

D = Decimal
CAUTIOUS = Params(mode=Mode.EXPECTED)
BOLD = Params(mode=Mode.EXPECTED, margin_bps=D(0), sampling_errors=0.0)


def of_paths(paths: np.ndarray, symbol: Symbol = BTC) -> Forecast:  # type: ignore[type-arg]
    last = float(paths[0, 0, 0])
    return forecast(symbol, last=last, steps=paths.shape[1], paths=paths, quantiles=quantiles_of(paths, LEVELS))


def one(
    guess: Forecast, params: Params = CAUTIOUS, symbol: Symbol = BTC, asset: Instrument | None = None,
    held: tuple[Position, ...] = (),
) -> Signal:  # fmt: skip
    book = quote(symbol, mid=repr(float(guess.last_close)))
    view = MarketView(
        now=NOW,
        timeframe=HOUR,
        portfolio=portfolio(held),
        quotes={symbol: book},
        forecasts={symbol: guess},
        instruments={symbol: asset or instrument(symbol)},
    )
    (made,) = decide(view, params)
    return made


def dip_then(end: float, count: int = 64) -> np.ndarray:  # type: ignore[type-arg]
    """Every path dips to 99 in its first bar, by a little more or less, and then goes to `end`."""
    low = 99 + np.linspace(-0.2, 0.2, count)
    first = np.stack([np.full(count, 100.0), np.full(count, 100.0), low, np.full(count, 99.5)], axis=1)
    top, bottom = max(99.5, end), min(99.5, end)
    then = np.tile([99.5, top, bottom, end], (count, 1))
    last = np.tile([end, end, end, end], (count, 1))
    return np.stack([first, then, last], axis=1)


def test_a_sure_gain_is_traded_from_the_dip_to_the_top() -> None:
    made = one(of_paths(dip_then(104.0)))
    assert made.entry_side is EntrySide.LONG
    assert made.entry is not None
    assert made.target is not None
    assert made.stop is not None
    assert D("98.8") <= made.entry <= D("99.8")
    assert made.target <= D(104)
    assert made.edge is not None
    assert made.edge > D("0.03")
    assert "worth" in made.reason


@pytest.mark.parametrize("end", [90.0, 95.0, 98.0, 99.0])
def test_a_sure_loss_is_never_traded(end: float) -> None:
    assert one(of_paths(dip_then(end)), BOLD).entry_side is None


def test_a_sure_fall_is_sold_short_where_that_is_possible() -> None:
    paths = 200 - dip_then(104.0)[:, :, [0, 2, 1, 3]]  # upside down
    assert one(of_paths(paths, SPY), symbol=SPY).entry_side is EntrySide.SHORT
    assert one(of_paths(paths, SPY), symbol=SPY, asset=instrument(SPY, shortable=False)).entry_side is None
    assert one(of_paths(paths)).entry_side is None


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.floats(-0.01, 0.01), st.integers(0, 60))
def test_nothing_is_entered_below_the_margin_and_fees_only_ever_prevent(seed: int, drift: float, fee: int) -> None:
    guess = of_paths(walks(seed, drift, last=100.0))
    free = instrument(BTC, fees=FeeSchedule(maker_bps=D(0), taker_bps=D(0)))
    dear = replace(free, fees=FeeSchedule(maker_bps=D(fee), taker_bps=D(fee)))
    cheap_entry, dear_entry = (one(guess, BOLD, asset=asset).entry_side for asset in (free, dear))
    if dear_entry is not None:
        assert cheap_entry is not None
    huge = replace(BOLD, margin_bps=D(1000))
    assert one(guess, huge, asset=free).entry_side is None


def test_zero_drift_after_real_fees_is_not_worth_it() -> None:
    entered = [one(of_paths(walks(seed, 0.0, count=256, last=100.0))).entry_side for seed in range(20)]
    assert entered == [None] * 20


def test_the_sampling_error_keeps_luck_from_passing_as_an_edge() -> None:
    """Without costs, the best of hundreds of levels looks good on nearly any driftless paths."""
    free = instrument(BTC, fees=FeeSchedule(maker_bps=D(0), taker_bps=D(0)))
    guesses = [of_paths(walks(seed, 0.0, count=128, last=100.0)) for seed in range(20)]
    bold = sum(one(guess, BOLD, asset=free).entry_side is not None for guess in guesses)
    cautious = sum(one(guess, CAUTIOUS, asset=free).entry_side is not None for guess in guesses)
    assert bold > 2 * cautious


@pytest.mark.parametrize("power", [-10, -3, 5])
def test_the_unit_of_price_does_not_matter(power: int) -> None:
    unit, asset = 2.0**power, instrument(BTC, tick=D("0.000000001"))
    plain = one(of_paths(dip_then(104.0)), asset=asset)
    scaled = one(of_paths(dip_then(104.0) * unit), asset=asset)
    assert scaled.entry_side is plain.entry_side
    for name in ("entry", "target", "stop"):
        assert float(getattr(scaled, name)) == pytest.approx(
            float(getattr(plain, name)) * unit, abs=2e-9 * max(1, unit)
        )


def test_a_forecast_of_quantiles_only_is_traded_by_its_made_paths() -> None:
    drawn = dip_then(104.0)
    guess = forecast(steps=3, paths=None, quantiles=quantiles_of(drawn, LEVELS))
    assert one(guess).entry_side is EntrySide.LONG
    fall = forecast(steps=3, paths=None, quantiles=quantiles_of(dip_then(95.0), LEVELS))
    assert one(fall, BOLD).entry_side is None


def test_what_is_held_gets_exits_by_expected_proceeds() -> None:
    made = one(of_paths(dip_then(104.0)), held=(position(BTC),))
    assert made.entry_side is None
    assert made.target is not None
    assert made.stop is not None
    assert made.stop < D(100) < made.target <= D(104)


def test_a_target_that_surely_rests_costs_less_and_so_never_prevents() -> None:
    for seed in range(10):
        guess = of_paths(walks(seed, 0.002, last=100.0))
        if one(guess, BOLD).entry_side is not None:
            assert one(guess, replace(BOLD, target_fill=TargetFill.RESTING)).entry_side is not None


@pytest.mark.parametrize("text", ["-1", "1001", "nan"])
def test_margins_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="margin_bps"):
        Params(margin_bps=D(text))
    with pytest.raises(ValueError, match="sampling_errors"):
        Params(sampling_errors=float(text))
