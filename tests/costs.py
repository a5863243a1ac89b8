"""What a piece of Python costs in memory, measured in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

from tests.waiting import GENEROUS_S

_HEAD = """
import sys
def kilobytes(name):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(name))
"""
_TAIL = """
before = kilobytes("VmRSS")
attempt()
print("cost", kilobytes("VmHWM") - before)
"""


@dataclass(frozen=True, slots=True)
class Cost:
    megabytes: float
    said: str


def cost_of(code: str, *arguments: str) -> Cost:
    """`code` defines `attempt()`, having imported all that it needs; only the attempt is measured."""
    done = subprocess.run(
        [sys.executable, "-c", _HEAD + code + _TAIL, *arguments], capture_output=True, text=True, timeout=GENEROUS_S
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said, _, cost = done.stdout.rpartition("cost ")
    return Cost(int(cost) / 1024, said.strip())
