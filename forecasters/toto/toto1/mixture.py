"""The mixture of Student-T distributions that each step of a patch has. P steps of a patch, K components.

Between the hidden state and the distributions' parameters the published network unfolds a state into P states of its
own width, all linear, and projects each with four further linear maps. `Head` is both as one map, made when the weights
are loaded: an eighth of the numbers, and of the products, for the base model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from forecasters.toto.config import Toto1Config
from forecasters.toto.parts import Affine, Tensors, unflattened

_PARTS = ("df", "loc_proj", "scale_proj", "mixture_weights")
_EPSILON = torch.finfo(torch.float32).eps
_EXTREME = torch.finfo(torch.float32).max / 2  # a value beyond is no forecast: the original puts 0 there


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """The next patch. Components [..., P, K] (odds sum to 1), in units of `affine_scale` around `affine_loc` [...]."""

    df: Tensor
    loc: Tensor
    scale: Tensor
    odds: Tensor
    affine_loc: Tensor
    affine_scale: Tensor

    def mean(self) -> Tensor:
        """[..., P] in the series' units; above two degrees of freedom, so that there is one."""
        return self._in_units((self.odds * self.loc).sum(-1))

    def drawn(self, generator: torch.Generator, variates: int, before: Tensor | None) -> Tensor:
        """[S, V, P] one draw of each step: those of the original for a generator in the same state.

        The original draws every component and then one of them, and with the first patch ahead every step of the
        context too: all of it is drawn here as well, since what follows depends on how far the generator has come.
        Those of a bucket's other variates get none, and are 0.

        before  [V, N, K] degrees of freedom of the steps before the patch that the original draws with it
        """
        samples, _, steps, components = self.df.shape
        skip_count = 0 if before is None else before.shape[1]
        shape = (samples, variates, skip_count + steps, components)
        own = self.df[:, :variates]  # [S, V, P, K]
        waits = own.new_empty(shape).exponential_(generator=generator)[:, :, skip_count:].clone()
        normal = own.new_empty(shape).normal_(generator=generator)[:, :, skip_count:].clone()
        df = own if before is None else torch.cat((before.expand(samples, *before.shape), own), dim=2)
        gamma = torch._standard_gamma(0.5 * df.contiguous(), generator=generator)[:, :, skip_count:]  # [S, V, P, K]
        component = (self.odds[:, :variates] / waits).argmax(-1, keepdim=True)  # [S, V, P, 1]
        squares = (2 * gamma.gather(-1, component)).clamp_min(torch.finfo(gamma.dtype).tiny)
        df, loc, scale = (part[:, :variates].gather(-1, component) for part in (self.df, self.loc, self.scale))
        draws = loc + scale * (normal.gather(-1, component) * torch.rsqrt(squares / df))  # [S, V, P, 1]
        padding = self.df.shape[1] - variates
        return self._in_units(F.pad(draws[..., 0], (0, 0, 0, padding)))

    def drawn_together(self, generator: torch.Generator) -> Tensor:
        """[..., V, P] one draw of each step, with the same luck for all V.

        A component by its odds, then Student's t from two uniform numbers by the polar method (Bailey, 1994).
        """
        odds = self.odds.cumsum(-1)  # [..., V, P, K]
        shape = (3, *odds.shape[:-3], 1, odds.shape[-2])
        uniform, radius, turn = odds.new_empty(shape).uniform_(generator=generator)
        component = (uniform[..., None] >= odds[..., :-1]).sum(-1, keepdim=True)  # the last takes what rounding leaves
        df, loc, scale = (part.gather(-1, component)[..., 0] for part in (self.df, self.loc, self.scale))
        length = (df * torch.expm1(-2 / df * torch.log1p(-radius))).sqrt()  # [..., V, P]
        return self._in_units(loc + scale * length * torch.cos(2 * math.pi * turn))

    def expanded(self, samples: int) -> Mixture:
        """[V, ...] -> [S, V, ...]"""
        return Mixture(
            df=self.df.expand(samples, *self.df.shape),
            loc=self.loc.expand(samples, *self.loc.shape),
            scale=self.scale.expand(samples, *self.scale.shape),
            odds=self.odds.expand(samples, *self.odds.shape),
            affine_loc=self.affine_loc.expand(samples, *self.affine_loc.shape),
            affine_scale=self.affine_scale.expand(samples, *self.affine_scale.shape),
        )

    def _in_units(self, values: Tensor) -> Tensor:
        scaled = values * self.affine_scale[..., None] + self.affine_loc[..., None]
        return torch.where(scaled.abs() < _EXTREME, scaled, torch.zeros_like(scaled))  # NaN goes to 0 as well


class Head(nn.Module):
    """A hidden state [..., D] to the raw parameters [..., P, 4 K] of the patch after it."""

    def __init__(self, config: Toto1Config, tensors: Tensors) -> None:
        super().__init__()
        self.patch, self.components = config.patch_size, config.components
        shape = (config.patch_size, config.width)
        unfold = unflattened(tensors["model.unembed.weight"], 0, shape)  # [P, D, D]
        unfold_bias = unflattened(tensors["model.unembed.bias"], 0, shape)  # [P, D]
        base = "model.output_distribution"
        project = torch.cat([tensors[f"{base}.{part}.weight"] for part in _PARTS]).double()  # [4 K, D]
        offset = torch.cat([tensors[f"{base}.{part}.bias"] for part in _PARTS]).double()
        weight = torch.cat([(project @ step.double()).float() for step in unfold])  # [P x 4 K, D], step by step
        bias = (unfold_bias.double() @ project.T + offset).float().flatten()
        self.both = Affine(weight, bias)

    def forward(self, state: Tensor) -> Tensor:
        raw: Tensor = self.both(state)  # [..., P x 4 K]
        return unflattened(raw, -1, (self.patch, 4 * self.components))


def mixture_of(raw: Tensor, centre: Tensor, scale: Tensor) -> Mixture:
    """Raw parameters [..., P, 4 K], and the scaler's statistics [...] of the patch before."""
    df, loc, spread, logits = (part.contiguous() for part in raw.chunk(4, dim=-1))  # a slice rounds otherwise
    odds = logits.softmax(-1)  # [..., P, K]
    return Mixture(
        df=2.0 + F.softplus(df).clamp_min(_EPSILON),
        loc=loc,
        scale=F.softplus(spread).clamp_min(_EPSILON),
        odds=odds / odds.sum(-1, keepdim=True),  # as the original's distribution does with what sums to 1 already
        affine_loc=centre,
        affine_scale=scale,
    )
