"""Never comes back from a forecast, holding the interpreter's lock: not even its signal handlers run."""

from __future__ import annotations

import ctypes

from ._common import Flat, Options, once, requires

__all__ = ["Options", "build", "requires"]


def _sleep_with_the_lock() -> None:
    ctypes.PyDLL(None).sleep(3600)


def build(options: Options) -> Flat:
    return Flat(at_forecast=once(options.marker, _sleep_with_the_lock))
