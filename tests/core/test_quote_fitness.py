"""Which quotes may be traded on."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.make import BTC, NOW, ago, inputs, quote, signal
from trader.core.decision import RiskLimits
from trader.core.plan import plan, view_of
from trader.core.quotes import quote_problem

LIMITS = RiskLimits()
D = Decimal
BAD = {
    "missing": None,
    "zero": quote(bid=D(0), ask=D(0)),
    "one-sided": quote(ask=D(0)),
    "crossed": quote(bid=D(101), ask=D(100)),
    "locked": quote(bid=D(100), ask=D(100)),
    "not a number": quote(bid=D("NaN")),
    "stale": quote(at=ago(seconds=31)),
    "from the future": quote(at=NOW + timedelta(seconds=6)),
    "synthetic": quote(synthetic=True),
    "too wide": quote(width_bps="101"),
}


def test_a_sound_quote_is_fit() -> None:
    assert quote_problem(quote(), NOW, LIMITS) is None
    assert quote_problem(quote(at=NOW + timedelta(seconds=4)), NOW, LIMITS) is None


@pytest.mark.parametrize("word", BAD)
def test_a_bad_quote_is_named(word: str) -> None:
    problem = quote_problem(BAD[word], NOW, LIMITS)
    assert problem is not None
    assert problem.startswith(word)


@pytest.mark.parametrize("word", BAD)
def test_a_bad_quote_means_no_entry(word: str) -> None:
    bad = BAD[word]
    given_inputs = inputs(quotes={BTC: bad} if bad is not None else {})
    made = plan(given_inputs, [signal()])
    assert made.intents == ()
    assert "quote" in {denial.rule for denial in made.verdicts[0].denials}
    assert BTC not in view_of(given_inputs).quotes


def test_a_synthetic_quote_is_fit_where_it_is_allowed() -> None:
    assert quote_problem(quote(synthetic=True), NOW, replace(LIMITS, allow_synthetic_quotes=True)) is None


NUMBERS = st.sampled_from([D("NaN"), D("Infinity"), D("-1"), D(0), D("0.00001"), D(100), D("100.1"), D("sNaN")])


@given(NUMBERS, NUMBERS)
def test_any_figures_are_judged_without_trouble(bid: Decimal, ask: Decimal) -> None:
    problem = quote_problem(quote(bid=bid, ask=ask), NOW, LIMITS)
    if problem is None:
        assert 0 < bid < ask
