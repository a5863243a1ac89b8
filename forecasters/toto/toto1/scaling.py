"""The causal scale of each patch, resumable: what a context leaves behind is enough to scale the patches after it.

V variates, N patches, P steps of a patch, L = N x P; `...` is V, or samples of V. All sums in double precision.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from forecasters.toto.parts import continued_sums

_VARIANCE_FLOOR = 0.1  # added to each variance, and no scale is below it


class Carried(NamedTuple):
    """Welford's sums up to the newest step, and the bounds that the context set: float64, [...] each."""

    seen: Tensor
    total: Tensor
    squares: Tensor
    smallest: Tensor
    largest: Tensor

    def expanded(self, samples: int) -> Carried:
        """[V] -> [S, V], as the next patch leaves it: other strides would be another graph."""
        return Carried(*(part.expand(samples, *part.shape).contiguous() for part in self))


def scale_context(series: Tensor, mask: Tensor, patch: int, exponent: float | None) -> tuple[Tensor, Tensor, Carried]:
    """Centre and scale of each patch, float32 [V, N], and what the next patch goes on from.

    series [V, L] float32, mask [V, L] bool: steps that don't count, wherever they are, have mask False
    """
    values, weights = series.double(), mask.double()
    count, total = weights.cumsum(-1), (values * weights).cumsum(-1)  # [V, L]
    centre = total / count.clamp_min(1)
    before = F.pad(centre[:, :-1], (1, 0))
    squares = ((values - before) * (values - centre) * weights).cumsum(-1)
    last = slice(patch - 1, None, patch)
    smallest, largest = _bounds(values, weights, exponent)
    carried = Carried(count[:, -1], total[:, -1], squares[:, -1], smallest, largest)
    scale = _scale(squares[:, last], count[:, last], smallest[:, None], largest[:, None])
    return centre[:, last].float(), scale.float(), carried


def scale_next(values: Tensor, carried: Carried) -> tuple[Tensor, Tensor, Carried]:
    """Centre and scale [...] of one more patch [..., P], all of it observed."""
    precise = values.double()
    steps = torch.arange(1, values.shape[-1] + 1, device=values.device, dtype=torch.float64)
    count = carried.seen[..., None] + steps  # [..., P]
    total = continued_sums(carried.total, precise)
    centre = total / count
    old = (carried.total / carried.seen.clamp_min(1))[..., None]
    before = torch.cat((old, centre[..., :-1]), dim=-1)
    squares = continued_sums(carried.squares, (precise - before) * (precise - centre))
    # The same strides as what came in: a slice's own would be another graph at the next patch.
    newest = [part[..., -1].contiguous() for part in (count, total, squares)]
    after = Carried(newest[0], newest[1], newest[2], carried.smallest, carried.largest)
    scale = _scale(after.squares, after.seen, carried.smallest, carried.largest)
    return centre[..., -1].float(), scale.float(), after


def _scale(squares: Tensor, count: Tensor, smallest: Tensor, largest: Tensor) -> Tensor:
    variance = squares / (count - 1).clamp_min(1)
    return torch.minimum(torch.maximum((variance + _VARIANCE_FLOOR).sqrt(), smallest), largest)


def _bounds(values: Tensor, weights: Tensor, exponent: float | None) -> tuple[Tensor, Tensor]:
    """[V] each: the whole context's scale over and times 10^exponent."""
    if exponent is None:
        nothing = torch.zeros_like(values[:, 0])
        return nothing, nothing + torch.inf
    count = weights.sum(-1).clamp_min(1)
    centre = (values * weights).sum(-1) / count
    variance = (((values - centre[:, None]) * weights) ** 2).sum(-1) / count
    scale = (variance + _VARIANCE_FLOOR).sqrt()
    return (scale * 10.0**-exponent).clamp_min(_VARIANCE_FLOOR), scale * 10.0**exponent
