"""Toto 1.0 and 2.0, ported for inference: one call from a checkpoint's folder to a model.

    toto = load_toto(folder)
    toto.quantiles(series, mask, horizon)                      Toto 2.0
    toto.mean(series, mask, horizon)                           Toto 1.0
    toto.sample(series, mask, horizon, samples=256, seed=0)    Toto 1.0

What is neither compiled nor in bfloat16 is rounded as in the published packages, and equals what they say to the bit
on the same processor and as many threads. `exact=False` folds fixed factors into the weights, which are laid out for
oneDNN: about twice as fast, and up to 1e-5 of the spread away (after five patches of means fed back, up to 4e-4).

Imports torch. Whoever must not, imports from the modules `config` and `bars` instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forecasters.toto.loading import load_toto

__all__ = ["load_toto"]


def __getattr__(name: str) -> object:
    """Torch is loaded when it is first needed."""
    if name == "load_toto":
        from forecasters.toto.loading import load_toto

        return load_toto
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
