"""What a process meets whose GPU took offence: each use of it fails from then on."""

from __future__ import annotations

from oddities._common import Flat, Options, once, requires

__all__ = ["Options", "build", "requires"]


def _fail() -> None:
    import torch

    raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")


def build(options: Options) -> Flat:
    return Flat(at_forecast=once(options.marker, _fail))
