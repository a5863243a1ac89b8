"""What the rest of a program has made its defaults changes no number: neither another dtype nor another device."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install the extra `models`")

from forecasters.toto import load_toto  # noqa: E402 - after the skip
from tests.forecasters.support import torch_defaults  # noqa: E402
from tests.forecasters.toto.checkpoints import golden_arrays, golden_folder  # noqa: E402


@pytest.mark.parametrize("name", ["float64", "bfloat16", "meta"])
@pytest.mark.parametrize("size", ["toto1-tiny", "toto2-tiny"])
def test_forecasts_are_the_originals_under_other_defaults(size: str, name: str, tmp_path: Path) -> None:
    wanted = golden_arrays(size)
    asked = wanted["series"], wanted["mask"], int(wanted["horizon"])
    folder = golden_folder(size, tmp_path)
    first = size.startswith("toto1")
    usual = load_toto(folder)
    with torch_defaults(name):
        toto = load_toto(folder)
        if first:
            found, original = toto.mean(*asked), wanted["mean"]
            drawn = [toto.sample(*asked, samples=2, seed=1, together=together) for together in (False, True)]
        else:
            found, original = toto.quantiles(*asked), wanted["quantiles"]
            drawn = [toto.quantiles(*asked, decode_block_size=toto.patch)]
    assert np.abs(found - original).max() < 1e-5 * np.ptp(original)
    if first:
        again = [usual.sample(*asked, samples=2, seed=1, together=together) for together in (False, True)]
    else:
        again = [usual.quantiles(*asked, decode_block_size=usual.patch)]
    assert all(np.array_equal(one, two) for one, two in zip(drawn, again, strict=True))
