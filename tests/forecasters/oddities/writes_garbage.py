"""Writes on every socket that its process has."""

from __future__ import annotations

import os
import socket
import stat

from ._common import Flat, Options, once, requires

__all__ = ["Options", "build", "requires"]


def _write() -> None:
    for number in map(int, os.listdir("/proc/self/fd")):
        try:
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                with socket.socket(fileno=os.dup(number)) as found:
                    found.send(b"garbage " * 100)
        except OSError:
            continue  # the listener, or the folder's own descriptor


def build(options: Options) -> Flat:
    return Flat(at_forecast=once(options.marker, _write))
