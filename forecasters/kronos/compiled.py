"""The one step of the loop, compiled: one graph a shape, no breaks.

Only the step is: a context's computation is large matrices, which gain nothing. A shape is the number of series, of
samples, of places for the context and for what is drawn; each new one is compiled when it is first met.
"""

from __future__ import annotations

from types import FunctionType

from forecasters.kronos.generate import Advance, advance

_MOST_SHAPES = 64  # beyond the compiler's default of 8 a full graph is an error


def compiled_advance(*, backend: str = "inductor", mode: str = "default") -> Advance:
    """`advance` as one graph. A graph break is an error when it is first called, not a slow step for ever.

    backend, mode  as torch.compile names them
    Each one is compiled anew: the compiler keeps what it made by code object, a faulty graph too.
    """
    import torch
    import torch._dynamo

    torch._dynamo.config.recompile_limit = max(_MOST_SHAPES, torch._dynamo.config.recompile_limit)
    assert isinstance(advance, FunctionType)
    own = FunctionType(advance.__code__.replace(), advance.__globals__, advance.__name__)
    chosen = mode if backend == "inductor" else None  # the others have no modes
    compiled: Advance = torch.compile(own, fullgraph=True, dynamic=False, backend=backend, mode=chosen)
    return compiled
