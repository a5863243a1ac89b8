"""Toto 2.0, ready to be asked for quantiles."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from forecasters.base import InvalidContext
from forecasters.toto.buckets import EXACT, Buckets
from forecasters.toto.compilation import Compilation, Graphs, quicken
from forecasters.toto.config import Toto2Config
from forecasters.toto.inputs import Array, Inputs, Mask, like, prepared
from forecasters.toto.model import Toto
from forecasters.toto.parts import Tensors, settle_products, unflattened
from forecasters.toto.toto2.network import UNSEEN, Caches, ContextState, Network
from forecasters.toto.toto2.scaling import FEWEST_OBSERVED, REACH


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Guards against series with very few observations, as the original's own GluonTS wrapper sets them."""

    fewest_observed: int = FEWEST_OBSERVED
    reach: float = REACH


_MEDIAN = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantiles:
    """values [9, V, H], ordered; of each variate's H sets of nine, `crossings` [V] had to be put in order."""

    values: Tensor
    crossings: tuple[int, ...]

    @property
    def crossing(self) -> int:
        """Of all V x H."""
        return sum(self.crossings)


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketInputs:
    """In the size of a bucket: series and seen [V, N x P], groups [V], patches N of context and of what is ahead."""

    series: Tensor
    seen: Tensor
    groups: Tensor
    patches: int
    together: int  # see Inputs


