"""What is decided is a function of what was told: no clock of the machine, no chance, no order of a set."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.purity import impurities

TRADER = Path(__file__).parents[2] / "trader"
_TIMINGS = "how long a step took, for the journal: nothing is decided by it"
_RATE = "how often a row of the status is written and a lock looked at, in wall time: nothing is decided by it"

ALLOWED = {
    ("trading", "watch.py", "time.perf_counter"): _TIMINGS,
    ("trading", "cycle.py", "time.perf_counter"): _TIMINGS,
    ("trading", "positions.py", "time.monotonic"): _RATE,
    ("trading", "guard_files.py", "time.monotonic"): _RATE,
}


def found(room: str) -> set[tuple[str, str, str]]:
    return {(room, name, what) for name, _, what in impurities(TRADER / room)}


@pytest.mark.parametrize("room", ["trading", "core", "strategies"])
def test_nothing_ambient_and_no_order_of_a_set(room: str) -> None:
    stray = [f"{name}:{line}: {what}" for name, line, what in impurities(TRADER / room)
             if (room, name, what) not in ALLOWED]  # fmt: skip
    assert not stray, "\n".join(stray)


def test_no_exception_is_allowed_that_is_not_needed() -> None:
    there = found("trading") | found("core") | found("strategies")
    assert set(ALLOWED) <= there


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("import time\ndef f(): return time.time()", "time.time"),
        ("import time\ndef f(): return time.monotonic()", "time.monotonic"),
        ("from time import monotonic", "time.monotonic"),
        ("from datetime import datetime\nx = datetime.now()", "datetime.now"),
        ("import random", "random"),
        ("from uuid import uuid4", "uuid.uuid4"),
        ("import numpy as np\nx = np.random", "np.random"),
        ("x = hash('a')", "hash"),
        ("for x in {1, 2}: print(x)", "the order of {1, 2}"),
        ("def f(a: frozenset[int]): return [x for x in a]", "the order of a"),
        ("def f(a, b): return list(a.keys() - b)", "the order of a.keys() - b"),
        ("x = ', '.join({'a', 'b'})", "the order of {'a', 'b'}"),
        ("def f() -> set[int]: return set()\ny = [*f()]", "the order of f()"),
        ("class A:\n    x: frozenset[int]\ndef f(a): return {k: 1 for k in a.x}", "the order of a.x"),
    ],
)
def test_it_is_found(tmp_path: Path, source: str, what: str) -> None:
    (tmp_path / "room.py").write_text(source)
    assert what in {told for _, _, told in impurities(tmp_path)}


@pytest.mark.parametrize(
    "source",
    [
        "for x in sorted({1, 2}): print(x)",
        "def f(a: set[int]): return any(x > 1 for x in a)",
        "def f(a: set[int]): return {x + 1 for x in a}",
        "def f(a: set[int]): return sorted(x + 1 for x in a)",
        "def f(a: list[int]): return [x for x in a]",
    ],
)
def test_what_has_an_order_or_needs_none_is_fine(tmp_path: Path, source: str) -> None:
    (tmp_path / "room.py").write_text(source)
    assert not list(impurities(tmp_path))
