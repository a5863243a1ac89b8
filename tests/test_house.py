"""The house's own rules, where a machine can hold them: sizes, docstrings, aware times, no trace of one machine."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("trader", "forecasters", "settings")
LONGEST_FILE = 400
LONGEST_FUNCTION = 60
# Not the later part of a URL or of a relative path; and Anna lives in examples only.
MACHINE_PATH = re.compile(r"(?<![\w.:/])/(?:work|root|home)/(?!anna\b)\w")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


SOURCES = sources(*PACKAGES)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(path: Path) -> Iterator[Function]:
    return (node for node in ast.walk(tree_of(path)) if isinstance(node, Function))


def tracked() -> list[Path]:
    """The files of the repository, those not committed yet among them; without git, what lies in the packages."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    names = listed.stdout.decode().split("\0") if listed.returncode == 0 else []
    found = [ROOT / name for name in names if name and (ROOT / name).is_file()]
    return found or [*sources(*PACKAGES, "tests"), ROOT / "Makefile", ROOT / "pyproject.toml"]


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_file_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE


def test_a_function_fits_on_a_screen() -> None:
    long = {
        f"{name_of(path)}:{function.lineno} {function.name}": lines
        for path in SOURCES
        for function in functions(path)
        if "migrations" not in path.parts  # a schema is one long list
        if (lines := (function.end_lineno or 0) - function.lineno + 1) > LONGEST_FUNCTION
    }
    assert not long


def test_every_module_says_first_what_it_is_for() -> None:
    silent = [name_of(path) for path in SOURCES if path.read_text().strip() and not ast.get_docstring(tree_of(path))]
    assert not silent


def test_every_public_function_of_the_core_is_documented_or_says_it_all_in_one_line() -> None:
    """A property or a one-line method whose name is its meaning needs no docstring."""
    silent = [
        f"{name_of(path)}:{function.lineno} {function.name}"
        for path in sources("trader/core")
        for function in tree_of(path).body
        if isinstance(function, Function)
        and not function.name.startswith("_")
        and not ast.get_docstring(function)
        and len(function.body) > 1
    ]
    assert not silent


def test_times_are_aware() -> None:
    """`now()` and `fromtimestamp(x)` without a zone, and all of utcnow, make times that can't be compared with ours."""
    naive = []
    for path in SOURCES:
        for node in ast.walk(tree_of(path)):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            owner = ast.unparse(node.func.value)
            arguments = len(node.args) + len(node.keywords)
            if node.func.attr in ("utcnow", "utcfromtimestamp") or (
                owner in ("datetime", "datetime.datetime")
                and (node.func.attr, arguments) in (("now", 0), ("fromtimestamp", 1), ("today", 0))
            ):
                naive.append(f"{name_of(path)}:{node.lineno} {ast.unparse(node)}")
    assert not naive


def test_nothing_swallows_what_it_cannot_name() -> None:
    bare = [
        f"{name_of(path)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ExceptHandler) and node.type is None
    ]
    assert not bare


def test_no_file_speaks_of_the_machine_that_it_was_written_on() -> None:
    found = []
    for path in tracked():
        if path == Path(__file__):
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture
        found += [
            f"{name_of(path)}:{number} {line.strip()[:80]}"
            for number, line in enumerate(text.splitlines(), start=1)
            if MACHINE_PATH.search(line)
        ]
    assert not found


def commands_of(text: str) -> set[tuple[str, ...]]:
    """The `trader ...` commands in a document: in backquotes, or at the start of a line of a code block."""
    spoken = re.findall(r"`(?:sudo )?(?:\.venv/bin/)?trader(?:-paper|-live)? ([a-z][a-z -]*)", text)
    blocks = re.findall(r"^```.*?^```", text, flags=re.MULTILINE | re.DOTALL) + re.findall(
        r"^    .*$", text, re.MULTILINE
    )
    shown = "\n".join(blocks)
    spoken += re.findall(
        r"^\s*(?:\$ )?(?:sudo )?(?:\.venv/bin/)?trader(?:-paper|-live)? ([a-z][a-z -]*)", shown, re.MULTILINE
    )
    return {tuple(word for word in line.split() if not word.startswith("-")) for line in spoken}


def unknown_commands(text: str) -> list[str]:
    """Those of a document's commands that the program does not have, by their first words."""
    import click

    from trader.cli import cli

    unknown = []
    for words in commands_of(text):
        group: click.Command = cli
        for word in words:
            if not isinstance(group, click.Group):
                break
            found = group.get_command(click.Context(group), word)
            if found is None:
                unknown.append(" ".join(words))
                break
            group = found
    return sorted(unknown)


DOCUMENTS = [path for path in tracked() if path.suffix == ".md" and (path.parent == ROOT or "docs" in path.parts)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_command_that_a_document_shows_exists(document: Path) -> None:
    assert unknown_commands(document.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_make_target_that_a_document_shows_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    shown = set(re.findall(r"(?:`|^\s*(?:\$ )?)make ([a-z]+)", text, flags=re.MULTILINE))
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert shown <= targets
