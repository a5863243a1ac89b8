"""Toto 2.0: patches of a group of series in, nine quantiles of each step ahead out.

Everything after the context is "missing" to the network, and attention over time is causal: more patches than were
asked for change nothing, so that a bucket of any length gives the same answer.

A long horizon can be taken in blocks: `read` forecasts the first and leaves keys and values behind, `decode` takes the
medians of the block before as having happened and forecasts the next. V variates, N patches of P steps, K patches ahead
(of a block, in blocks), M slots of a cache, Q levels, D width, L layers over time, h heads, w width of a head.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from forecasters.toto.config import Toto2Config
from forecasters.toto.parts import Norm, Tensors, unflattened
from forecasters.toto.toto2.layers import KeysValues, Layer, Positions, ResidualPerceptron
from forecasters.toto.toto2.scaling import Carried, bounds, causal_scale, finite, scale_next

UNSEEN = -1  # the group of a patch in which nothing was observed


class ContextState(NamedTuple):
    """What a context leaves behind for the blocks after the first."""

    quantiles: Tensor  # [Q, V, K x P] of the first block
    keys: Tensor  # [L, V, h, N, w]
    values: Tensor  # [L, V, h, N, w]
    valid: Tensor  # [V, N] bool: patches of the context that may be looked at
    low: Tensor  # [V, 1] the bounds of all quantiles
    high: Tensor  # [V, 1]
    carried: Carried


class Caches(NamedTuple):
    """Keys and values of context and blocks, [V, h, M, w] of each of L, written in place; what may be looked at [V, M].

    Tensors of their own: in generated code a write to a part of one copies the whole of it.
    """

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    valid: Tensor


class Network(nn.Module):
    """Equal shapes make equal graphs: the context's length is a tensor."""

    def __init__(self, config: Toto2Config, tensors: Tensors) -> None:
        super().__init__()
        self.patch, self.levels = config.patch_size, len(config.levels)
        self.over_variates = config.over_variates
        self.key_heads, self.widths = config.key_heads, (config.query_width, config.value_width)
        self.narrowing = max(index for index, over in enumerate(self.over_variates) if not over)
        self.embed = ResidualPerceptron(tensors, "patch_proj", readout=False)
        self.layers = nn.ModuleList(
            Layer(config, tensors, f"transformer.layers.{index}") for index in range(len(self.over_variates))
        )
        self.positions = Positions(config)
        self.norm = Norm(config.width, tensors.get("transformer.out_norm.weight"), config.norm_eps)
        self.head = ResidualPerceptron(tensors, "output_head.param_projection.proj", readout=True)

    def forward(
        self,
        series: Tensor,
        seen: Tensor,
        groups: Tensor,
        context: Tensor,
        total: Tensor,
        ahead: int,
        fewest: int,
        reach: float,
        together: int,
    ) -> Tensor:
        """[Q, V, K x P], the network's own order of Q. As `read`, and nothing is left behind."""
        return self.read(series, seen, groups, context, total, ahead, fewest, reach, together).quantiles

    def read(
        self,
        series: Tensor,
        seen: Tensor,
        groups: Tensor,
        context: Tensor,
        total: Tensor,
        ahead: int,
        fewest: int,
        reach: float,
        together: int,
    ) -> ContextState:
        """
        series   [V, N x P] float32, 0 where not seen; N >= context + ahead - 1
        seen     [V, N x P] bool, False after the context
        groups   [V] int64 >= 0
        context  [] int64, patches of the context
        total    [] int64, patches of context and forecast as asked for: the centre of the positions
        ahead    K
        fewest   see `causal_scale`; reach: see `bounds`, 0 for none
        together so many variates, one after the other, and no others, may be of one group; divides V
        """
        centre, scale, carried = causal_scale(series, seen, self.patch, fewest)  # [V, N]
        tokens = self._tokens(series, seen, centre, scale)  # [V, N, D]
        places = context - 1 + torch.arange(ahead, device=series.device)  # patch n forecasts patch n + 1
        ids = self._groups(seen, groups, context)  # [V, N]
        state, layer_pairs = self._through(tokens, ids, places, total, together)
        last = context[None] - 1
        centre, scale = centre.index_select(1, last), scale.index_select(1, last)  # [V, 1]
        low, high = bounds(series, seen, scale, reach)
        valid = (ids != UNSEEN) & (torch.arange(ids.shape[1], device=series.device) < context)  # [V, N]
        keys, values = (torch.stack(parts) for parts in zip(*layer_pairs, strict=True))
        return ContextState(self._quantiles(state, centre, scale, low, high), keys, values, valid, low, high, carried)

    def decode(
        self,
        medians: Tensor,
        read: ContextState,
        carried: Carried,
        caches: Caches,
        ids: Tensor,
        slots: Tensor,
        position: Tensor,
        total: Tensor,
        together: int,
    ) -> tuple[Tensor, Carried]:
        """The next block.

        medians   [V, K x P] float32, of the block before
        ids       [V, 2 K] int64: who sees whom over variates
        slots     [K + J] int64 of the caches: those of the block before, and of this one, which the next overwrites
        position  [] int64 of the first patch of the block before
        total     [] int64, patches of context and forecast up to this block: the centre of the positions
        returns   [Q, V, J x P], the network's own order of Q, and what the next block goes on from
        """
        centre, scale, carried = scale_next(medians, carried, self.patch)  # [V, K]
        past = self._tokens(medians, torch.ones_like(medians, dtype=torch.bool), centre, scale)  # [V, K, D]
        ahead = torch.zeros_like(medians)[:, : len(slots) * self.patch - medians.shape[1]]
        unseen = torch.zeros_like(ahead, dtype=torch.bool)
        new_count = len(slots) - centre.shape[1]
        future = self._tokens(ahead, unseen, centre[:, :new_count], scale[:, :new_count])  # [V, J, D]
        state = torch.cat((past, future), dim=1)  # [V, K + J, D]
        tables = self.positions(position + torch.arange(state.shape[1], device=state.device), total)
        order = torch.arange(caches.valid.shape[1], device=state.device)
        over_time = (caches.valid[:, None] & (order <= slots[:, None]))[:, None]  # [V, 1, 2 K, M]
        over_variates = _same_group(ids[:, : len(slots)], together)
        cache_place = 0
        for layer, variates in zip(self._typed_layers(), self.over_variates, strict=True):
            if variates:
                state = _back(layer.over_variates(_across(state, together), over_variates), state)
            else:
                cache = KeysValues(caches.keys[cache_place], caches.values[cache_place])
                state = layer.next_in_time(state, over_time, tables, cache, slots)
                cache_place += 1
        normed = self.norm(state)[:, centre.shape[1] - 1 : -1]
        centre, scale = centre[:, -1:], scale[:, -1:]
        return self._quantiles(normed, centre, scale, read.low, read.high), carried

    def caches(self, variates: int, patches: int, device: torch.device) -> Caches:
        """Empty ones, for `patches` of context and blocks."""
        heads, (keys, values) = self.key_heads, self.widths

        def empty(width: int) -> tuple[Tensor, ...]:
            shape = (variates, heads, patches, width)
            layers = self.over_variates.count(False)
            return tuple(torch.zeros(shape, dtype=torch.float32, device=device) for _ in range(layers))

        return Caches(empty(keys), empty(values), torch.zeros(variates, patches, dtype=torch.bool, device=device))

    def _quantiles(self, state: Tensor, centre: Tensor, scale: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """[V, K, D] -> [Q, V, K x P]; the rest [V, 1] each."""
        found: Tensor = self.head(state)  # [V, K, P x Q]
        quantiles = unflattened(found, -1, (self.patch, self.levels)).permute(3, 0, 1, 2)  # [Q, V, K, P]
        quantiles = finite(quantiles.sinh() * scale[:, :, None] + centre[:, :, None])
        return torch.minimum(torch.maximum(quantiles, low[:, :, None]), high[:, :, None]).flatten(2)

    def _tokens(self, series: Tensor, seen: Tensor, centre: Tensor, scale: Tensor) -> Tensor:
        values, mask = unflattened(series, 1, (-1, self.patch)), unflattened(seen, 1, (-1, self.patch))  # [V, N, P]
        relative = (values - centre[:, :, None]) / scale[:, :, None]  # [V, N, P]
        shrunk = torch.where(mask, relative, torch.zeros_like(relative)).asinh()
        tokens: Tensor = self.embed(torch.cat((shrunk, (~mask).to(shrunk.dtype)), dim=-1))  # [V, N, D]
        return tokens

    def _groups(self, seen: Tensor, groups: Tensor, context: Tensor) -> Tensor:
        """[V, N]: the variate's group; unseen patches of the context are one of their own."""
        has_values = unflattened(seen, 1, (-1, self.patch)).any(-1)  # [V, N]
        future = torch.arange(has_values.shape[1], device=seen.device) >= context
        return torch.where(has_values | future, groups[:, None], torch.full_like(groups, UNSEEN)[:, None])

    def _through(
        self, state: Tensor, groups: Tensor, places: Tensor, total: Tensor, together: int
    ) -> tuple[Tensor, list[KeysValues]]:
        """[V, N, D] -> [V, K, D], and what each layer over time leaves behind. From the last of these on, only what is
        `places` [K] is computed.
        """
        order = torch.arange(state.shape[1], device=state.device)
        over_time = ((order[:, None] >= order) & (groups[:, :, None] == groups[:, None, :]))[:, None]  # [V, 1, N, N]
        over_variates = _same_group(groups, together)
        tables = self.positions(order, total)
        layer_pairs = []
        for index, (layer, variates) in enumerate(zip(self._typed_layers(), self.over_variates, strict=True)):
            if variates:
                state = _back(layer.over_variates(_across(state, together), over_variates), state)
            elif index < self.narrowing:
                state, pair = layer.over_time(state, over_time, tables)
                layer_pairs.append(pair)
            else:
                state, pair = layer.over_time(state, over_time.index_select(2, places), tables, places)
                layer_pairs.append(pair)
                over_variates = _same_group(groups.index_select(1, places), together)
        normed: Tensor = self.norm(state)  # [V, K, D]
        return normed, layer_pairs

    def _typed_layers(self) -> list[Layer]:
        return [layer for layer in self.layers if isinstance(layer, Layer)]


def _across(state: Tensor, together: int) -> Tensor:
    """[V, N, ...] -> [V / together x N, together, ...]: variates that may see each other, at each patch."""
    return unflattened(state, 0, (-1, together)).transpose(1, 2).flatten(0, 1)


def _back(state: Tensor, like: Tensor) -> Tensor:
    """The reverse, for as many patches as `like` has."""
    return unflattened(state, 0, (-1, like.shape[1])).transpose(1, 2).flatten(0, 1)


def _same_group(groups: Tensor, together: int) -> Tensor:
    """[V, N] -> [V / together x N, 1, together, together]: who sees whom in each patch."""
    rows = _across(groups, together)  # [V / together x N, together]
    return (rows[:, :, None] == rows[:, None, :])[:, None]
