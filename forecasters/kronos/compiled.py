"""The one step of the loop, compiled: one graph a shape, no breaks.

Only the step is: a context's computation is large matrices, which gain nothing. A shape is the number of series, of
samples, of places for the context and for what is drawn; each new one is compiled when it is first met.

On a GPU with mode reduce-overhead a step is one CUDA graph. Such a graph writes its results to the same memory each
time, so they are copied before the next replay; the caches keep their addresses, so it writes into them in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import FunctionType
from typing import Any
from weakref import ReferenceType, ref

import torch
import torch._dynamo
from torch import Tensor

from forecasters.kronos.folded import FoldedNetwork, NetworkCache
from forecasters.kronos.sampling import Sampling
from forecasters.kronos.step import Advance, advance

_MOST_SHAPES = 64  # beyond the compiler's default of 8 a full graph is an error
_WATCHED = ("s1", "s2", "slot", "noise", "sampling", "cache.shape", "cache.layers[0]", "cache.calendar")


def compiled_advance(*, backend: str = "inductor", mode: str = "default") -> Advance:
    """`advance` as one graph, for one network. A graph break is an error when it is first called, not a slow step.

    backend, mode  as torch.compile names them
    Each one is compiled anew: the compiler keeps what it made by code object, a faulty graph too.
    """
    torch._dynamo.config.recompile_limit = max(_MOST_SHAPES, torch._dynamo.config.recompile_limit)
    assert isinstance(advance, FunctionType)
    own = FunctionType(advance.__code__.replace(), advance.__globals__, advance.__name__)
    options: dict[str, Any] = {"guard_filter_fn": _needed}
    if backend == "inductor":  # the others have no modes
        from torch._inductor import list_mode_options

        options |= list_mode_options(mode)
    compiled: Advance = torch.compile(own, fullgraph=True, dynamic=False, backend=backend, options=options)
    return _OneNetworks(compiled, generates_code=backend == "inductor")


def default_mode(device: torch.device) -> str:
    """CUDA graphs where there is a GPU: its steps are bound by launches."""
    return "reduce-overhead" if device.type == "cuda" else "default"


class _OneNetworks:
    """An Advance that refuses a second network, since its guards no longer look at the network at all."""

    def __init__(self, compiled: Advance, *, generates_code: bool) -> None:
        self.generates_code = generates_code
        self._compiled = compiled
        self._network: ReferenceType[FoldedNetwork] | None = None

    def __call__(
        self,
        network: FoldedNetwork,
        cache: NetworkCache,
        s1: Tensor,
        s2: Tensor,
        slot: Tensor,
        noise: tuple[Tensor, Tensor] | None,
        sampling: Sampling,
        /,
    ) -> tuple[Tensor, Tensor]:
        if self._network is None:
            self._network = ref(network)
        elif self._network() is not network:
            raise ValueError("this step was compiled for another network: make one with compiled_advance() for each")
        if s1.device.type != "cuda":
            return self._compiled(network, cache, s1, s2, slot, noise, sampling)
        begin: Any = torch.compiler.cudagraph_mark_step_begin  # without types in torch
        begin()
        next_s1, next_s2 = self._compiled(network, cache, s1, s2, slot, noise, sampling)
        return next_s1.clone(), next_s2.clone()  # the next replay overwrites them


def _needed(guards: Sequence[Any]) -> list[bool]:
    """Which guards to keep: a thousand looks at what never changes cost more than a small model's matrices.

    Of a cache, the first layer has the shape of all. Those without a name look at the state of torch itself.
    """
    return [guard.name == "" or guard.name.startswith(_WATCHED) for guard in guards]
