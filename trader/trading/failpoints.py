"""Named places where a test may kill the process, to prove that death is survived there. Inert unless armed."""

from __future__ import annotations

import os
import signal

_armed: dict[str, int] = {}


def arm(text: str) -> None:
    """`name:n` kills this process, as `kill -9` does, when `name` is reached for the nth time."""
    name, _, count = text.partition(":")
    _armed[name] = int(count or 1)


def reach(name: str) -> None:
    if name not in _armed:
        return
    _armed[name] -= 1
    if _armed[name] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
