"""Runs the tests on copies of the tree, each time without one guard."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue

from tests.mutants.source import Mutant, NotApplicable, without

ROOT = Path(__file__).parents[2]
PATIENCE_S = 120.0  # for the tests of one mutant: without a guard some things never end, and that is noticed, too
HANGS_S = 45  # for one test of it, where that has no limit of its own
NOTICED, SURVIVED, NOT_APPLICABLE = "noticed", "SURVIVED", "not applicable"
_FAILED = 1  # pytest's exit status where tests failed; any other but 0 says that they could not be run


class Unfit(Exception):
    """There is nothing to be learned: no tree, or tests that are red as it is."""


@dataclass(frozen=True, slots=True)
class Outcome:
    mutant: Mutant
    verdict: str
    seconds: float
    told: str = ""


@dataclass(slots=True)
class Tree:
    """A copy of the checkout for one worker."""

    root: Path
    _written: int = field(default_factory=lambda: int(time.time()))

    def write(self, path: Path, text: str) -> None:
        """With a time of its own: compiled code is told apart by its source's second and size."""
        path.write_text(text, encoding="utf-8")
        self._written += 2
        os.utime(path, (self._written, self._written))

    def tests(self, names: Sequence[str], patience_s: float = PATIENCE_S) -> tuple[int | None, str]:
        """pytest's exit status, None where it did not end, and what it wrote."""
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
        command += [f"--timeout={HANGS_S}", "--hypothesis-seed=0", *names]
        environment = {**os.environ, "PYTHONPATH": str(self.root), "OMP_NUM_THREADS": "1"}
        with subprocess.Popen(
            command, cwd=self.root, env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        ) as process:  # fmt: skip
            try:
                told, _ = process.communicate(timeout=patience_s)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                return None, process.communicate()[0]
        return process.returncode, told


def copied(root: Path, into: Path) -> Tree:
    """What git has of the tree, and what is new and not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        raise Unfit(f"{root} is no git checkout, and only such a tree can be copied: {listed.stderr.strip()}")
    for name in filter(None, listed.stdout.split("\0")):
        if (root / name).is_file():
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, into / name)
    return Tree(into)


def check_green(tree: Tree, mutants: Iterable[Mutant]) -> None:
    """Tests that are red already would notice anything. Raises Unfit."""
    named = sorted({name for mutant in mutants for name in mutant.tests})
    status, told = tree.tests(named, patience_s=10 * PATIENCE_S)
    if status != 0:
        raise Unfit(f"the named tests are not green as it is (pytest: {status}):\n{_end_of(told)}")


def judged(tree: Tree, mutant: Mutant) -> Outcome:
    """Take the guard away, run its tests, put it back."""
    began = time.monotonic()
    try:
        path, changed = without(tree.root, mutant)
    except NotApplicable as reason:
        return Outcome(mutant, NOT_APPLICABLE, 0.0, str(reason))
    before = path.read_text(encoding="utf-8")
    tree.write(path, changed)
    try:
        status, told = tree.tests(mutant.tests)
    finally:
        tree.write(path, before)
    took = time.monotonic() - began
    if status in (_FAILED, None):
        return Outcome(mutant, NOTICED, took, "" if status else "its tests did not end")
    if status == 0:
        return Outcome(mutant, SURVIVED, took, "its tests are green without it")
    return Outcome(mutant, NOT_APPLICABLE, took, f"its tests could not be run (pytest: {status}):\n{_end_of(told)}")


def run(mutants: Sequence[Mutant], jobs: int, scratch: Path, say: Callable[[str], None]) -> Iterator[Outcome]:
    """As they come. Raises Unfit before the first."""
    trees: SimpleQueue[Tree] = SimpleQueue()
    made = [copied(ROOT, scratch / f"tree-{number}") for number in range(jobs)]
    for tree in made:
        trees.put(tree)
    applicable = [mutant for mutant in mutants if _applies(made[0], mutant)]
    say(f"{len(mutants)} guards; their tests first as it is")
    if applicable:
        check_green(made[0], applicable)

    def one(mutant: Mutant) -> Outcome:
        tree = trees.get()
        try:
            return judged(tree, mutant)
        finally:
            trees.put(tree)

    with ThreadPoolExecutor(jobs) as workers:
        yield from workers.map(one, mutants)


def _applies(tree: Tree, mutant: Mutant) -> bool:
    try:
        without(tree.root, mutant)
    except NotApplicable:
        return False
    return True


def _end_of(told: str) -> str:
    return "\n".join(told.rstrip().splitlines()[-25:])
