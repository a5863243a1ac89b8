"""The port gives what the original models gave, on weights rebuilt from their names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.forecasters.toto.checkpoints import golden_arrays, golden_folder, walk

torch = pytest.importorskip("torch", reason="torch is not installed: pip install the extra `models`")

from forecasters.toto import load_toto  # noqa: E402 - after the skip
from forecasters.toto.buckets import EXACT, Buckets  # noqa: E402

BUCKETS = Buckets(context=(10, 20), ahead=(4, 16), variates=(6, 8))
TOLERANCE = 1e-5  # of the outputs' spread


def apart(found: np.ndarray, wanted: np.ndarray) -> float:
    assert found.shape == wanted.shape
    return float(np.abs(found - wanted).max() / np.ptp(wanted))


@pytest.mark.parametrize("buckets", [EXACT, BUCKETS], ids=["exact", "padded"])
@pytest.mark.parametrize("name", ["toto2-tiny", "toto2-4m"])
def test_quantiles_are_the_originals(name: str, buckets: Buckets, tmp_path: Path) -> None:
    wanted = golden_arrays(name)
    toto = load_toto(golden_folder(name, tmp_path), buckets=buckets)
    found = toto.quantiles(wanted["series"], wanted["mask"], int(wanted["horizon"]))
    assert apart(found, wanted["quantiles"]) < TOLERANCE


@pytest.mark.parametrize("buckets", [EXACT, BUCKETS], ids=["exact", "padded"])
def test_the_mean_is_the_originals_over_more_than_one_patch(buckets: Buckets, tmp_path: Path) -> None:
    wanted = golden_arrays("toto1-tiny")
    toto = load_toto(golden_folder("toto1-tiny", tmp_path), buckets=buckets)
    assert int(wanted["horizon"]) > toto.patch
    found = toto.mean(wanted["series"], wanted["mask"], int(wanted["horizon"]))
    assert apart(found, wanted["mean"]) < TOLERANCE


@pytest.mark.parametrize("buckets", [EXACT, BUCKETS], ids=["exact", "padded"])
def test_the_mixture_is_the_originals(buckets: Buckets, tmp_path: Path) -> None:
    from forecasters.toto.toto1.model import Toto1

    wanted = golden_arrays("toto1-tiny")
    toto = load_toto(golden_folder("toto1-tiny", tmp_path), buckets=buckets)
    assert isinstance(toto, Toto1)
    found = toto.next_patch(wanted["series"], wanted["mask"])
    for name in ("df", "loc", "scale"):
        assert apart(getattr(found, name).numpy(), wanted[name]) < TOLERANCE
    assert apart(found.odds.log().numpy(), wanted["mixture_logits"]) < TOLERANCE
    assert np.allclose(found.affine_loc.numpy(), wanted["affine_loc"], rtol=1e-6)
    assert np.allclose(found.affine_scale.numpy(), wanted["affine_scale"], rtol=1e-6)


@pytest.mark.parametrize("name", ["toto2-tiny", "toto1-tiny"])
@pytest.mark.parametrize(("variates", "steps", "horizon"), [(1, 70, 5), (3, 200, 64), (5, 257, 130)])
def test_a_bucket_changes_no_result(name: str, variates: int, steps: int, horizon: int, tmp_path: Path) -> None:
    folder = golden_folder(name, tmp_path)
    bare, padded = (load_toto(folder, buckets=buckets) for buckets in (EXACT, BUCKETS))
    series, mask = walk(variates, steps)
    mask[:, 20:60] = False
    series[~mask] = 0
    first = bare.generation == 1
    wanted = (bare.mean if first else bare.quantiles)(series, mask, horizon)
    found = (padded.mean if first else padded.quantiles)(series, mask, horizon)
    assert apart(found, wanted) < TOLERANCE


def test_tensors_are_answered_with_tensors(tmp_path: Path) -> None:
    toto = load_toto(golden_folder("toto2-tiny", tmp_path))
    series, mask = walk(2, 64)
    found = toto.quantiles(torch.from_numpy(series), torch.from_numpy(mask), 7)
    assert isinstance(found, torch.Tensor)
    assert np.array_equal(found.numpy(), toto.quantiles(series, mask, 7))


@pytest.mark.parametrize("name", ["toto2-tiny", "toto1-tiny"])
def test_variates_of_other_groups_are_not_looked_at(name: str, tmp_path: Path) -> None:
    toto = load_toto(golden_folder(name, tmp_path))
    ask = toto.mean if toto.generation == 1 else toto.quantiles
    series, mask = walk(4, 128)
    apart_from_the_rest = ask(series, mask, 70, groups=[0, 0, 1, 1])
    alone = ask(series[:2], mask[:2], 70)
    assert np.allclose(apart_from_the_rest[..., :2, :], alone, atol=1e-4)
    assert not np.allclose(ask(series, mask, 70)[..., :2, :], alone, atol=1e-4)


def test_quantiles_are_put_in_order_and_the_crossing_ones_counted(tmp_path: Path) -> None:
    from forecasters.toto.toto2.model import Toto2

    toto = load_toto(golden_folder("toto2-tiny", tmp_path))
    assert isinstance(toto, Toto2)
    series, mask = walk(4, 96)
    found = toto.ordered(series, mask, 40)
    assert 0 < found.crossing <= 4 * 40  # random weights know no order
    assert (found.values.diff(dim=0) >= 0).all()


def test_a_handful_of_observations_makes_no_absurd_forecast(tmp_path: Path) -> None:
    """Mostly zeros, as counts of rare events are: without a floor under the first scales it would reach 1e6."""
    toto = load_toto(golden_folder("toto2-tiny", tmp_path))
    series, mask = np.zeros((1, 128), dtype=np.float32), np.zeros((1, 128), dtype=np.bool_)
    mask[:, 29:] = True
    series[:, -1] = 5.0
    assert np.abs(toto.quantiles(series, mask, 32)).max() < 1e5
