"""Never comes back from a forecast."""

from __future__ import annotations

import threading

from ._common import Flat, Options, once, requires

__all__ = ["Options", "build", "requires"]


def build(options: Options) -> Flat:
    return Flat(at_forecast=once(options.marker, lambda: threading.Event().wait()))
