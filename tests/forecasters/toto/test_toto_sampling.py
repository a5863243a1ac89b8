"""Paths drawn by Toto 1.0."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.forecasters.toto.checkpoints import golden_folder, walk

torch = pytest.importorskip("torch", reason="torch is not installed: pip install the extra `models`")

from forecasters.toto import load_toto  # noqa: E402 - after the skip
from forecasters.toto.inputs import prepared  # noqa: E402
from forecasters.toto.toto1.mixture import Mixture  # noqa: E402
from forecasters.toto.toto1.model import Toto1  # noqa: E402


@pytest.fixture(scope="module")
def toto(tmp_path_factory: pytest.TempPathFactory) -> Toto1:
    folder: Path = tmp_path_factory.mktemp("toto1")
    model = load_toto(golden_folder("toto1-tiny", folder))
    assert isinstance(model, Toto1)
    return model


def test_the_same_seed_draws_the_same_paths_and_another_does_not(toto: Toto1) -> None:
    series, mask = walk(2, 128)
    one, same, other = (toto.sample(series, mask, 70, samples=4, seed=seed) for seed in (5, 5, 6))
    assert one.shape == (4, 2, 70)
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_drawing_in_batches_draws_as_many(toto: Toto1) -> None:
    series, mask = walk(2, 128)
    found = toto.sample(series, mask, 70, samples=7, samples_per_batch=3, seed=0)
    assert found.shape == (7, 2, 70)
    assert len(np.unique(found[:, 0, 0])) == 7


def test_the_first_patch_is_distributed_as_the_mixture_says(toto: Toto1) -> None:
    series, mask = walk(2, 192)
    paths = toto.sample(series, mask, 64, samples=4000, seed=1)
    mixture = toto.next_patch(series, mask)
    normal = torch.distributions.StudentT(mixture.df, mixture.loc, mixture.scale)
    inside = torch.from_numpy(paths) < mixture.mean()
    relative = (mixture.mean() - mixture.affine_loc[:, None]) / mixture.affine_scale[:, None]
    generator = torch.Generator().manual_seed(0)
    drawn = normal.loc + normal.scale * _student(normal.df, 4000, generator)
    chosen = torch.distributions.Categorical(probs=mixture.odds).sample((4000,))
    wanted = (drawn.gather(-1, chosen[..., None])[..., 0] < relative).float().mean(0)
    assert (inside.float().mean(0) - wanted).abs().max() < 0.06
    assert (inside.float().mean(0) - wanted).abs().mean() < 0.012


def _student(df: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    normal = torch.randn((count, *df.shape), generator=generator)
    squares = 2 * torch._standard_gamma((df / 2).expand(count, *df.shape).contiguous(), generator=generator)
    return normal * torch.rsqrt(squares / df)


def test_each_path_goes_on_from_its_own_past_and_from_no_other(toto: Toto1) -> None:
    """Three paths decoded together, their first patches given, are the three decoded alone."""
    series, mask = walk(2, 192)
    given = prepared(series, mask, 192, patch=toto.patch, groups=None, device=torch.device("cpu"))
    firsts = torch.from_numpy(walk(6, 64, seed=3)[0]).view(3, 2, 64)

    def decoded(patches: torch.Tensor) -> torch.Tensor:
        queue = [patches]
        return toto.paths(
            given, len(patches), len(patches), lambda mixture, _: queue.pop() if queue else mixture.mean()
        )

    together = decoded(firsts)
    assert together.shape == (3, 2, 192)
    for path, first in zip(together, firsts, strict=True):
        assert torch.allclose(decoded(first[None])[0], path, atol=1e-4)
    assert not torch.allclose(together[0, :, 64:], together[1, :, 64:], atol=0.1)


def test_a_value_beyond_all_sense_is_put_to_zero() -> None:
    ones = torch.ones(1, 2, 1)
    mixture = Mixture(
        df=3 * ones,
        loc=torch.tensor([[[3e38], [1.0]]]),
        scale=ones,
        odds=ones,
        affine_loc=torch.zeros(1),
        affine_scale=torch.ones(1),
    )
    assert mixture.mean().tolist() == [[0.0, 1.0]]
