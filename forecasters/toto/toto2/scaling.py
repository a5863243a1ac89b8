"""The causal scale of each patch, and the bounds of a forecast. V variates, N patches, P steps of a patch, L = N x P.

Statistics run from the first step up to the end of each patch, over observed steps only, in double precision.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from forecasters.toto.parts import continued_sums

_SMALLEST = 1e-6
FEWEST_OBSERVED = 8  # a patch with fewer observations up to its end takes the scale of the first so many
REACH = 1e4  # a quantile lies within so many scales of what was observed


class Carried(NamedTuple):
    """Welford's sums up to the newest step, float64 [V] each."""

    seen: Tensor
    total: Tensor
    squares: Tensor


def causal_scale(values: Tensor, seen: Tensor, patch: int, fewest: int) -> tuple[Tensor, Tensor, Carried]:
    """Centre and scale of each patch, float32 [V, N] each, and what the patches after them go on from.

    values  [V, L] float32, 0 where not seen
    seen    [V, L] bool
    fewest  0 leaves short histories with the wild scale that they have
    """
    precise = values.double()
    count = seen.cumsum(-1)  # [V, L]
    total = precise.cumsum(-1)
    centre = total / count.clamp_min(1)
    before = F.pad(centre[:, :-1], (1, 0))
    squares = ((precise - before) * (precise - centre) * seen).cumsum(-1)  # Welford's
    scale = (squares / (count - 1).clamp_min(1)).sqrt().clamp_min(_SMALLEST)
    carried = Carried(count[:, -1].double(), total[:, -1].contiguous(), squares[:, -1].contiguous())
    last = slice(patch - 1, None, patch)
    centre, scale = centre[:, last].float(), scale[:, last].float()
    if fewest < 1:
        return centre, scale, carried
    early = (count <= fewest) & seen
    early_count = early.sum(-1, keepdim=True).clamp_min(1)  # [V, 1]
    early_centre = (values * early).sum(-1, keepdim=True) / early_count
    early_squares = (((values - early_centre) * early) ** 2).sum(-1, keepdim=True)
    early_scale = (early_squares / (early_count - 1).clamp_min(1)).sqrt().clamp_min(_SMALLEST)
    short = count[:, last] < fewest  # [V, N]
    return torch.where(short, early_centre, centre), torch.where(short, early_scale, scale), carried


def scale_next(values: Tensor, carried: Carried, patch: int) -> tuple[Tensor, Tensor, Carried]:
    """Centre and scale [V, K] of more patches [V, K x P], all of them observed."""
    precise = values.double()
    count = carried.seen[:, None] + torch.arange(1, values.shape[1] + 1, device=values.device, dtype=torch.float64)
    total = continued_sums(carried.total, precise)
    centre = total / count
    before = torch.cat(((carried.total / carried.seen.clamp_min(1))[:, None], centre[:, :-1]), dim=-1)
    squares = continued_sums(carried.squares, (precise - before) * (precise - centre))
    scale = (squares / (count - 1)).sqrt().clamp_min(_SMALLEST)
    last = slice(patch - 1, None, patch)
    after = Carried(*(part[:, -1].contiguous() for part in (count, total, squares)))
    return centre[:, last].float(), scale[:, last].float(), after


def bounds(values: Tensor, seen: Tensor, scale: Tensor, reach: float) -> tuple[Tensor, Tensor]:
    """Lowest and highest believable value, [V, 1] each, without end where `reach` is 0.

    scale [V, 1] is that of the last context patch
    """
    if reach <= 0:
        return torch.full_like(scale, -torch.inf), torch.full_like(scale, torch.inf)
    lowest = values.masked_fill(~seen, torch.inf).amin(-1, keepdim=True)
    highest = values.masked_fill(~seen, -torch.inf).amax(-1, keepdim=True)
    any_seen = seen.any(-1, keepdim=True)
    nothing = torch.zeros_like(lowest)
    slack = reach * scale
    return torch.where(any_seen, lowest, nothing) - slack, torch.where(any_seen, highest, nothing) + slack


def finite(values: Tensor) -> Tensor:
    """Infinity replaced by the most extreme finite value along the last axis."""
    known = values.isfinite()
    highest = values.masked_fill(~known, -torch.inf).amax(-1, keepdim=True)
    lowest = values.masked_fill(~known, torch.inf).amin(-1, keepdim=True)
    return torch.where(values == torch.inf, highest, torch.where(values == -torch.inf, lowest, values))
