"""Toto 2.0: patches of a group of series in, nine quantiles of each step ahead out, in one forward pass.

Everything after the context is "missing" to the network, and attention over time is causal: more patches than were
asked for change nothing, so that a bucket of any length gives the same answer. V variates, N patches of P steps,
K patches ahead, Q levels, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from forecasters.toto.config import Toto2Config
from forecasters.toto.parts import Norm, Tensors, unflattened
from forecasters.toto.toto2.layers import Layer, Positions, ResidualPerceptron, Tables
from forecasters.toto.toto2.scaling import bounds, causal_scale, finite

_UNSEEN = -1  # the group of a patch in which nothing was observed


class Network(nn.Module):
    """Equal shapes make equal graphs: the context's length is a tensor."""

    def __init__(self, config: Toto2Config, tensors: Tensors) -> None:
        super().__init__()
        self.patch, self.levels = config.patch_size, len(config.levels)
        self.over_variates = config.over_variates
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
    ) -> Tensor:
        """
        series   [V, N x P] float32, 0 where not seen; N >= context + ahead - 1
        seen     [V, N x P] bool, False after the context
        groups   [V] int64 >= 0
        context  [] int64, patches of the context
        total    [] int64, patches of context and forecast as asked for: the centre of the positions
        ahead    K
        fewest   see `causal_scale`; reach: see `bounds`, 0 for none
        returns  [Q, V, K x P], the network's own order of Q
        """
        centre, scale = causal_scale(series, seen, self.patch, fewest)  # [V, N]
        tokens = self._tokens(series, seen, centre, scale)  # [V, N, D]
        kept = context - 1 + torch.arange(ahead, device=series.device)  # patch n forecasts patch n + 1
        found: Tensor = self.head(self._through(tokens, self._groups(seen, groups, context), kept, total))
        last = context[None] - 1
        centre, scale = centre.index_select(1, last), scale.index_select(1, last)  # [V, 1]
        quantiles = unflattened(found, -1, (self.patch, self.levels)).permute(3, 0, 1, 2)  # [Q, V, K, P]
        quantiles = finite(quantiles.sinh() * scale[:, :, None] + centre[:, :, None])
        if reach > 0:
            low, high = bounds(series, seen, scale, reach)
            quantiles = torch.minimum(torch.maximum(quantiles, low[:, :, None]), high[:, :, None])
        return quantiles.flatten(2)

    def _tokens(self, series: Tensor, seen: Tensor, centre: Tensor, scale: Tensor) -> Tensor:
        values, observed = unflattened(series, 1, (-1, self.patch)), unflattened(seen, 1, (-1, self.patch))  # [V, N, P]
        relative = (values - centre[:, :, None]) / scale[:, :, None]
        shrunk = torch.where(observed, relative, torch.zeros_like(relative)).asinh()
        tokens: Tensor = self.embed(torch.cat((shrunk, (~observed).to(shrunk.dtype)), dim=-1))
        return tokens

    def _groups(self, seen: Tensor, groups: Tensor, context: Tensor) -> Tensor:
        """[V, N]: the variate's group; unseen patches of the context are one of their own."""
        counted = unflattened(seen, 1, (-1, self.patch)).any(-1)
        future = torch.arange(counted.shape[1], device=seen.device) >= context
        return torch.where(counted | future, groups[:, None], torch.full_like(groups, _UNSEEN)[:, None])

    def _through(self, state: Tensor, groups: Tensor, kept: Tensor, total: Tensor) -> Tensor:
        """[V, N, D] -> [V, K, D]. From the last layer over time on, only what is kept is computed."""
        order = torch.arange(state.shape[1], device=state.device)
        over_time = ((order[:, None] >= order) & (groups[:, :, None] == groups[:, None, :]))[:, None]  # [V, 1, N, N]
        over_variates = _same_group(groups)
        tables: Tables = (*self.positions(order, total, 1.0), *self.positions(order, total, -1.0))
        for index, (layer, variates) in enumerate(zip(self.layers, self.over_variates, strict=True)):
            if variates:
                state = layer(state.transpose(0, 1), over_variates, None).transpose(0, 1)
            elif index < self.narrowing:
                state = layer(state, over_time, tables)
            else:
                asked: Tables = (tables[0].index_select(0, kept), tables[1].index_select(0, kept), tables[2], tables[3])
                state = layer(state, over_time.index_select(2, kept), asked, kept)
                over_variates = _same_group(groups.index_select(1, kept))
        normed: Tensor = self.norm(state)
        return normed


def _same_group(groups: Tensor) -> Tensor:
    """[V, N] -> [N, 1, V, V]: who sees whom in each patch."""
    rows = groups.T
    return (rows[:, :, None] == rows[:, None, :])[:, None]
