"""Every kind of question has the answer that the published packages gave to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install the extra `models`")

from safetensors.torch import save_file  # noqa: E402 - after the skip

from forecasters.toto import load_toto  # noqa: E402
from forecasters.toto.buckets import Buckets  # noqa: E402
from forecasters.toto.checkpoint import SIZES  # noqa: E402
from forecasters.toto.model import Toto  # noqa: E402
from forecasters.toto.toto1.model import Toto1  # noqa: E402
from tests.forecasters.toto.cases import BY_SIZE, FIRST, PUBLISHED_FIRST, PUBLISHED_SECOND, SECOND, Case, weights  # noqa: E402
from tests.golden.make_toto import SEED  # noqa: E402

GOLDEN = Path(__file__).parents[2] / "golden"
TOLERANCE = 1e-5  # of the spread of a variate's answer
FED_BACK = 3.0  # rounding grows so much with each patch that follows from forecast ones, in the base model of these
# weights: at 336 steps the original in float32 is 4.7e-5 of the spread away from itself in float64
ULPS = 16 * float(np.finfo(np.float32).eps)  # of its size: at level 1e6 with little spread, or none, this is more
BUCKETS = Buckets(context=(9, 200), ahead=(3, 8, 40), variates=(4, 8))


def answers(size: str) -> Mapping[str, np.ndarray]:
    with np.load(GOLDEN / f"toto-cases-{size}.npz") as stored:
        return dict(stored)


def folder_of(size: str, folder: Path) -> Path:
    save_file(weights(size), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(dict(SIZES[size])))
    return folder


def asked(toto: Toto, case: Case) -> np.ndarray:
    series, mask = case.inputs()
    if toto.generation == 2:
        return toto.quantiles(series, mask, case.horizon, groups=case.groups, decode_block_size=case.block)
    if case.samples is None:
        return toto.mean(series, mask, case.horizon, groups=case.groups)
    drawing = {"samples": case.samples, "seed": SEED, "samples_per_batch": case.at_once}
    return toto.sample(series, mask, case.horizon, groups=case.groups, **drawing)  # type: ignore[arg-type]


def error(found: np.ndarray, wanted: np.ndarray, patch: int | None = None) -> float:
    """The largest, over the variates, of the difference as a share of what is allowed, more from patch to patch."""
    assert found.shape == wanted.shape
    assert np.isfinite(found).all()
    others = tuple(axis for axis in range(wanted.ndim) if axis != wanted.ndim - 2)
    allowed = TOLERANCE * np.ptp(wanted, axis=others) + ULPS * np.abs(wanted).max(axis=others)
    growth = FED_BACK ** np.maximum(np.arange(wanted.shape[-1]) // patch - 1, 0) if patch else 1.0
    return float((np.abs((found - wanted) / growth).max(axis=others) / np.maximum(allowed, 1e-30)).max())


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Toto]]:
    """By size and way: in the size that is asked for, and in that of a bucket."""
    found: dict[str, dict[str, Any]] = {}
    for size in ("tiny", "tiny-1.0"):
        folder = folder_of(size, tmp_path_factory.mktemp(size))
        found[size] = {"bare": load_toto(folder), "padded": load_toto(folder, buckets=BUCKETS)}
    return found


@pytest.mark.parametrize("way", ["bare", "padded"])
@pytest.mark.parametrize(("size", "name"), [("tiny-1.0", name) for name in FIRST] + [("tiny", name) for name in SECOND])
def test_the_answer_is_the_originals(size: str, name: str, way: str, models: dict[str, dict[str, Toto]]) -> None:
    found, wanted = asked(models[size][way], BY_SIZE[size][name]), answers(size)[name]
    assert error(found, wanted) < 1


@pytest.mark.parity
@pytest.mark.parametrize(("size", "cases"), [("base-1.0", PUBLISHED_FIRST), ("22m", PUBLISHED_SECOND)])
def test_at_a_published_size_the_answers_are_the_originals(
    size: str, cases: Mapping[str, Case], tmp_path: Path
) -> None:
    toto = load_toto(folder_of(size, tmp_path))
    wanted, patch = answers(size), toto.patch if isinstance(toto, Toto1) else None
    found = {name: asked(toto, case) for name, case in cases.items()}
    errors = {name: error(found[name], wanted[name], patch) for name in cases}
    assert max(errors.values()) < 1, errors
