"""What the rest of a program has made its defaults changes no number: neither another dtype nor another device."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="Kronos needs torch: pip install '.[models]'")

from forecasters.compiled.toolchain import missing_tools  # noqa: E402
from forecasters.kronos import load_kronos  # noqa: E402
from forecasters.kronos.sampling import logarithms_are_torchs  # noqa: E402
from forecasters.kronos.step import advance  # noqa: E402
from tests.forecasters.kronos.checkpoints import assert_the_originals  # noqa: E402
from tests.forecasters.support import torch_defaults  # noqa: E402
from tests.golden.rebuild import golden_outputs  # noqa: E402

DEFAULTS = ["float64", "bfloat16", "meta"]  # of floats, or of where tensors are made


class Generated:
    """A step that counts as generated code, so that our own kernels serve."""

    generates_code = True

    def __call__(self, *given: object) -> object:
        return advance(*given)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_tokens_are_the_originals_under_other_defaults(name: str, folders: dict[str, Path]) -> None:
    golden = golden_outputs("tiny")
    split = int(golden["context"])
    asked = golden["bars"], golden["times"][:split], golden["times"][split:]
    wanted = load_kronos(folders["tiny"]).generate(*asked, samples=3, seed=1)
    logarithms_are_torchs.cache_clear()
    with torch_defaults(name):
        kronos = load_kronos(folders["tiny"])
        assert np.array_equal(kronos.encode(asked[0])[0], golden["tokens_s1"])
        np.testing.assert_allclose(kronos.logits(*asked[:2])[0], golden["s1_logits_last"], atol=2e-5, rtol=0)
        assert_the_originals(kronos.generate(*asked, greedy=True)[0], golden)
        assert np.array_equal(kronos.generate(*asked, samples=3, seed=1), wanted)
        assert logarithms_are_torchs()


@pytest.mark.skipif(bool(missing_tools()), reason=f"this machine lacks {' and '.join(missing_tools())}")
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")  # the compiler's own imports
@pytest.mark.parametrize("size", ["tiny", "mini"])
@pytest.mark.parametrize("name", DEFAULTS)
def test_so_are_those_of_our_own_kernels(name: str, size: str, folders: dict[str, Path]) -> None:
    """Of a width that a whole step takes, and of one that it does not."""
    golden = golden_outputs(size)
    split = int(golden["context"])
    asked = golden["bars"], golden["times"][:split], golden["times"][split:]
    with torch_defaults(name):
        kronos = load_kronos(folders[size]).twin(Generated())  # type: ignore[arg-type]
        np.testing.assert_allclose(kronos.logits(*asked[:2])[1], golden["s2_logits_last"], atol=2e-5, rtol=0)
        several = kronos.generate(*asked, samples=2, greedy=True)
    assert (np.abs(several[1] - golden["predicted"]) <= 1e-4 * golden["bars"].std(axis=0)).all()
