"""Toto 1.0: a context once, then one patch at a time for every sample.

The context is aligned to the start of its bucket: what follows it is hidden by causality, so the results are those of
the bare context, and the patches decoded have their true positions. Keys and values of the context are kept once for
all samples, those of decoded patches in caches of a fixed size. V variates, S samples, N context patches of P steps,
M patches decoded, D width, h heads, w width of a head.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from forecasters.toto.config import Toto1Config
from forecasters.toto.parts import Affine, Tensors, unflattened
from forecasters.toto.toto1.layers import Layer, Positions, Prefix
from forecasters.toto.toto1.mixture import Head
from forecasters.toto.toto1.scaling import Carried, scale_context, scale_next


class Step(NamedTuple):
    """What a patch says of the one after it: raw parameters [..., P, 4 K], and the scaler's centre and scale [...]."""

    raw: Tensor
    centre: Tensor
    scale: Tensor
    carried: Carried


class ContextState(NamedTuple):
    """A context that was read: its last step, and keys and values [layers over time, V, h, N, w]."""

    step: Step
    keys: Tensor
    values: Tensor
    states: Tensor  # [V, N, D] what the head would be asked with for each patch
    valid: Tensor  # [N] bool
    patches: Tensor  # [] int64


class Caches(NamedTuple):
    """Keys and values of decoded patches, [S, V, h, M, w] each layer over time, written in place.

    Tensors of their own: in generated code a write to a part of one copies the whole of it.
    """

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]


class Network(nn.Module):
    """Equal shapes make equal graphs: lengths and positions are tensors."""

    def __init__(self, config: Toto1Config, tensors: Tensors) -> None:
        super().__init__()
        self.config = config
        base = "model.patch_embed.projection"
        self.embed = Affine(tensors[f"{base}.weight"], tensors[f"{base}.bias"])
        self.layers = nn.ModuleList(
            Layer(config, tensors, f"model.transformer.layers.{index}") for index in range(len(config.over_variates))
        )
        self.positions = Positions(config.head_width)
        self.head = Head(config, tensors)

    def read(self, series: Tensor, mask: Tensor, groups: Tensor, patches: Tensor) -> ContextState:
        """
        series  [V, N x P] float32; the values of masked steps reach the network, as in the original
        mask    [V, N x P] bool, False after the context
        groups  [V, V] bool: who sees whom
        patches [] int64, patches of the context; those after them are not looked at
        """
        patch = self.config.patch_size
        centre, scale, carried = scale_context(series, mask, patch, self.config.global_exponent)  # [V, N]
        state: Tensor = self.embed((unflattened(series, 1, (-1, patch)) - centre[:, :, None]) / scale[:, :, None])
        order = torch.arange(state.shape[1], device=state.device)
        tables = self.positions(order, patches - 1)
        keys, values = [], []  # of each layer over time, [V, h, N, w]
        for layer, over_variates in zip(self._typed_layers(), self.config.over_variates, strict=True):
            if over_variates:
                state = layer.over_variates(state.transpose(0, 1), groups).transpose(0, 1)  # [V, N, D]
            else:
                state, key, value = layer.over_time(state, tables)
                keys.append(key)
                values.append(value)
        last = patches[None] - 1
        raw: Tensor = self.head(state.index_select(1, last)[:, 0])  # [V, P, 4 K]
        centre, scale = centre.index_select(1, last)[:, 0], scale.index_select(1, last)[:, 0]
        step = Step(raw, centre, scale, carried)
        return ContextState(step, torch.stack(keys), torch.stack(values), state, order < patches, patches)

    def decode(
        self, patch: Tensor, carried: Carried, read: ContextState, caches: Caches, groups: Tensor, index: Tensor
    ) -> Step:
        """One patch [S, V, P] more, the `index`-th [1] after the context; the caches are written in place."""
        centre, scale, carried = scale_next(patch, carried)  # [S, V]
        state: Tensor = self.embed((patch - centre[..., None]) / scale[..., None])  # [S, V, D]
        position = read.patches + index
        tables = self.positions(position, position[0])
        cache_place = 0
        for layer, over_variates in zip(self._typed_layers(), self.config.over_variates, strict=True):
            if over_variates:
                state = layer.over_variates(state, groups)
            else:
                prefix = Prefix(read.keys[cache_place], read.values[cache_place], read.valid)
                state = layer.next_in_time(
                    state, tables, prefix, caches.keys[cache_place], caches.values[cache_place], index
                )
                cache_place += 1
        raw: Tensor = self.head(state)  # [S, V, P, 4 K]
        return Step(raw, centre, scale, carried)

    def caches(self, samples: int, variates: int, patches: int, device: torch.device) -> Caches:
        """For `patches` decoded patches, of zeros: nothing that is masked may be no number."""
        config = self.config
        shape = (samples, variates, config.heads, patches, config.head_width)

        def empty() -> tuple[Tensor, ...]:
            return tuple(torch.zeros(shape, dtype=torch.float32, device=device) for _ in range(config.time_layers))

        return Caches(empty(), empty())

    def _typed_layers(self) -> list[Layer]:
        return [layer for layer in self.layers if isinstance(layer, Layer)]
