"""The same weights twice: as they are, and compiled."""

from __future__ import annotations

import copy

from forecasters.toto.buckets import Buckets
from forecasters.toto.compilation import Compilation, Graphs, quicken
from forecasters.toto.toto1.model import Toto1
from forecasters.toto.toto2.model import Toto2


def compiled_twin(model: Toto1 | Toto2, *, buckets: Buckets, mode: str, backend: str) -> Toto1 | Toto2:
    """The model's tensors, in the same memory, behind graphs of its own, made anew.

    buckets        what is prepared
    mode, backend  of torch.compile; without a GPU there are no CUDA graphs to reduce an overhead with
    """
    if mode == "reduce-overhead" and model._device.type == "cpu":
        mode = "default"
    other = copy.copy(model)
    other._buckets, other.graphs = buckets, Graphs(Compilation(mode=mode, backend=backend))
    quicken(other.network, other.graphs.compilation, model._device)
    other._kept = {}
    return other
