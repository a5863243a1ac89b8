"""What the original's own predictor says of a data frame, with seeded weights: the same numbers, and `verify` passes.

Its answers are in tests/golden/kronos-tables.npz, which tests/golden/make_kronos.py writes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch", reason="Kronos needs torch: pip install '.[models]'")

from forecasters.kronos import load_kronos, verify
from forecasters.kronos.features import complete_bars, standardise
from tests.forecasters.kronos.checkpoints import make_seeded
from tests.forecasters.support import bars
from tests.golden.make_kronos import SEEDS, SHIFT, WINDOW
from tests.golden.rebuild import golden_outputs
from trader.cli import cli


@pytest.fixture(scope="module")
def tables() -> dict[str, np.ndarray]:
    return golden_outputs("tables")


def frame_of(tables: dict[str, np.ndarray]) -> pd.DataFrame:
    frame = pd.DataFrame(tables["frame"], columns=verify.COLUMNS)
    frame.insert(0, "timestamps", tables["times"])
    return frame


@pytest.fixture(scope="module")
def checkouts(tables: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """As the original's, one for each seed: its bars, and its own answers."""
    made = {}
    frame = frame_of(tables)
    for number, seed in enumerate(SEEDS):
        root = tmp_path_factory.mktemp(f"upstream-{seed}")
        (root / verify.DATA).mkdir(parents=True)
        frame.to_csv(root / verify.DATA / verify.INPUT, index=False)
        for context in verify.CONTEXTS:
            answer = tables[f"after_{context}"][number]
            told = frame.iloc[context : context + len(answer)].reset_index(drop=True)
            told[verify.COLUMNS] = answer
            told.to_csv(root / verify.DATA / f"regression_output_{context}.csv", index=False)
        made[seed] = root
    return made


@pytest.mark.parametrize("seed", SEEDS)
def test_verify_passes_on_the_originals_tables(
    seed: int, one_thread: None, checkouts: dict[int, Path], tmp_path: Path
) -> None:
    kronos = load_kronos(make_seeded(tmp_path / "seeded", seed))
    checks = list(verify.verify(kronos, checkouts[seed] / verify.DATA, {}))
    assert [check.name for check in checks] == ["context 512, 8 steps", "context 256, 8 steps"]
    assert all(check.passed for check in checks), checks


def test_the_command_passes_on_them_too(checkouts: dict[int, Path], tmp_path: Path) -> None:
    seed = SEEDS[0]
    folder = make_seeded(tmp_path / "seeded", seed)
    arguments = ["backends", "verify", "kronos", "--model", str(folder), "--upstream", str(checkouts[seed])]
    told = CliRunner().invoke(cli, arguments, standalone_mode=False)
    assert (told.return_value, told.output.count("ok ")) == (0, 2)


@pytest.mark.parametrize(("name", "columns"), [("bare", 5), ("plain", 4)])
def test_without_an_amount_or_a_volume_it_is_the_originals_too(
    name: str, columns: int, one_thread: None, tables: dict[str, np.ndarray], tmp_path: Path
) -> None:
    given_bars, times = tables["frame"][:256, :columns], tables["times"]
    for number, seed in enumerate(SEEDS[:4]):
        kronos = load_kronos(make_seeded(tmp_path / str(seed), seed))
        (paths,) = kronos.generate(given_bars, times[:256], times[256:264], samples=1, greedy=True, strategy="strict")
        spread = complete_bars(given_bars).std(axis=0)
        assert (np.abs(paths - tables[name][number]) <= 1e-5 * np.abs(tables[name][number]) + 1e-6 * spread).all()


def test_the_tokens_of_every_window_are_the_originals(
    one_thread: None, tables: dict[str, np.ndarray], tmp_path: Path
) -> None:
    kronos = load_kronos(make_seeded(tmp_path / "seeded", SEEDS[0]))
    for number, theirs in enumerate(tables["tokens"]):
        window = tables["frame"][number * SHIFT : number * SHIFT + WINDOW]
        ours = np.array(kronos.encode(window))
        assert np.array_equal(ours, theirs), f"window {number}: {(ours != theirs).sum()} tokens are others"


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 600),
    seed=st.integers(0, 10_000),
    exponent=st.integers(-1, 5),
    columns=st.sampled_from([4, 5, 6]),
)
def test_bars_are_standardised_as_a_data_frame_of_them_is(count: int, seed: int, exponent: int, columns: int) -> None:
    """To the last bit, whatever way the array that is given here lies in memory."""
    table = bars(count, seed=seed, last_close=1.7 * 10.0**exponent, volatility=4e-4)[:, :columns]
    expected = by_data_frame(pd.DataFrame({name: table[:, n] for n, name in enumerate(verify.COLUMNS[:columns])}))
    for order in ("C", "F"):
        found = standardise(complete_bars(np.array(table, order=order)))  # type: ignore[call-overload]
        assert np.array_equal(found.values, expected)


def by_data_frame(frame: pd.DataFrame) -> np.ndarray:
    """The predictor's steps from a frame to the tokenizer's input, in words of our own."""
    names = verify.COLUMNS
    if "volume" not in frame:
        frame = frame.assign(volume=0.0, amount=0.0)
    if "amount" not in frame:
        frame = frame.assign(amount=frame["volume"] * frame[names[:4]].mean(axis=1))
    columns = frame[names].to_numpy().astype(np.float32)
    centre, width = columns.mean(axis=0), columns.std(axis=0)
    return np.clip((columns - centre) / (width + 1e-5), -5, 5)
