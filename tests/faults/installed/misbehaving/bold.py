"""Makes every cycle that may enter do so."""

from __future__ import annotations

from ._shapes import Options, Shaped, bold, requires

__all__ = ["Options", "build", "requires"]


def build(options: Options) -> Shaped:
    return Shaped(bold, from_call=options.from_call)
