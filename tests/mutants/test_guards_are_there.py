"""The table of guards is of this source, and no gate is missing in it. `make mutants` runs it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.mutants.guards import MUTANTS
from tests.mutants.run import NOT_APPLICABLE, NOTICED, SURVIVED, Tree, Unfit, check_green, judged
from tests.mutants.source import Mutant, NotApplicable, without
from trader.core.risk import CAPS, GATES

ROOT = Path(__file__).parents[2]
GUARDED = "def half(n: int) -> int:\n    if n % 2:\n        raise ValueError(n)\n    return n // 2\n"
GUARD = Mutant("an odd number", "lib", "half", "if n % 2: raise ValueError(n)", "pass", ("test_half.py",))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_each_guard_is_where_the_table_says(mutant: Mutant) -> None:
    path, changed = without(ROOT, mutant)
    assert changed != path.read_text(encoding="utf-8")
    assert all((ROOT / name.partition("::")[0]).exists() for name in mutant.tests)


def test_no_name_is_given_twice_and_every_gate_and_cap_is_in_the_table() -> None:
    assert [name for name, count in Counter(mutant.name for mutant in MUTANTS).items() if count > 1] == []
    whole = {mutant.function for mutant in MUTANTS if mutant.where.endswith("risk.py") and not mutant.old}
    assert {rule.__name__ for _, rule in (*GATES, *CAPS)} <= whole


def a_tree(folder: Path, test: str) -> Tree:
    (folder / "lib").mkdir()
    (folder / "lib" / "halves.py").write_text(GUARDED)
    (folder / "lib" / "other.py").write_text("")
    (folder / "test_half.py").write_text(f"import pytest\nfrom lib.halves import half\n\n{test}")
    return Tree(folder)


REFUSES = "def test_half():\n    with pytest.raises(ValueError):\n        half(3)\n"


@pytest.mark.parametrize(
    ("test", "verdict"),
    [(REFUSES, NOTICED), ("def test_half():\n    assert half(4) == 2\n", SURVIVED), ("", NOT_APPLICABLE)],
    ids=["a test of it", "a test of something else", "no test"],
)
def test_a_guard_is_noticed_where_a_test_fails_without_it_and_is_there_again_afterwards(
    test: str, verdict: str, tmp_path: Path
) -> None:
    tree = a_tree(tmp_path, test)
    assert judged(tree, GUARD).verdict == verdict
    assert (tmp_path / "lib" / "halves.py").read_text() == GUARDED


def test_tests_that_are_red_as_it_is_are_said_first(tmp_path: Path) -> None:
    with pytest.raises(Unfit, match="not green"):
        check_green(a_tree(tmp_path, "def test_half():\n    assert half(4) == 3\n"), [GUARD])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"function": "third"}, "0 functions 'third' in lib"),
        ({"old": "if n % 3:"}, "0 times, not once"),
        ({"old": "n", "new": "m"}, "times, not once"),
        ({"new": "if"}, "no Python"),
    ],
)
def test_a_guard_that_is_not_there_is_said_so(change: dict[str, str], why: str, tmp_path: Path) -> None:
    a_tree(tmp_path, REFUSES)
    fields = {name: getattr(GUARD, name) for name in ("name", "where", "function", "old", "new", "tests")}
    with pytest.raises(NotApplicable, match=why):
        without(tmp_path, Mutant(**{**fields, **change}))  # type: ignore[arg-type]
