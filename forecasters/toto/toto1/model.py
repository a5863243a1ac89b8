"""Toto 1.0, ready to be asked for a mean or for paths."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from forecasters.base import ForecastError, InvalidContext
from forecasters.toto.buckets import EXACT, Buckets
from forecasters.toto.compilation import Compilation, Graphs, quicken
from forecasters.toto.config import Toto1Config
from forecasters.toto.inputs import Array, Inputs, Mask, like, prepared
from forecasters.toto.model import Toto
from forecasters.toto.parts import Tensors, settle_products
from forecasters.toto.toto1.mixture import Mixture, mixture_of
from forecasters.toto.toto1.network import Caches, ContextState, Network

# A mixture [S, V, P, K], and the context where the patch is the first after it -> what is taken to happen [S, V, P].
Choice = Callable[[Mixture, ContextState | None], Tensor]


class Toto1(Toto):
    """The context is read once; samples part from each other at the first patch ahead."""

    generation = 1

    def __init__(
        self,
        config: Toto1Config,
        tensors: Tensors,
        *,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        buckets: Buckets = EXACT,
        compilation: Compilation | None = None,
    ) -> None:
        self.patch = config.patch_size
        self.network = settle_products(Network(config, tensors).to(device).eval(), dtype)
        self._device, self._buckets = device, buckets
        self.graphs = Graphs(compilation)
        quicken(self.network, compilation, device)
        self._kept: dict[Hashable, Caches] = {}

    def mean(self, series: Array, mask: Mask, horizon: int, *, groups: Sequence[int] | None = None) -> Array:
        inputs = prepared(series, mask, horizon, patch=self.patch, groups=groups, device=self._device)
        paths = self.paths(inputs, 1, 1, lambda mixture, _: mixture.mean())
        return like(paths[0, :, :horizon], series)

    def sample(
        self,
        series: Array,
        mask: Mask,
        horizon: int,
        *,
        samples: int,
        seed: int,
        samples_per_batch: int | None = None,
        groups: Sequence[int] | None = None,
        together: bool = False,
    ) -> Array:
        batch = min(samples_per_batch or samples, samples)
        if samples < 1 or batch < 1 or seed < 0:
            raise InvalidContext(f"{samples} samples, {batch} at once, from seed {seed} can't be drawn")
        inputs = prepared(series, mask, horizon, patch=self.patch, groups=groups, device=self._device)
        generator = torch.Generator(self._device).manual_seed(seed)
        count = len(inputs.series)

        def choose(mixture: Mixture, read: ContextState | None) -> Tensor:
            if together:
                return mixture.drawn_together(generator)
            return mixture.drawn(generator, count, None if read is None else self._degrees(read, inputs.patches, count))

        return like(self.paths(inputs, samples, batch, choose)[:, :, :horizon], series)

    def _degrees(self, read: ContextState, patches: int, variates: int) -> Tensor | None:
        """[V, N, K] degrees of freedom of the context's steps after its first patch, each told by the patch before."""
        if patches == 1:
            return None
        raw = self.network.head(read.states[:variates, : patches - 1])
        return mixture_of(raw, read.step.centre[:variates, None], read.step.scale[:variates, None]).df.flatten(1, 2)

    @torch.inference_mode()
    def next_patch(self, series: Array, mask: Mask, *, groups: Sequence[int] | None = None) -> Mixture:
        """The distribution of the first patch ahead; components [V, P, K]."""
        inputs = prepared(series, mask, 1, patch=self.patch, groups=groups, device=self._device)
        read, _ = self._read(inputs)
        mixture = mixture_of(read.step.raw, read.step.centre, read.step.scale)
        count = len(inputs.series)
        return Mixture(
            df=mixture.df[:count],
            loc=mixture.loc[:count],
            scale=mixture.scale[:count],
            odds=mixture.odds[:count],
            affine_loc=mixture.affine_loc[:count],
            affine_scale=mixture.affine_scale[:count],
        )

    @torch.inference_mode()
    def paths(self, given: Inputs, samples: int, batch: int, choose: Choice) -> Tensor:
        """[S, V, patches ahead x P]: `choose` says what happens in each patch, given its distribution."""
        read, groups = self._read(given)
        batches = [
            self._batch(read, groups, given.ahead, batch, choose)  # all of one size, which is one graph
            for _ in range(0, samples, batch)
        ]
        return torch.cat(batches)[:samples, : len(given.series)]

    def _batch(self, read: ContextState, groups: Tensor, ahead: int, samples: int, choose: Choice) -> Tensor:
        step = read.step
        carried, sums = step.carried.expanded(samples), [step.raw.sum()]
        patches = [choose(mixture_of(step.raw, step.centre, step.scale).expanded(samples), read)]
        room = self._buckets.of_ahead(ahead) - 1
        variates, context = step.raw.shape[0], read.valid.shape[0]
        caches = self._caches(samples, variates, room) if ahead > 1 else None
        decode = self.graphs.of(self.network.decode, (samples, variates, context, room))
        for index in range(ahead - 1):
            assert caches is not None
            place = torch.tensor([index], device=self._device)
            step = decode(patches[-1], carried, read, caches, groups, place)
            carried = step.carried
            sums.append(step.raw.sum())  # now: a graph's next run may write to the same place
            patches.append(choose(mixture_of(step.raw, step.centre, step.scale), None))
        if not bool(torch.isfinite(torch.stack(sums)).all()):  # each would be 0 from here on, which is a forecast
            raise ForecastError("the model's output is not finite")
        return torch.cat(patches, dim=-1)

    def _caches(self, samples: int, variates: int, room: int) -> Caches:
        """Empty; compiled, always the same ones for a bucket."""
        if self.graphs.compilation is None:
            return self.network.caches(samples, variates, room, self._device)
        key = (samples, variates, room)
        if key not in self._kept:
            self._kept[key] = self.network.caches(*key, self._device)
            self.graphs.in_place(*self._kept[key].keys, *self._kept[key].values)
        kept = self._kept[key]
        for part in (*kept.keys, *kept.values):
            part.zero_()
        return kept

    def _read(self, given: Inputs) -> tuple[ContextState, Tensor]:
        """Also who sees whom, [V, V] with the variates of the bucket."""
        after = (self._buckets.of_context(given.patches) - given.patches) * self.patch
        variates = self._buckets.of_variates(len(given.series)) - len(given.series)
        alone = given.groups.max() + 1 + torch.arange(variates, device=self._device)
        ids = torch.cat((given.groups, alone))
        groups = ids[:, None] == ids
        padding = (0, after, 0, variates)
        patches = torch.tensor(given.patches, device=self._device)
        series, mask = F.pad(given.series, padding), F.pad(given.mask, padding)
        read = self.graphs.of(self.network.read, tuple(series.shape))
        return read(series, mask, groups, patches), groups
