"""Toto 2.0, ready to be asked for quantiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from forecasters.toto.buckets import EXACT, Buckets
from forecasters.toto.compilation import Compilation, Graphs
from forecasters.toto.config import Toto2Config
from forecasters.toto.inputs import Array, Inputs, Mask, like, prepared
from forecasters.toto.model import Toto
from forecasters.toto.parts import Tensors
from forecasters.toto.toto2.network import Network
from forecasters.toto.toto2.scaling import FEWEST_OBSERVED, REACH


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Guards against series with very few observations, as the original's own GluonTS wrapper sets them."""

    fewest_observed: int = FEWEST_OBSERVED
    reach: float = REACH


NO_LIMITS = Limits(fewest_observed=0, reach=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantiles:
    """values [9, V, H], ordered; `crossing` of the V x H sets of nine had to be put in order."""

    values: Tensor
    crossing: int


class Toto2(Toto):
    """Quantiles in one pass over context and horizon."""

    generation = 2

    def __init__(
        self,
        config: Toto2Config,
        tensors: Tensors,
        *,
        device: torch.device,
        buckets: Buckets = EXACT,
        limits: Limits | None = None,
        compilation: Compilation | None = None,
    ) -> None:
        self.patch = config.patch_size
        self.levels = config.levels
        self.network = Network(config, tensors).to(device).eval()
        self._device, self._buckets, self._limits = device, buckets, limits or Limits()
        self.graphs = Graphs(compilation)

    def quantiles(self, series: Array, mask: Mask, horizon: int, *, groups: Sequence[int] | None = None) -> Array:
        return like(self.ordered(series, mask, horizon, groups=groups).values, series)

    @torch.inference_mode()
    def ordered(self, series: Array, mask: Mask, horizon: int, *, groups: Sequence[int] | None = None) -> Quantiles:
        """As `quantiles`, with the number of steps whose quantiles crossed in the network's output."""
        given = prepared(series, mask, horizon, patch=self.patch, groups=groups, device=self._device)
        found = self._forward(given)[:, : len(given.series), :horizon]
        crossing = int((found.diff(dim=0) < 0).any(dim=0).sum())
        return Quantiles(values=found.sort(dim=0).values, crossing=crossing)

    def _forward(self, given: Inputs) -> Tensor:
        """[Q, V, H], V and H those of the bucket. To be copied: a graph's next run may write to the same place."""
        ahead = self._buckets.of_ahead(given.ahead)
        patches = self._buckets.of_context(given.patches) + ahead - 1
        variates = self._buckets.of_variates(len(given.series)) - len(given.series)
        seen = given.mask.clone()
        seen[:, -self.patch :] = True  # as trained: the newest patch counts as observed, zeros where it was not
        after = patches * self.patch - seen.shape[1]
        alone = given.groups.max() + 1 + torch.arange(variates, device=given.groups.device)
        network = self.graphs.of(self.network.forward, (len(given.series) + variates, patches, ahead))
        return network(
            F.pad(given.series * seen, (0, after, 0, variates)),
            F.pad(seen, (0, after, 0, variates)),
            torch.cat((given.groups, alone)),
            torch.tensor(given.patches, device=self._device),
            torch.tensor(given.patches + given.ahead, device=self._device),
            ahead,
            self._limits.fewest_observed,
            self._limits.reach,
        )
