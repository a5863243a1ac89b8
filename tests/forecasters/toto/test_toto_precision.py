"""bfloat16, what blocks refuse, and how much there is to compute."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from forecasters.base import InvalidContext
from tests.forecasters.toto.checkpoints import golden_folder, walk

torch = pytest.importorskip("torch", reason="torch is not installed: pip install the extra `models`")

from forecasters.toto import load_toto  # noqa: E402 - after the skip
from forecasters.toto.checkpoint import SIZES  # noqa: E402
from forecasters.toto.work import work_of  # noqa: E402


@pytest.mark.parametrize(("name", "share"), [("toto2-4m", 0.005), ("toto2-tiny", 0.03), ("toto1-tiny", 0.1)])
def test_bfloat16_is_nearly_the_same_model(name: str, share: float, tmp_path: Path) -> None:
    """By a share of the spread at the worst step; the scales stay exact, or a high level would be lost."""
    folder = golden_folder(name, tmp_path)
    full, half = load_toto(folder), load_toto(folder, dtype="bfloat16")
    series, mask = walk(4, 256)
    series += 1000
    wanted, found = (
        toto.mean(series, mask, 64) if toto.generation == 1 else toto.quantiles(series, mask, 64)
        for toto in (full, half)
    )
    assert 0 < np.abs(found - wanted).max() < share * np.ptp(wanted)


def test_another_dtype_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="float32 or bfloat16"):
        load_toto(golden_folder("toto2-tiny", tmp_path), dtype="float16")


@pytest.mark.parametrize("block", [0, 16, 33, -32])
def test_a_block_that_is_not_whole_patches_is_refused(block: int, tmp_path: Path) -> None:
    toto = load_toto(golden_folder("toto2-tiny", tmp_path))
    series, mask = walk(1, 64)
    with pytest.raises(InvalidContext, match="decode_block_size"):
        toto.quantiles(series, mask, 200, decode_block_size=block)


def test_the_work_is_what_the_layers_multiply() -> None:
    """Of the 22m: its parameters but biases, read once, and twice for each token that passes all of it: those that tell
    of what is ahead. Of the 15 others the last two of six layers need next to nothing, and the head nothing.
    """
    every = work_of(SIZES["22m"], variates=1, steps=32, horizon=320)
    assert every.flops == pytest.approx(2 * 10 * 21_915_584, rel=0.002)
    work = work_of(SIZES["22m"], variates=1, steps=512, horizon=64)
    assert work.read == every.read == pytest.approx(4 * 21_915_584, rel=0.002)
    assert 4 / 6 * 17 < work.flops / (2 * 21_915_584) < 5 / 6 * 17
    more = work_of(SIZES["22m"], variates=8, steps=512, horizon=64)
    assert more.flops == 8 * work.flops
    assert more.read == work.read


def test_each_path_of_the_first_generation_has_its_own_work_after_the_first_patch() -> None:
    few, many = (work_of(SIZES["base-1.0"], variates=1, steps=512, horizon=64, samples=count) for count in (1, 256))
    assert few == many
    few, many = (work_of(SIZES["base-1.0"], variates=1, steps=512, horizon=128, samples=count) for count in (1, 256))
    assert many.flops > 20 * few.flops
    assert many.seconds(flops_per_s=1e12, bytes_per_s=1e3) == pytest.approx(many.read / 1e3)
    assert many.seconds(flops_per_s=1e3, bytes_per_s=1e12) == pytest.approx(many.flops / 1e3)
