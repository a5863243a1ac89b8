"""One helper starts every process of ours; what any other line that starts one looks like."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_layering import MODULES, ROOT

HELPER = "settings.children"
# What `subprocess` has besides that starts nothing.
HARMLESS = {"PIPE", "STDOUT", "DEVNULL", "TimeoutExpired", "CalledProcessError", "CompletedProcess", "SubprocessError"}
STARTS = {
    "os": ("exec", "spawn", "posix_spawn", "fork", "system", "popen", "startfile"),
    "pty": ("spawn", "fork"),
    "multiprocessing": ("Process", "Pool", "get_context", "Manager"),
    "concurrent.futures": ("ProcessPoolExecutor",),
    "asyncio": ("create_subprocess",),
    "asyncio.subprocess": ("create",),
    "_posixsubprocess": ("",),
    "runpy": ("",),
}


def starts(tree: ast.Module) -> Iterator[str]:
    """Each line that starts a process, or could under another name."""
    annotations = {id(part) for node in ast.walk(tree) if isinstance(node, ast.Subscript) for part in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            wrong = [alias.name for alias in node.names if _is_start(node.module, alias.name)]
            yield from (f"line {node.lineno}: from {node.module} import {name}" for name in wrong)
        elif isinstance(node, ast.Import):
            renamed = [alias for alias in node.names if alias.asname and alias.name in (*STARTS, "subprocess")]
            yield from (f"line {node.lineno}: import {alias.name} as {alias.asname}" for alias in renamed)
        elif isinstance(node, ast.Attribute) and id(node) not in annotations:
            module = ast.unparse(node.value)
            if _is_start(module, node.attr):
                yield f"line {node.lineno}: {module}.{node.attr}"


def _is_start(module: str, name: str) -> bool:
    if module == "subprocess":
        return name not in HARMLESS
    return module in STARTS and name.startswith(STARTS[module])


@pytest.mark.parametrize("module", sorted(set(MODULES) - {HELPER}))
def test_no_module_starts_a_process_but_through_the_helper(module: str) -> None:
    found = list(starts(ast.parse(MODULES[module].read_text(encoding="utf-8"))))
    assert not found, f"start it with settings/children.py: {found}"


@pytest.mark.parametrize(
    "line",
    [
        "import subprocess\nsubprocess.run(['x'])",
        "import subprocess\nsubprocess.Popen(['x'])",
        "from subprocess import check_output",
        "import subprocess as s",
        "import os\nos.execv('x', [])",
        "import os\nos.posix_spawn('x', [], {})",
        "from os import system",
        "import multiprocessing\nmultiprocessing.get_context('fork')",
        "from concurrent.futures import ProcessPoolExecutor",
        "import asyncio\nasyncio.create_subprocess_exec('x')",
    ],
)
def test_any_other_start_is_found(line: str) -> None:
    assert list(starts(ast.parse(line)))


def test_what_only_speaks_of_a_process_is_no_start() -> None:
    text = "import subprocess\ndef f(process: subprocess.Popen[str]) -> int:\n    return subprocess.PIPE\n"
    assert not list(starts(ast.parse(text)))


@pytest.mark.parametrize("unit", sorted((ROOT / "systemd").glob("*.service")), ids=lambda path: path.name)
def test_a_unit_starts_python_without_its_working_folder(unit: Path) -> None:
    lines = [line for line in unit.read_text().splitlines() if line.startswith("ExecStart=")]
    assert len(lines) == 1
    assert "/python " not in lines[0] or "/python -P -m " in lines[0]


def test_the_forecasters_unit_does_not_work_where_the_backend_may_write() -> None:
    assert "\nWorkingDirectory=/\n" in (ROOT / "systemd/trader-forecaster@.service").read_text()
