"""What this process holds in memory, keys among it, is nobody else's to read."""

from __future__ import annotations

import ctypes
import resource

_PR_SET_DUMPABLE = 4


def close_memory() -> None:
    """No other process of this user may look into it, a backend's among them, and no crash leaves it on a disk. What we
    start is not held to the first, but leaves no core either."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
