"""What makes a run differ from the same run: ambient time, randomness, the environment, the order of a set.

Found in the source, by its syntax: what is iterated over is a set where its expression, its annotation or the
annotation of what returned it says so.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

_MODULES = frozenset({"random", "secrets", "uuid"})
_CALLS = frozenset(
    {
        *(f"time.{name}" for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "sleep")),
        *(f"datetime.{name}" for name in ("now", "utcnow", "today")),
        *("date.today", "os.urandom", "os.getenv", "os.environ", "np.random", "numpy.random", "hash"),
    }
)
_SETS = ("set", "frozenset", "Set", "AbstractSet", "FrozenSet")
_ORDERLESS = frozenset({"sorted", "set", "frozenset", "any", "all", "len", "sum", "min", "max", "Counter"})
_ORDERED = frozenset(
    {"list", "tuple", "iter", "enumerate", "fromkeys", "join", "map", "filter", "zip", "chain", "extend"}
)
_OPERATORS = (ast.Sub, ast.BitOr, ast.BitAnd, ast.BitXor)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


def impurities(folder: Path) -> Iterator[tuple[str, int, str]]:
    """(file, line, what) of each, in the folder's modules."""
    trees = {path: ast.parse(path.read_text()) for path in sorted(folder.rglob("*.py"))}
    told_sets = {name for tree in trees.values() for name in _annotated(tree, sets=True)}
    told_sets -= {name for tree in trees.values() for name in _annotated(tree, sets=False)}  # it can't be told
    for path, tree in trees.items():
        name = str(path.relative_to(folder))
        for line, what in sorted({*_ambient(tree), *_unordered(tree, told_sets)}):
            yield name, line, what


# ---- the world outside ----


def _ambient(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, each.name) for each in node.names if each.name in _MODULES)
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            names = [f"{source}.{each.name}" for each in node.names]
            yield from ((node.lineno, name) for name in names if source in _MODULES or name in _CALLS)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            name = f"{node.value.id}.{node.attr}"
            if name in _CALLS:
                yield node.lineno, name
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CALLS:
            yield node.lineno, node.func.id


# ---- sets ----


def _annotated(tree: ast.AST, *, sets: bool) -> Iterator[str]:
    """Names of fields, attributes and functions that are said to be, or to return, sets, or something else."""
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign) and _says_set(node.annotation) is sets:
            yield node.target.attr if isinstance(node.target, ast.Attribute) else ast.unparse(node.target)
        elif isinstance(node, ast.FunctionDef) and node.returns is not None and _says_set(node.returns) is sets:
            yield node.name


def _says_set(annotation: ast.expr) -> bool:
    return ast.unparse(annotation).partition("[")[0].rpartition(".")[2] in _SETS


def _unordered(tree: ast.Module, told: set[str]) -> Iterator[tuple[int, str]]:
    for scope in [tree, *(node for node in ast.walk(tree) if isinstance(node, _SCOPES))]:
        yield from _Scope(scope, told).found()


class _Scope:
    """One function, class or module, without those inside of it."""

    def __init__(self, scope: ast.AST, told: set[str]) -> None:
        self._told = told
        self._nodes = list(_inside(scope))
        self._fine: set[int] = set()  # generators whose order nobody sees
        self._local: set[str] = set()
        if isinstance(scope, ast.FunctionDef):
            given = (*scope.args.args, *scope.args.kwonlyargs, *scope.args.posonlyargs)
            self._local = {each.arg for each in given if each.annotation is not None and _says_set(each.annotation)}
        for node in self._nodes:
            if isinstance(node, ast.Assign) and self._is_set(node.value):
                self._local |= {each.id for each in node.targets if isinstance(each, ast.Name)}

    def found(self) -> Iterator[tuple[int, str]]:
        for node in self._nodes:
            if isinstance(node, ast.Call) and _called(node) in _ORDERLESS:
                self._fine |= {id(each) for each in node.args}
        for node in self._nodes:
            for each in self._iterated(node):
                if self._is_set(each):
                    yield each.lineno, f"the order of {ast.unparse(each)}"

    def _iterated(self, node: ast.AST) -> list[ast.expr]:
        if isinstance(node, ast.For):
            return [node.iter]
        if isinstance(node, ast.ListComp | ast.DictComp | ast.GeneratorExp) and id(node) not in self._fine:
            return [each.iter for each in node.generators]
        if isinstance(node, ast.Starred) and id(node) not in self._fine:
            return [node.value]
        if isinstance(node, ast.Call) and _called(node) in _ORDERED and id(node) not in self._fine:
            return list(node.args)
        return []

    def _is_set(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Set | ast.SetComp):
            return True
        if isinstance(node, ast.Call):
            return _called(node) in ("set", "frozenset") or _called(node) in self._told
        if isinstance(node, ast.BinOp) and isinstance(node.op, _OPERATORS):
            return any(self._is_set(side) or _is_view(side) for side in (node.left, node.right))
        if isinstance(node, ast.Name):
            return node.id in self._local
        return isinstance(node, ast.Attribute) and node.attr in self._told


def _inside(scope: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(scope):
        if isinstance(child, _SCOPES):
            continue
        yield child
        yield from _inside(child)


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _is_view(node: ast.expr) -> bool:
    """The keys of a mapping: with an operator they make a set."""
    return isinstance(node, ast.Call) and _called(node) in ("keys", "items") and not node.args
