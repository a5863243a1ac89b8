"""Writes more than a pipe holds, and starts a process of its own."""

from __future__ import annotations

import subprocess
import sys

from ._common import Flat, Options, requires

__all__ = ["Options", "build", "requires"]


def _talk() -> None:
    print("chatter " * 40_000, flush=True)
    helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    print(f"helper {helper.pid}", flush=True)


def build(options: Options) -> Flat:
    return Flat(at_forecast=_talk)
