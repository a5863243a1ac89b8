"""Kelly: the known answer, its bounds, and nothing staked on what is not known."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasters.types import Forecast, quantiles_of
from tests.core.make import BTC, LEVELS, forecast, inputs, instrument, quote, signal
from tests.core.test_expected_levels import walks
from trader.core.decision import Plan, Sizing, SizingRule
from trader.core.kelly import full_kelly, kelly_share
from trader.core.plan import plan
from trader.core.types import EntrySide

D = Decimal
KELLY = Sizing(rule=SizingRule.KELLY)
RETURNS = st.lists(st.floats(-0.5, 0.5), min_size=1, max_size=60)


def test_a_coin_with_a_known_edge_gets_the_known_share() -> None:
    """Win or lose 10%, with 55% to win: the stake of p - q = 10%, over the size of the move."""
    bets = np.array([0.1] * 55 + [-0.1] * 45)
    assert full_kelly(bets) == pytest.approx(1.0)  # capped: 10% of ten times the equity
    certain = np.array([1.0] * 55 + [-1.0] * 45)
    assert full_kelly(certain) == pytest.approx(0.10, abs=1e-6)
    uneven = np.array([2.0] * 40 + [-1.0] * 60)
    assert full_kelly(uneven) == pytest.approx(0.4 - 0.6 / 2, abs=1e-6)


@settings(max_examples=150, deadline=None)
@given(RETURNS)
def test_nothing_grows_faster(returns: list[float]) -> None:
    bets = np.array(returns)
    share = full_kelly(bets)
    assert 0 <= share <= 1
    growth = np.log1p(share * bets).mean()
    for other in np.linspace(0, 0.999, 23):
        assert growth >= np.log1p(other * bets).mean() - 1e-9
    if bets.mean() <= 0:
        assert share == 0


@settings(max_examples=60, deadline=None)
@given(RETURNS, st.floats(0, 0.2))
def test_worse_returns_never_ask_for_more(returns: list[float], worse: float) -> None:
    assert full_kelly(np.array(returns) - worse) <= full_kelly(np.array(returns)) + 1e-9


@pytest.mark.parametrize("returns", [[], [np.nan, 0.1], [np.inf], [-0.01, 0.01]])
def test_no_stake_without_a_finite_positive_expectation(returns: list[float]) -> None:
    assert full_kelly(np.array(returns)) == 0.0


def rising(drift: float = 0.01) -> Forecast:
    paths = walks(1, drift, count=256, last=100.0)
    return forecast(steps=4, paths=paths, quantiles=quantiles_of(paths, LEVELS))


def share_of(sizing: Sizing = KELLY, guess: Forecast | None = None) -> Decimal:
    wish = signal(BTC, entry=D("99.9"), target=D(105), stop=D(96))
    return kelly_share(sizing, wish, EntrySide.LONG, guess or rising(), quote(BTC), instrument(BTC))


def test_the_share_is_a_fraction_of_the_full_one_up_to_the_cap() -> None:
    assert share_of() == KELLY.kelly_cap
    timid = replace(KELLY, kelly_fraction=D("0.01"), kelly_cap=D(1))
    assert 0 < share_of(timid) <= D("0.01")
    assert share_of(replace(timid, kelly_cap=D("0.0005"))) == D("0.0005")


def test_nothing_is_staked_on_a_loss_or_on_what_is_missing() -> None:
    assert share_of(guess=rising(-0.01)) == 0
    wish, asset = signal(BTC, entry=D("99.9"), target=D(105), stop=D(96)), instrument(BTC)
    assert kelly_share(KELLY, wish, EntrySide.LONG, None, quote(BTC), asset) == 0
    assert kelly_share(KELLY, wish, EntrySide.LONG, rising(), None, asset) == 0
    for hole in ({"entry": None}, {"target": None}, {"stop": None}, {"stop": D("NaN")}, {"entry": D(60)}):
        assert kelly_share(KELLY, replace(wish, **hole), EntrySide.LONG, rising(), quote(BTC), asset) == 0  # type: ignore[arg-type]


def planned(sizing: Sizing) -> Plan:
    wish = signal(BTC, entry=D("99.9"), target=D(105), stop=D(96))
    return plan(inputs(forecasts={BTC: rising()}, sizing=sizing), [wish])


def test_the_plan_sizes_by_it_and_risk_still_has_the_last_word() -> None:
    (fixed,) = planned(Sizing()).verdicts
    (kelly,) = planned(KELLY).verdicts
    assert kelly.wanted == pytest.approx(2 * fixed.wanted)  # 20% of equity against 10%
    (bold,) = planned(replace(KELLY, kelly_fraction=D(1), kelly_cap=D(1))).verdicts
    assert bold.wanted > kelly.wanted
    assert bold.allowed * D("99.9") <= D(20_000)  # RISK__MAX_SYMBOL
    assert bold.denials[0].rule == "max_symbol"


def test_a_plan_without_a_stake_has_no_order_and_says_so() -> None:
    wish = signal(BTC, entry=D("99.9"), target=D(105), stop=D(96))
    made = plan(inputs(forecasts={BTC: rising(-0.01)}, sizing=KELLY), [wish])
    assert made.intents == ()
    assert made.verdicts[0].denials[0].rule == "too_small"
