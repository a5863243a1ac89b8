"""Toto 1.0 and 2.0, ported for inference: one call from a checkpoint's folder to a model.

    toto = load_toto(folder)
    toto.quantiles(series, mask, horizon)                      Toto 2.0
    toto.mean(series, mask, horizon)                           Toto 1.0
    toto.sample(series, mask, horizon, samples=256, seed=0)    Toto 1.0

Numbers are those of the published packages to within 1e-5 of their spread. Where a forecast follows from forecast
patches the difference grows with each: after five patches of means fed back it is up to 4e-4. Fixed factors are folded
into the weights, which are laid out for oneDNN: about twice as fast as the packages' own order of products.

Shapes stand behind the line that makes them. In every file the letters are
V variates, S samples, N patches of context, K patches ahead, P steps of a patch, M tokens or slots of a cache, G rows
that are attended over apart, D width, h heads, w width of a head, W of it turned by rotary positions, Q quantiles;
toto1/mixture.py has K components in a mixture.

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
