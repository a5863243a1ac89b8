"""What every strategy owes the daemon, found by itself in the folder: whoever adds a file gets these tests."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasters.types import Forecast, quantiles_of
from tests.core.make import BTC, ETH, LEVELS, SPY, forecast, inputs, portfolio, position, quote
from tests.core.test_expected_levels import walks
from trader.adapters.journal.codec import decode, encode
from trader.core.decision import DecisionInputs, Plan, Sizing, SizingRule
from trader.core.plan import plan, view_of
from trader.core.types import Symbol
from trader.strategies import find, names

ROOT = Path(__file__).parents[2]
SYMBOLS = (BTC, ETH, SPY)
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


def sampled(symbol: Symbol, seed: int, drift: float, steps: int = 4, *, paths: bool = True) -> Forecast:
    drawn = walks(seed, drift, steps=steps, count=64, last=100.0)
    return forecast(symbol, steps=steps, paths=drawn if paths else None, quantiles=quantiles_of(drawn, LEVELS))


def situation(seed: int, drift: float, *, held: bool = False, paths: bool = True, steps: int = 4) -> DecisionInputs:
    return inputs(
        SYMBOLS,
        forecasts={s: sampled(s, seed + n, drift, steps, paths=paths) for n, s in enumerate(SYMBOLS)},
        portfolio=portfolio([position(BTC), position(SPY, "-5")] if held else []),
        sizing=Sizing(rule=SizingRule.KELLY),
    )


def decided(given_inputs: DecisionInputs, name: str, params: dict[str, str]) -> Plan:
    strategy = find(name)
    return plan(given_inputs, strategy.decide(view_of(given_inputs), strategy.params(params)))


SITUATIONS = st.builds(
    situation,
    st.integers(0, 500),
    st.floats(-0.02, 0.02),
    held=st.booleans(),
    paths=st.booleans(),
    steps=st.integers(1, 5),
)


@each_strategy
@settings(max_examples=12, deadline=None)
@given(SITUATIONS)
def test_equal_inputs_give_equal_bytes_and_the_journal_gives_them_back(
    name: str, params: dict[str, str], given_inputs: DecisionInputs
) -> None:
    once = encode(decided(given_inputs, name, params))
    assert encode(decided(given_inputs, name, params)) == once
    kept = decode(DecisionInputs, encode(given_inputs))
    assert encode(decided(kept, name, params)) == once


@each_strategy
@settings(max_examples=12, deadline=None)
@given(SITUATIONS)
def test_every_entry_has_exits_in_order_on_the_tick_and_passes_the_risk_layers_form(
    name: str, params: dict[str, str], given_inputs: DecisionInputs
) -> None:
    strategy, view = find(name), view_of(given_inputs)
    signals = strategy.decide(view, strategy.params(params))
    assert len({signal.symbol for signal in signals}) == len(signals)
    for signal in signals:
        assert signal.reason
        if signal.entry_side is None:
            assert signal.entry is None
            continue
        sign, asset = signal.entry_side.sign, given_inputs.instruments[signal.symbol]
        assert signal.symbol not in given_inputs.portfolio.positions
        assert asset.shortable or sign > 0
        assert signal.entry is not None
        assert signal.target is not None
        assert signal.stop is not None
        assert signal.stop * sign < signal.entry * sign
        for price in (signal.entry, signal.target, signal.stop):
            assert price == asset.price_down(price)
    for verdict in plan(given_inputs, signals).verdicts:
        assert "levels" not in {denial.rule for denial in verdict.denials}


@each_strategy
def test_without_a_quote_nothing_is_entered_and_without_a_forecast_nothing_is_said(
    name: str, params: dict[str, str]
) -> None:
    unquoted = replace(situation(1, 0.01), quotes={})
    assert decided(unquoted, name, params).intents == ()
    blind = replace(situation(1, 0.01, held=True), forecasts={})
    strategy = find(name)
    assert all(signal.entry_side is None for signal in strategy.decide(view_of(blind), strategy.params(params)))


@each_strategy
def test_an_unknown_parameter_is_refused_and_every_default_is_a_valid_text(name: str, params: dict[str, str]) -> None:
    strategy = find(name)
    with pytest.raises(ValueError, match="has no parameter 'nonsense'"):
        strategy.params({**params, "nonsense": "1"})
    usual = strategy.params({})
    texts = {field.name: str(getattr(usual, field.name)) for field in fields(strategy.kind)}
    assert strategy.params(texts) == usual


def test_what_is_decided_does_not_depend_on_the_process() -> None:
    """Hash seeds and the number of threads differ from one run to the next; the orders must not."""
    program = (
        "import sys; from tests.contracts.test_strategy_contract import *\n"
        "import hashlib\n"
        "whole = b''.join(encode(decided(situation(7, 0.01), name, params)) for name, params in CASES)\n"
        "print(hashlib.sha256(whole).hexdigest())"
    )
    seen = set()
    for seed, threads in (("1", "1"), ("2", "2")):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, "PATH": ""},
            capture_output=True, text=True, check=True, cwd=ROOT,
        )  # fmt: skip
        seen.add(done.stdout)
    assert len(seen) == 1


def test_the_situations_lead_to_orders_at_all() -> None:
    """Else the tests above would hold of strategies that never do anything."""
    for name, params in CASES:
        if name == "flat":
            continue
        entered = [decided(situation(seed, 0.01), name, params).intents for seed in range(6)]
        assert any(entered), (name, params)
    assert quote(BTC).ask > 100
    assert np.isfinite(sampled(BTC, 1, 0.0).quantiles).all()
