"""Bold at first, then it never answers again."""

from __future__ import annotations

from ._shapes import Options, Shaped, bold, requires, stall

__all__ = ["Options", "build", "requires"]


def build(options: Options) -> Shaped:
    return Shaped(bold, from_call=options.from_call, before=stall)
