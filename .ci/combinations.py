"""The whole suite under circumstances that must not matter: `make combinations`, or ARGS="busy one-core".

    busy            two processes beside it burn both cores
    one-core        one core, one worker
    NAME=VALUE      what torch (ATEN_CPU_CAPABILITY) and oneDNN (ONEDNN_MAX_CPU_ISA) may use of the processor
    shuffled        the tests of each file, and the files, in another order; the seed is printed
    alone           each file by itself, in a process of its own

Joined by `+` they hold at once: `busy+ATEN_CPU_CAPABILITY=avx2+shuffled`. Prints one row of a table for each.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
PYTEST = (str(ROOT / ".venv/bin/python"), "-m", "pytest", "-q", "-p", "no:cacheprovider")
WHOLE = ("-m", "not slow and not parity", "--dist", "loadfile", "--no-loadscope-reorder")
CIRCUMSTANCES = (
    *("busy", "busy", "busy", "one-core"),
    *("ATEN_CPU_CAPABILITY=default", "ATEN_CPU_CAPABILITY=avx2"),
    *("ONEDNN_MAX_CPU_ISA=AVX2", "ONEDNN_MAX_CPU_ISA=AVX512_CORE", "ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16"),
    *("shuffled", "alone"),
)
LOAD_EVERY_S = 5
NOTHING_TO_RUN = 5  # pytest's exit code for a file whose tests are all left out


@dataclass
class Outcome:
    counts: dict[str, int] = field(default_factory=dict)
    red: list[str] = field(default_factory=list)
    ended: bool = True

    @property
    def green(self) -> bool:
        return self.ended and not self.red and bool(self.counts.get("passed"))


def main(words: list[str]) -> int:
    print("| circumstances | passed | failed | skipped | minutes | load, median |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |", flush=True)
    outcomes = [_played(set(word.split("+")), word) for word in words or CIRCUMSTANCES]
    return 0 if all(outcome.green for outcome in outcomes) else 1


def _played(wanted: set[str], name: str) -> Outcome:
    environment = {**os.environ, **dict(word.split("=", 1) for word in wanted if "=" in word)}
    seed = str(int(time.time()))
    order = ["--random-order", f"--random-order-seed={seed}"] if "shuffled" in wanted else []
    loads: list[float] = []
    began = time.monotonic()
    with _burning(2 if "busy" in wanted else 0), _watched(loads), _on_cores(1 if "one-core" in wanted else None):
        workers = 1 if "one-core" in wanted else 2
        outcome = (_each_alone if "alone" in wanted else _whole)(environment, order, workers)
    minutes = (time.monotonic() - began) / 60
    counts = [str(outcome.counts.get(key, 0)) for key in ("passed", "failed", "skipped")]
    shown = name + (f" (seed {seed})" if order else "")
    print("| " + " | ".join((shown, *counts, f"{minutes:.1f}", f"{median(loads or [0]):.1f}")) + " |", flush=True)
    for line in outcome.red:
        print(f"    {line}", flush=True)
    if not outcome.ended:
        print("    pytest itself did not come to its end", flush=True)
    return outcome


def _whole(environment: dict[str, str], order: Sequence[str], workers: int) -> Outcome:
    return _run([*WHOLE, "-n", str(workers), *order], environment)


def _each_alone(environment: dict[str, str], order: Sequence[str], workers: int) -> Outcome:
    files = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("test_*.py"))
    together = Outcome()
    with ThreadPoolExecutor(workers) as pool:
        for outcome in pool.map(lambda file: _run([*WHOLE, *order, file], environment), files):
            together.red += outcome.red
            together.ended &= outcome.ended
            for key, count in outcome.counts.items():
                together.counts[key] = together.counts.get(key, 0) + count
    return together


def _run(words: Sequence[str], environment: dict[str, str]) -> Outcome:
    done = subprocess.run([*PYTEST, *words], cwd=ROOT, env=environment, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    red = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    counts = {
        kind: int(count) for count, kind in re.findall(r"(\d+) (passed|failed|skipped)", lines[-1] if lines else "")
    }
    return Outcome(counts, red, done.returncode in (0, 1, NOTHING_TO_RUN))


@contextmanager
def _burning(processes: int) -> Iterator[None]:
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


@contextmanager
def _watched(loads: list[float]) -> Iterator[None]:
    over = threading.Event()

    def watch() -> None:
        while not over.wait(LOAD_EVERY_S):
            loads.append(os.getloadavg()[0])

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


@contextmanager
def _on_cores(count: int | None) -> Iterator[None]:
    """What is started meanwhile has so many cores; None: all of them."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
