"""The house's rules for tests: they judge the program, never the machine that they run on.

A bound in seconds fails on a slow or busy machine with nothing broken, and a sleep that hopes is such a bound too.
What makes code slow is counted (`tests.counting`), or two figures of one run are compared with room; what takes its
time is waited for (`tests.waiting`). That something took at least so long may be asserted: it holds on every machine.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
CLOCKS = frozenset(
    {"monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time", "process_time_ns", "thread_time"}
    | {"thread_time_ns", "cpu_times", "getrusage"}
)
MAY_SLEEP = ("waiting.py", "adapters/wire.py", "forecasters/twins.py", "forecasters/oddities/", "faults/installed/")
FILES = sorted(TESTS.rglob("*.py"))


def reads_a_clock(node: ast.AST, measured: set[str]) -> bool:
    """Whether a figure in it comes from a clock: read on the spot, or kept in one of the names."""
    return any(
        (isinstance(each, ast.Name) and each.id in measured)
        or (isinstance(each, ast.Call) and _called(each) in CLOCKS)
        or (isinstance(each, ast.Call) and ast.unparse(each.func) in ("time.time", "timeit.timeit", "timeit.repeat"))
        for each in ast.walk(node)
    )


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def scopes(tree: ast.Module) -> list[list[ast.stmt]]:
    """The statements of each function, with those of the functions in it; and what stands in none."""
    inside, outside = list[list[ast.stmt]](), list[ast.stmt]()
    waiting = list[ast.stmt](tree.body)
    for each in waiting:
        if isinstance(each, ast.ClassDef):
            waiting += each.body
        elif isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
            inside.append([each])
        else:
            outside.append(each)
    return [*inside, outside]


def measured_names(nodes: list[ast.AST]) -> set[str]:
    """Names that hold what a clock said, or something made of it."""
    found: set[str] = set()
    while True:
        more = {name for node in nodes for name in _made_of_a_clock(node, found)}
        if more <= found:
            return found
        found |= more


def _made_of_a_clock(node: ast.AST, measured: set[str]) -> Iterator[str]:
    match node:
        case ast.Assign(targets=targets, value=value) if reads_a_clock(value, measured):
            yield from (name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name))
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.AST() as value) if reads_a_clock(value, measured):
            yield name
        case ast.NamedExpr(target=ast.Name(id=name), value=value) if reads_a_clock(value, measured):
            yield name
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append"), args=[value]) if reads_a_clock(
            value, measured
        ):
            yield name


def bounds_of_time(source: str) -> list[int]:
    """Lines with an assertion that something took no longer than a figure that is not measured in the same run."""
    return [line for scope in scopes(ast.parse(source)) for line in _bounds_in(scope)]


def _bounds_in(scope: list[ast.stmt]) -> list[int]:
    nodes = [node for statement in scope for node in ast.walk(statement)]
    measured = measured_names(nodes)
    return [
        node.lineno
        for node in nodes
        if isinstance(node, ast.Assert)
        for compared in ast.walk(node.test)
        if isinstance(compared, ast.Compare)
        for shorter, longer in _ordered(compared)
        if reads_a_clock(shorter, measured) and (not reads_a_clock(longer, measured) or _is_a_moment(shorter))
    ]


def _ordered(compared: ast.Compare) -> Iterator[tuple[ast.expr, ast.expr]]:
    """The pairs of a chain, the one that has to be the smaller first."""
    sides = [compared.left, *compared.comparators]
    for left, operator, right in zip(sides, compared.ops, sides[1:], strict=False):
        if isinstance(operator, ast.Lt | ast.LtE):
            yield left, right
        elif isinstance(operator, ast.Gt | ast.GtE):
            yield right, left


def _is_a_moment(node: ast.expr) -> bool:
    """`monotonic() < deadline`: both are measured, and the machine is judged all the same."""
    return isinstance(node, ast.Call) and _called(node) in CLOCKS


def sleeps(source: str) -> list[int]:
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("time.sleep", "sleep", "asyncio.sleep")
    ]


def test_no_test_asserts_that_something_was_quick() -> None:
    found = {str(path.relative_to(TESTS)): lines for path in FILES if (lines := bounds_of_time(path.read_text()))}
    assert not found, "count what makes it slow, or compare two figures of one run; wait with `eventually`"


def test_no_test_sleeps_and_hopes() -> None:
    names = {path: path.relative_to(TESTS).as_posix() for path in FILES}
    found = {
        name: lines
        for path, name in names.items()
        if not name.startswith(MAY_SLEEP)  # the helper itself, and those who play somebody slow
        if (lines := sleeps(path.read_text()))
    }
    assert not found, "wait for something with `tests.waiting.eventually`; for time itself with `let_pass`"


@pytest.mark.parametrize(
    "text",
    [
        "began = time.monotonic()\nwork()\nassert time.monotonic() - began < 2",
        "took = []\ntook.append(time.perf_counter() - a)\nassert min(took) < 0.06, 'late'",
        "best = min(timeit.repeat(work)) / 100\nassert best < LIMIT",
        "spent = time.process_time() - a\nassert 0.5 > spent",
        "a = process.cpu_times()\nshare = a.user / 5\nassert 0 < share < 0.03",
        "deadline = time.monotonic() + 5\nassert time.monotonic() < deadline",
        "with answering(until := time.monotonic() + 3):\n    pass\nassert time.monotonic() < until",
    ],
)
def test_a_bound_of_time_is_found(text: str) -> None:
    assert bounds_of_time(text)


@pytest.mark.parametrize(
    "text",
    [
        "began = time.monotonic()\nassert time.monotonic() - began >= 0.2",
        "one, other = timed(a), timed(b)\nassert one < 5 * other",
        "one = time.perf_counter() - a\nother = time.perf_counter() - b\nassert one < 5 * other",
        "assert calls_in(work) < 100",
    ],
)
def test_what_holds_on_every_machine_is_none(text: str) -> None:
    assert not bounds_of_time(text)
