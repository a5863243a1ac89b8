"""A guard in the source, found by the function that it stands in and by its text; and the source without it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Mutant:
    """One guard, and what the program would be without it.

    name      what is no longer guarded against
    where     the file, or a folder in which one file has the function: so it survives a move within a room
    function  its name, with its class's where that is needed to tell it apart: `Desk.cancel`
    old       the guard's text within that function, however it is broken into lines; "" for the whole body
    new       what stands there instead
    tests     node ids, files or folders of which at least one test must fail then; the narrowest that will do
    """

    name: str
    where: str
    function: str
    old: str
    new: str
    tests: tuple[str, ...]


class NotApplicable(Exception):
    """The guard is not where the table says, so the table is to be mended."""


def without(root: Path, mutant: Mutant) -> tuple[Path, str]:
    """The file, and what stands in it once the guard is gone. Raises NotApplicable."""
    path, function = _found(root, mutant)
    text = path.read_text(encoding="utf-8")
    first, last = _body(text, function) if not mutant.old else _piece(text, function, mutant)
    changed = text[:first] + mutant.new + text[last:]
    try:
        ast.parse(changed)
    except SyntaxError as error:
        raise NotApplicable(f"{mutant.name}: without it {path.name} is no Python ({error})") from error
    return path, changed


def _found(root: Path, mutant: Mutant) -> tuple[Path, Function]:
    place = root / mutant.where
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place] if place.is_file() else []
    found = [
        (path, node)
        for path in files
        for name, node in _in_file(path, path.stat().st_mtime_ns)
        if name == mutant.function or name.endswith(f".{mutant.function}")
    ]
    if len(found) != 1:
        raise NotApplicable(f"{mutant.name}: {len(found)} functions {mutant.function!r} in {mutant.where}, not one")
    return found[0]


@cache
def _in_file(path: Path, _changed: int) -> tuple[tuple[str, Function], ...]:
    return tuple(_functions(ast.parse(path.read_text(encoding="utf-8"))))


def _functions(node: ast.AST, within: str = "") -> Iterator[tuple[str, Function]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function | ast.ClassDef):
            name = f"{within}.{child.name}" if within else child.name
            if isinstance(child, Function):
                yield name, child
            yield from _functions(child, name)
        else:
            yield from _functions(child, within)


def _offset(text: str, line: int, column: int) -> int:
    """Of a place that `ast` names: its columns count bytes."""
    lines = text.splitlines(keepends=True)
    return sum(map(len, lines[: line - 1])) + len(lines[line - 1].encode()[:column].decode())


def _span(text: str, first: ast.AST, last: ast.AST) -> tuple[int, int]:
    start = _offset(text, first.lineno, first.col_offset)  # type: ignore[attr-defined]
    return start, _offset(text, last.end_lineno, last.end_col_offset)  # type: ignore[attr-defined]


def _body(text: str, function: Function) -> tuple[int, int]:
    """All that it does, without its docstring."""
    does = function.body[1:] if ast.get_docstring(function) and len(function.body) > 1 else function.body
    return _span(text, does[0], does[-1])


def _piece(text: str, function: Function, mutant: Mutant) -> tuple[int, int]:
    first, last = _span(text, function, function)
    pattern = r"\s+".join(map(re.escape, mutant.old.split()))
    hits = list(re.finditer(pattern, text[first:last]))
    if len(hits) != 1:
        where = f"{mutant.function} of {mutant.where}"
        raise NotApplicable(f"{mutant.name}: {where} has {mutant.old!r} {len(hits)} times, not once")
    return first + hits[0].start(), first + hits[0].end()
