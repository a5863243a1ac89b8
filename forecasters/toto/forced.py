"""What the network says of each step ahead when what came before is given: Toto 2.0's quantiles, Toto 1.0's mixtures.

Toto 1.0 goes on from patch to patch: each patch ahead is taken to be the context's last one again, whatever the network
thinks of it. V variates, P steps of a patch, K components.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forecasters.compiled.forced import Outputs
from forecasters.toto.bars import Group
from forecasters.toto.inputs import prepared
from forecasters.toto.passes import quantiles_of
from forecasters.toto.toto1.mixture import Mixture
from forecasters.toto.toto1.model import Toto1
from forecasters.toto.toto1.network import ContextState
from forecasters.toto.toto2.model import Toto2

Floats = NDArray[np.float64]


def forced_outputs(
    model: Toto1 | Toto2, groups: Sequence[Group], horizon: int, *, samples: int, samples_per_batch: int
) -> list[dict[str, Outputs]]:
    """Of each group of one pass. By the graphs that forecast, where it is compiled: for so many samples at once."""
    if isinstance(model, Toto2):
        tables = [answer.values.movedim(0, -1) for answer in quantiles_of(model, groups, horizon)]  # [V, H, Q]
        return [{"quantiles": Outputs(values=_table(table), kind="numbers")} for table in tables]
    batch = min(samples_per_batch, samples)
    return [_mixtures(model, group.series, group.mask, horizon, samples=samples, batch=batch) for group in groups]


def _mixtures(
    model: Toto1, series: NDArray[np.float32], mask: NDArray[np.bool_], horizon: int, *, samples: int, batch: int
) -> dict[str, Outputs]:
    inputs = prepared(series, mask, horizon, patch=model.patch, groups=None, device=model._device)
    count = len(series)
    again = inputs.series[:, -model.patch :]  # [V, P]
    mixtures: list[Mixture] = []

    def choose(mixture: Mixture, read: ContextState | None) -> Tensor:
        mixtures.append(mixture)
        patch = again.new_zeros(mixture.loc.shape[:-1])  # [S, V of the bucket, P]
        patch[:, :count] = again
        return patch

    model.paths(inputs, batch, batch, choose)
    parts = {
        "degrees of freedom": [mixture.df for mixture in mixtures],
        "locations": [mixture.loc for mixture in mixtures],
        "scales": [mixture.scale for mixture in mixtures],
        "odds": [mixture.odds for mixture in mixtures],
    }
    return {
        name: Outputs(
            # [V, H, K] of one sample: all were given the same
            values=_table(torch.cat([step[0, :count] for step in steps], dim=1)[:, :horizon]),
            kind="odds" if name == "odds" else "numbers",
        )
        for name, steps in parts.items()
    }


def _table(found: Tensor) -> Floats:
    """[..., K] -> [N, K]"""
    table: Floats = found.flatten(0, -2).double().cpu().numpy()
    return table
