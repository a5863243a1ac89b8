"""What a caller hands in, checked once and cut into patches. V variates, T steps, N patches, H horizon.

The context is aligned to its end: zeros marked missing are put before it up to a whole number of patches, as the
original packages do. Beyond it comes whatever a bucket needs, which causal attention never sees.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from forecasters.base import InvalidContext

Array = TypeVar("Array", Tensor, NDArray[np.float32])
Mask = Tensor | NDArray[np.bool_]
MAX_HORIZON = 4096  # bars; a forecast beyond says nothing and takes all memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """series [V, N x patch] float32, mask True where seen, groups [V] int64: variates of one group see each other."""

    series: Tensor
    mask: Tensor
    groups: Tensor
    together: int  # variates of each group where all are of one size, one after the other; else all of them
    patches: int  # N
    ahead: int  # patches to forecast


def prepared(
    series: Tensor | NDArray[np.float32],
    mask: Mask,
    horizon: int,
    *,
    patch: int,
    groups: Sequence[int] | None,
    device: torch.device,
) -> Inputs:
    """Raises InvalidContext where shapes, types or values are not what the model takes."""
    values = torch.as_tensor(series, device=device)
    seen = torch.as_tensor(mask, device=device)
    if values.ndim != 2 or 0 in values.shape or seen.shape != values.shape:
        raise InvalidContext(
            f"series {tuple(values.shape)} and mask {tuple(seen.shape)} must both be [V, T], not empty"
        )
    if not values.is_floating_point() or seen.dtype != torch.bool:
        raise InvalidContext(f"series are {values.dtype} and the mask {seen.dtype}: float32 and bool are wanted")
    if not bool(torch.isfinite(values).all()):
        raise InvalidContext("series hold NaN or infinity: put 0 there, and False in the mask")
    if isinstance(horizon, bool) or not 1 <= horizon <= MAX_HORIZON:
        raise InvalidContext(f"the horizon is {horizon}: 1 to {MAX_HORIZON} are possible")
    ids = [0] * len(values) if groups is None else list(groups)
    if len(ids) != len(values) or min(ids) < 0:
        raise InvalidContext(f"{len(ids)} groups, all of them >= 0, are wanted for {len(values)} variates")
    before = -values.shape[1] % patch
    return Inputs(
        series=F.pad(values.to(device, torch.float32), (before, 0)),
        mask=F.pad(seen.to(device), (before, 0)),
        groups=torch.tensor(ids, device=device),
        together=_together(ids),
        patches=(values.shape[1] + before) // patch,
        ahead=-(-horizon // patch),
    )


def _together(ids: Sequence[int]) -> int:
    sizes = [len(list(same)) for _, same in itertools.groupby(ids)]
    apart = len(set(ids)) == len(sizes) and len(set(sizes)) == 1
    return sizes[0] if apart else len(ids)


def like(result: Tensor, example: Array) -> Array:
    """The result in the kind of array that was handed in."""
    if isinstance(example, Tensor):
        return result.to(example.device)
    array: NDArray[np.float32] = result.cpu().numpy()
    return array
