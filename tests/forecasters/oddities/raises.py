"""Raises what nobody expected."""

from __future__ import annotations

from ._common import Flat, Options, once, requires

__all__ = ["Options", "build", "requires"]


def _raise() -> None:
    raise ZeroDivisionError("by design")


def build(options: Options) -> Flat:
    return Flat(at_forecast=once(options.marker, _raise))
