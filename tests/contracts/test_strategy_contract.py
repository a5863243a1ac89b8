"""What every strategy owes the daemon, found by itself in the folder: whoever adds a file gets these tests."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trader.adapters.journal.codec import decode, encode
from trader.contracts.situations import situation
from trader.contracts.strategy import CHECKS, Subject, entries_of
from trader.core.decision import DecisionInputs
from trader.strategies import find, names

# Beyond the defaults: each name's other ways of working.
VARIANTS: dict[str, tuple[dict[str, str], ...]] = {
    "maxdiff": (
        {"side_rule": "both"},
        {"mode": "expected"},
        {"mode": "expected", "margin_bps": "0", "sampling_errors": "0", "target_fill": "resting"},
    ),
    "edge": (
        {"margin_bps": "0", "sampling_errors": "0", "sides": "both"},
        {"statistic": "mean", "entry": "cross", "sides": "both", "sampling_errors": "0"},
    ),
}
CASES = [(name, given_params) for name in names() for given_params in ({}, *VARIANTS.get(name, ()))]
each_strategy = pytest.mark.parametrize(
    ("name", "params"),
    CASES,
    ids=lambda value: value if isinstance(value, str) else "-".join(value.values()) or "as is",
)
SITUATIONS = st.builds(
    situation,
    st.integers(0, 500),
    st.floats(-0.02, 0.02),
    held=st.booleans(),
    paths=st.booleans(),
    steps=st.integers(1, 5),
)


def subject(name: str, params: dict[str, str]) -> Subject:
    return Subject(strategy=find(name), params=params)


@each_strategy
@pytest.mark.parametrize("check", CHECKS)
def test_a_strategy_holds_to(name: str, params: dict[str, str], check: str) -> None:
    assert CHECKS[check](subject(name, params)) == ""


@each_strategy
@settings(max_examples=12, deadline=None)
@given(SITUATIONS)
def test_equal_inputs_give_equal_bytes_and_the_journal_gives_them_back_in_any_situation(
    name: str, params: dict[str, str], given_inputs: DecisionInputs
) -> None:
    examined = subject(name, params)
    once = examined.decided(given_inputs)
    assert examined.decided(given_inputs) == once
    assert examined.decided(decode(DecisionInputs, encode(given_inputs))) == once


@each_strategy
def test_an_unknown_parameter_is_refused(name: str, params: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="has no parameter 'nonsense'"):
        find(name).params({**params, "nonsense": "1"})


@each_strategy
def test_the_situations_lead_to_orders_at_all(name: str, params: dict[str, str]) -> None:
    """Else the checks would hold of strategies that never do anything."""
    assert (entries_of(subject(name, params)) > 0) == (name != "flat")
