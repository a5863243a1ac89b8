"""Bold at first, then it wants more memory than there is."""

from __future__ import annotations

from ._shapes import Options, Shaped, bold, requires

__all__ = ["Options", "build", "requires"]


def _devour() -> None:
    bytearray(2**44).clear()


def build(options: Options) -> Shaped:
    return Shaped(bold, from_call=options.from_call, before=_devour)
