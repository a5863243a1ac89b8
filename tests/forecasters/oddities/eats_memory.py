"""Asks for more memory than it may have."""

from __future__ import annotations

from ._common import Flat, Options, once, requires

__all__ = ["Options", "build", "requires"]


def build(options: Options) -> Flat:
    return Flat(at_forecast=once(options.marker, lambda: bytearray(options.bytes).clear()))