class Toto2(Toto):
    """Quantiles in one pass over context and horizon, or block by block."""

    generation = 2

    def __init__(
        self,
        config: Toto2Config,
        tensors: Tensors,
        *,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        buckets: Buckets = EXACT,
        limits: Limits | None = None,
        compilation: Compilation | None = None,
    ) -> None:
        self.patch = config.patch_size
        self.levels = config.levels
        self.network = settle_products(Network(config, tensors).to(device).eval(), dtype)
        self._device, self._buckets, self._limits = device, buckets, limits or Limits()
        self.graphs = Graphs(compilation)
        quicken(self.network, compilation, device)
        self._kept: dict[Hashable, Caches] = {}

    def quantiles(
        self,
        series: Array,
        mask: Mask,
        horizon: int,
        *,
        groups: Sequence[int] | None = None,
        decode_block_size: int | None = None,
    ) -> Array:
        found = self.ordered(series, mask, horizon, groups=groups, decode_block_size=decode_block_size)
        return like(found.values, series)

    @torch.inference_mode()
    def ordered(
        self,
        series: Array,
        mask: Mask,
        horizon: int,
        *,
        groups: Sequence[int] | None = None,
        decode_block_size: int | None = None,
    ) -> Quantiles:
        """As `quantiles`, with the number of steps whose quantiles crossed in the network's output."""
        inputs = prepared(series, mask, horizon, patch=self.patch, groups=groups, device=self._device)
        block = self._block(decode_block_size, inputs.ahead)
        count = len(inputs.series)
        if block >= inputs.ahead:
            parts = [self._forward(inputs)[:, :count]]
        else:
            parts = [part[:, :count] for part in self._blocks(inputs, block)]
        whole = torch.cat(parts, dim=-1)[..., :horizon]
        crossings = (whole.diff(dim=0) < 0).any(dim=0).sum(dim=-1)
        return Quantiles(values=whole.sort(dim=0).values, crossings=tuple(crossings.tolist()))

    def _block(self, steps: int | None, ahead: int) -> int:
        """Patches of a block. Raises InvalidContext where it would not be a whole number of them."""
        if steps is None:
            return ahead
        if steps < 1 or steps % self.patch:
            raise InvalidContext(f"decode_block_size is {steps}: a multiple of the patch, {self.patch}, is wanted")
        return steps // self.patch

    def _forward(self, inputs: Inputs) -> Tensor:
        """[Q, V, H], V and H those of the bucket. To be copied: a graph's next run may write to the same place."""
        ahead = self._buckets.of_ahead(inputs.ahead)
        padded = self._padded(inputs, ahead)
        network = self.graphs.of(self.network.forward, (len(padded.groups), padded.patches, ahead, padded.together))
        return network(
            padded.series,
            padded.seen,
            padded.groups,
            torch.tensor(inputs.patches, device=self._device),
            torch.tensor(inputs.patches + inputs.ahead, device=self._device),
            ahead,
            self._limits.fewest_observed,
            self._limits.reach,
            padded.together,
        )

    def _blocks(self, inputs: Inputs, block: int) -> Iterator[Tensor]:
        """[Q, V, block] each: the medians of one are what the next goes on from. The last may be longer than asked."""
        bucket = self._padded(inputs, block)
        variates, context = len(bucket.groups), self._buckets.of_context(inputs.patches)
        room = -(-self._buckets.of_ahead(inputs.ahead) // block) * block
        read = self.graphs.of(self.network.read, (variates, bucket.patches, block, bucket.together))(
            bucket.series,
            bucket.seen,
            bucket.groups,
            torch.tensor(inputs.patches, device=self._device),
            torch.tensor(inputs.patches + block, device=self._device),
            block,
            self._limits.fewest_observed,
            self._limits.reach,
            bucket.together,
        )
        yield read.quantiles
        caches = self._filled(read, context, room)
        decode = self.graphs.of(self.network.decode, (variates, context, room, block, bucket.together))
        ids, quantiles, carried = self._block_groups(inputs, bucket, block), read.quantiles, read.carried
        for start in range(0, inputs.ahead - block, block):
            medians = quantiles.sort(dim=0).values[self.levels.index(_MEDIAN)].contiguous()
            patches = min(block, inputs.ahead - start - block)  # fewer in the last: later ones would move the positions
            quantiles, carried = decode(
                medians,
                read,
                carried,
                caches,
                ids,
                torch.arange(context + start, context + start + 2 * block, device=self._device),
                torch.tensor(inputs.patches + start, device=self._device),
                torch.tensor(inputs.patches + start + block + patches, device=self._device),
                bucket.together,
            )
            yield quantiles

    def _filled(self, read: ContextState, context: int, room: int) -> Caches:
        """The context's keys and values in their places, and empty ones after them."""
        variates = len(read.valid)
        key = (variates, context, room)
        if self.graphs.compilation is None or key not in self._kept:
            made = self.network.caches(variates, context + room, self._device)
            if self.graphs.compilation is None:
                return _begun(made, read, context)
            self.graphs.in_place(*made.keys, *made.values, made.valid)
            self._kept[key] = made
        return _begun(self._kept[key], read, context)

    def _block_groups(self, inputs: Inputs, bucket: BucketInputs, block: int) -> Tensor:
        """[V, 2 block]: who sees whom in two blocks.

        As in the original, these are the groups of the context's first patches, those without any observation
        included, whatever patches the two blocks are.
        """
        ids = bucket.groups[:, None].repeat(1, 2 * block)
        is_observed = F.pad(inputs.mask, (0, 0, 0, len(ids) - len(inputs.mask)), value=True)
        unseen = ~unflattened(is_observed, 1, (-1, self.patch)).any(-1)  # [V, N]
        unseen[:, -1] = False
        patch_count = min(2 * block, inputs.patches)
        ids[:, :patch_count] = ids[:, :patch_count].masked_fill(unseen[:, :patch_count], UNSEEN)
        return ids

    def _padded(self, inputs: Inputs, ahead: int) -> BucketInputs:
        patches = self._buckets.of_context(inputs.patches) + ahead - 1
        total = self._buckets.of_variates(len(inputs.series))
        variates = total - len(inputs.series)
        observed = inputs.mask.clone()
        observed[:, -self.patch :] = True  # as trained: the newest patch counts as observed, zeros where it was not
        after = patches * self.patch - observed.shape[1]
        # of a compiled model one graph serves every grouping of a bucket
        apart = self.graphs.compilation is None and total % inputs.together == 0
        alone = inputs.groups.max() + 1 + torch.arange(variates, device=inputs.groups.device)
        return BucketInputs(
            series=F.pad(inputs.series * observed, (0, after, 0, variates)),
            seen=F.pad(observed, (0, after, 0, variates)),
            groups=torch.cat((inputs.groups, alone)),
            patches=patches,
            together=inputs.together if apart else total,
        )


def _begun(caches: Caches, read: ContextState, context: int) -> Caches:
    for keys, values, known_keys, known_values in zip(caches.keys, caches.values, read.keys, read.values, strict=True):
        keys[:, :, :context] = known_keys[:, :, :context]
        values[:, :, :context] = known_values[:, :, :context]
        values[:, :, context:] = 0  # nothing that is masked may be no number
    caches.valid[:, :context] = read.valid[:, :context]
    caches.valid[:, context:] = True
    return caches
