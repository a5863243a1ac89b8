"""What the originals were asked with, and ours is asked: inputs are drawn again, answers are in tests/golden."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecasters.toto.checkpoint import SIZES
from forecasters.toto.config import first_config, is_first, second_config
from tests.golden.weights_by_name import state_dict_for

SEED = 31  # of the weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One question.

    missing  none, lead (the oldest), holes, tail (the newest), patches (whole ones, of some variates), rare (most)
    level    the series are level + scale x a random walk; the last of several is constant where `flat`
    samples  1.0: paths with this seed; None is the mean      block  2.0: steps decoded at once; None is one pass
    """

    variates: int
    steps: int
    horizon: int
    missing: str = "none"
    groups: tuple[int, ...] | None = None
    scale: float = 1.0
    level: float = 0.0
    flat: bool = False
    samples: int | None = None
    at_once: int | None = None
    block: int | None = None

    def inputs(self) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """series [V, T], mask [V, T]"""
        random = np.random.Generator(np.random.PCG64([self.variates, self.steps, self.horizon]))
        series = self.level + self.scale * random.standard_normal((self.variates, self.steps)).cumsum(axis=1)
        if self.flat:
            series[-1] = self.level
        mask = _mask(self.missing, series.shape, random)
        return np.where(mask, series, 0).astype(np.float32), mask


def _mask(kind: str, shape: tuple[int, int], random: np.random.Generator) -> NDArray[np.bool_]:
    mask = np.ones(shape, dtype=np.bool_)
    if kind == "lead":
        mask[:, : shape[1] // 3] = False
    elif kind == "holes":
        mask[:, shape[1] // 4 : shape[1] // 4 + 9] = False
        mask[0, shape[1] // 2 : shape[1] // 2 + 40] = False
    elif kind == "tail":
        mask[:, -3:] = False
        mask[0, -20:] = False
    elif kind == "patches":
        mask[:, : shape[1] // 4] = False
        mask[-1, : 3 * shape[1] // 4] = False
    elif kind == "rare":
        mask = random.random(shape) < 0.15
        mask[:, :64] = False
        mask[:, 64:80] = True
    return mask


ANY = {
    "one": Case(variates=1, steps=256, horizon=64),
    "one step": Case(variates=2, steps=192, horizon=1),
    "not whole": Case(variates=3, steps=301, horizon=77),
    "short": Case(variates=4, steps=20, horizon=30),
    "lead": Case(variates=4, steps=300, horizon=96, missing="lead"),
    "holes": Case(variates=5, steps=320, horizon=130, missing="holes"),
    "tail": Case(variates=2, steps=333, horizon=70, missing="tail"),
    "patches": Case(variates=6, steps=512, horizon=64, missing="patches"),
    "rare": Case(variates=3, steps=512, horizon=100, missing="rare"),
    "groups": Case(variates=7, steps=256, horizon=96, groups=(0, 0, 1, 1, 1, 2, 0)),
    "groups, patches": Case(variates=7, steps=300, horizon=96, missing="patches", groups=(3, 3, 1, 1, 1, 2, 0)),
    "flat": Case(variates=3, steps=256, horizon=64, flat=True, level=5.0),
    "constant": Case(variates=1, steps=128, horizon=64, scale=0.0, level=3.0),
    "nothing but zero": Case(variates=1, steps=128, horizon=40, scale=0.0),
    "tiny": Case(variates=2, steps=256, horizon=64, scale=1e-6),
    "large": Case(variates=2, steps=256, horizon=64, scale=1e5, level=1e6),
    "long": Case(variates=1, steps=5000, horizon=64),
    "far": Case(variates=2, steps=256, horizon=336),
}
FIRST = ANY | {
    "drawn": Case(variates=1, steps=256, horizon=64, samples=8),
    "drawn far": Case(variates=4, steps=256, horizon=200, samples=4),
    "drawn, one patch": Case(variates=2, steps=64, horizon=70, samples=4),
    "drawn, lead": Case(variates=3, steps=300, horizon=96, missing="lead", samples=4),
    "drawn, groups": Case(variates=7, steps=200, horizon=96, groups=(0, 0, 1, 1, 1, 2, 0), samples=4),
    "drawn in batches": Case(variates=2, steps=128, horizon=70, samples=6, at_once=3),
}
SECOND = ANY | {
    "block": Case(variates=4, steps=256, horizon=96, block=32),
    "blocks of two": Case(variates=1, steps=256, horizon=200, block=64),
    "last block short": Case(variates=3, steps=301, horizon=300, block=96),
    "block, lead": Case(variates=3, steps=256, horizon=200, missing="lead", block=64),
    "block, patches": Case(variates=5, steps=320, horizon=300, missing="patches", groups=(0, 0, 1, 1, 2), block=96),
    "block, tail": Case(variates=2, steps=288, horizon=200, missing="tail", block=64),
    "block longer than context": Case(variates=4, steps=64, horizon=400, missing="tail", block=128),
    "block longer than horizon": Case(variates=2, steps=288, horizon=100, missing="holes", block=128),
    "block, far": Case(variates=1, steps=512, horizon=1200, block=256),
}
PUBLISHED_FIRST = {
    "one": Case(variates=1, steps=512, horizon=96),
    "groups, holes": Case(variates=7, steps=500, horizon=336, missing="holes", groups=(0, 0, 1, 1, 1, 2, 0)),
    "lead": Case(variates=4, steps=1000, horizon=64, missing="lead"),
    "drawn": Case(variates=4, steps=512, horizon=96, samples=2),
}
PUBLISHED_SECOND = {
    "one": Case(variates=1, steps=512, horizon=96),
    "groups, holes": Case(variates=7, steps=500, horizon=336, missing="holes", groups=(0, 0, 1, 1, 1, 2, 0)),
    "patches": Case(variates=4, steps=1000, horizon=64, missing="patches"),
    "tiny": Case(variates=2, steps=512, horizon=64, scale=1e-6, flat=True),
    "block": Case(variates=4, steps=512, horizon=700, missing="lead", block=256),
    "long": Case(variates=1, steps=6000, horizon=64),
}
BY_SIZE: Mapping[str, Mapping[str, Case]] = {
    "tiny-1.0": FIRST,
    "tiny": SECOND,
    "base-1.0": PUBLISHED_FIRST,
    "22m": PUBLISHED_SECOND,
}


def weights(size: str) -> dict[str, object]:
    """The state dict behind the answers."""
    from forecasters.toto.toto1 import names as names1
    from forecasters.toto.toto2 import names as names2

    config = SIZES[size]
    first = is_first(config)
    shapes = names1.tensor_shapes(first_config(config)) if first else names2.tensor_shapes(second_config(config))
    return dict(state_dict_for(shapes, SEED, unit=not first))
