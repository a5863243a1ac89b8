"""The same weights give what the original gave: its outputs are in tests/golden."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.forecasters.kronos.checkpoints import assert_the_originals
from tests.golden.rebuild import golden_outputs

if TYPE_CHECKING:
    from forecasters.kronos.generate import Kronos

SIZES = ("tiny", "mini")


@pytest.fixture(params=SIZES)
def case(request: pytest.FixtureRequest, models: dict[str, Kronos]) -> tuple[Kronos, dict[str, np.ndarray]]:
    return models[request.param], golden_outputs(request.param)


def test_the_tokens_of_the_bars_are_the_originals(case: tuple[Kronos, dict[str, np.ndarray]]) -> None:
    kronos, golden = case
    s1, s2 = kronos.encode(golden["bars"])
    assert s1.dtype == s2.dtype == np.int64
    assert np.array_equal(s1, golden["tokens_s1"])
    assert np.array_equal(s2, golden["tokens_s2"])


def test_the_logits_of_the_next_bar_are_the_originals(case: tuple[Kronos, dict[str, np.ndarray]]) -> None:
    kronos, golden = case
    s1, s2 = kronos.logits(golden["bars"], golden["times"][: int(golden["context"])])
    np.testing.assert_allclose(s1, golden["s1_logits_last"], atol=2e-5, rtol=0)
    np.testing.assert_allclose(s2, golden["s2_logits_last"], atol=2e-5, rtol=0)


def test_the_greedy_path_is_the_originals(case: tuple[Kronos, dict[str, np.ndarray]]) -> None:
    from forecasters.kronos.generate import Series
    from forecasters.kronos.sampling import Sampling

    kronos, golden = case
    split = int(golden["context"])
    bars, past, future = golden["bars"], golden["times"][:split], golden["times"][split:]
    s1, s2 = kronos.draw(Series(bars=bars, times=past, future_times=future), Sampling(greedy=True), samples=1)
    assert np.array_equal(s1[0], golden["greedy_s1"])
    assert np.array_equal(s2[0], golden["greedy_s2"])
    paths = kronos.generate(bars, past, future, samples=1, greedy=True)
    assert paths.shape == (1, int(golden["horizon"]), 6)
    assert_the_originals(paths[0], golden)


def test_paths_decoded_together_are_those_decoded_alone(case: tuple[Kronos, dict[str, np.ndarray]]) -> None:
    """Several greedy samples take the way of shared keys and values through the decoder; one takes the original's."""
    kronos, golden = case
    split = int(golden["context"])
    arguments = (golden["bars"], golden["times"][:split], golden["times"][split:])
    several = kronos.generate(*arguments, samples=3, greedy=True)
    assert np.array_equal(several[0], several[1])
    spread = golden["bars"].std(axis=0)
    assert (np.abs(several[2] - golden["predicted"]) <= 1e-4 * spread).all()


def test_the_strict_strategy_is_the_originals_too(tiny: Kronos) -> None:
    golden = golden_outputs("tiny")
    split = int(golden["context"])
    paths = tiny.generate(
        golden["bars"], golden["times"][:split], golden["times"][split:], samples=1, greedy=True, strategy="strict"
    )
    assert_the_originals(paths[0], golden)


def test_half_precision_stays_close(folders: dict[str, object], tiny: Kronos) -> None:
    from forecasters.kronos import load_kronos

    golden = golden_outputs("tiny")
    half = load_kronos(str(folders["tiny"]), dtype="bfloat16")
    arguments = (golden["bars"], golden["times"][: int(golden["context"])])
    exact, close = softmax(tiny.logits(*arguments)[0]), softmax(half.logits(*arguments)[0])
    assert 0.5 * np.abs(exact - close).sum() < 0.01  # total variation
    assert np.array_equal(half.encode(golden["bars"])[0], golden["tokens_s1"])  # the tokenizer is exact all the same


def softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()
