"""Is killed during its warm-up, as the kernel does when memory runs out."""

from __future__ import annotations

import os
import signal

from ._common import Flat, Options, once, requires

__all__ = ["Options", "build", "requires"]


def build(options: Options) -> Flat:
    return Flat(at_warm_up=once(options.marker, lambda: os.kill(os.getpid(), signal.SIGKILL)))
