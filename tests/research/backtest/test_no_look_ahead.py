"""Whatever happens after a moment, nothing that was decided before it changes: not by a byte."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.research.backtest.material import Decisions, bars_of, run, settings_for, written
from trader.adapters.journal.codec import encode
from trader.research.backtest.simulate import Recording

CONTEXT, CYCLES = 60, 40
PRICES = ["open", "high", "low", "close"]


def truncated(bars: pd.DataFrame, from_row: int, seed: int) -> pd.DataFrame:
    return bars.iloc[: from_row + 2]  # the clock needs a moment to run to


def shuffled(bars: pd.DataFrame, from_row: int, seed: int) -> pd.DataFrame:
    order = np.random.default_rng(seed).permutation(np.arange(from_row, len(bars)))
    changed = bars.copy()
    columns = [*PRICES, "volume"]
    changed.loc[changed.index[from_row:], columns] = bars.iloc[order][columns].to_numpy()
    return changed


def poisoned(bars: pd.DataFrame, from_row: int, seed: int) -> pd.DataFrame:
    """A future in which whoever saw it would decide otherwise: it leaps, up or down, and moves the more."""
    factor = np.random.default_rng(seed).choice([0.4, 0.8, 1.25, 2.5])
    changed = bars.copy()
    changed.loc[changed.index[from_row:], PRICES] *= factor
    changed.loc[changed.index[from_row:], "volume"] *= 7
    return changed


def facts(recording: Recording, decisions: Decisions, until: pd.Timestamp) -> list[bytes]:
    """Everything that was decided, ordered and filled up to that moment."""
    journal = recording.journal
    plans = [encode(plan) for name, plan in decisions.plans.items() if decisions.inputs[name].now <= until]
    intents = [encode(r.intent) for r in journal.intents() if r.created_at <= until]
    fills = [encode(fill) for fill in journal.fills if fill.at <= until]
    return [*plans, *intents, *fills]


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, Path]:
    return bars_of("BTC/USD", CONTEXT + CYCLES + 30), tmp_path_factory.mktemp("bars")


@pytest.fixture(scope="module")
def honest(market: tuple[pd.DataFrame, Path]) -> tuple[Recording, Decisions]:
    bars, folder = market
    files = {"BTC/USD": written(bars, folder / "honest.parquet")}
    recording, decisions = run(settings_for(files, folder), cycles=CYCLES)
    assert recording.journal.fills, "a market in which nothing is traded shows nothing"
    return recording, decisions


@given(
    after=st.integers(1, CYCLES - 2),
    spoil=st.sampled_from([truncated, shuffled, poisoned]),
    seed=st.integers(0, 2**16),
    ahead=st.sampled_from([1, 16]),
)
@settings(
    max_examples=10,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # each example is a run: a smaller one says no more
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_changed_future_changes_nothing_before_it(
    market: tuple[pd.DataFrame, Path], honest: tuple[Recording, Decisions], after: int, spoil, seed: int, ahead: int
) -> None:
    bars, folder = market
    row = CONTEXT + after
    files = {"BTC/USD": written(spoil(bars, row, seed), folder / "spoilt.parquet")}
    recording, decisions = run(settings_for(files, folder), cycles=CYCLES, ahead=ahead)
    # the bar of that row has not begun yet; account ids are of the data, so both runs must name the same one
    until = bars["timestamp"][row] - timedelta(microseconds=1)
    assert renamed(facts(recording, decisions, until)) == renamed(facts(*honest, until))


def renamed(found: list[bytes]) -> list[bytes]:
    """Without the names that come of the files' contents: the account's tag in ids, and the venue's ids."""
    tag, venue_id = re.compile(rb"trd-[0-9a-f]{8}-"), re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
    return [venue_id.sub(b"ID", tag.sub(b"trd-", each)) for each in found]
