"""Who may import whom. Every import of every module is read, those inside functions too."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = ("trader", "forecasters", "settings")

# A part of the program: the modules that belong to it, and what of ours they may import besides each other.
# The first match counts, so the narrow names come first.
SHELL = ["trader.trading", "trader.daemon.schedule"]
TOP = ["trader.cli", "trader.daemon.app", "trader.terminal.runner", "trader.__main__"]
PARTS: tuple[tuple[str, Sequence[str], Sequence[str]], ...] = (
    ("core", ["trader.core"], ["forecasters.types"]),
    ("errors", ["trader.errors"], []),
    ("ports", ["trader.trading.ports"], ["trader.core", "trader.errors", "forecasters.types"]),
    ("strategies", ["trader.strategies"], ["trader.core", "forecasters.types"]),
    (
        "adapters",
        ["trader.adapters"],
        ["trader.trading.ports", "trader.core", "trader.errors", "settings", "forecasters.types"],
    ),
    ("exchange", ["trader.exchange"], ["trader.core", "settings"]),
    (
        "shell",
        SHELL,
        ["trader.trading.ports", "trader.core", "trader.errors", "forecasters.types", "forecasters.base"],
    ),
    ("research, web", ["trader.research", "trader.web"], ["trader", "forecasters", "settings"]),
    ("cli, app", TOP, ["trader", "forecasters", "settings"]),
    # The composition root's own helpers: each does one piece of the wiring.
    ("wiring", ["trader"], ["trader", "forecasters", "settings"]),
    ("forecasters", ["forecasters"], ["settings"]),
    ("settings", ["settings"], []),
)

# Packages from elsewhere that a part may use, where the list is short enough to be a rule.
THIRD_PARTY = {
    "core": {"numpy"},
    "strategies": {"numpy", "pydantic"},
    "ports": set(),
    "errors": set(),
    "settings": {"pydantic", "pydantic_core", "pydantic_settings", "dotenv"},
    "forecasters": {"numpy", "pandas", "pydantic", "torch", "safetensors", "huggingface_hub", "triton"},
}
IMPURE = {"time", "random", "secrets", "uuid", "logging", "os", "io", "pathlib", "socket", "subprocess", "threading"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    module: str
    line: int
    in_function: bool


def modules() -> dict[str, Path]:
    """Every module of ours by its dotted name."""
    found: dict[str, Path] = {}
    for package in OURS:
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def within(module: str, prefixes: Sequence[str]) -> bool:
    return any(module == prefix or module.startswith(f"{prefix}.") for prefix in prefixes)


def part_of(module: str) -> tuple[str, Sequence[str], Sequence[str]]:
    return next(part for part in PARTS if within(module, part[1]))


def imports(module: str) -> Iterator[Import]:
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    inside = {id(node) for function in functions for node in ast.walk(function)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            whole = [f"{base}.{alias.name}" for alias in node.names]
            names = [name if name in MODULES else base for name in whole]
        else:
            continue
        for name in names:
            yield Import(module=name, line=node.lineno, in_function=id(node) in inside)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_imports_only_what_its_part_may(module: str) -> None:
    name, own, allowed = part_of(module)
    wrong = []
    for found in imports(module):
        root = found.module.partition(".")[0]
        if root in OURS:
            # naming a package on the way to one of its modules is not using it
            fits = within(found.module, [*own, *allowed])
            if name != "cli, app" and within(found.module, TOP):
                fits = False
        else:
            fits = root in sys.stdlib_module_names or root in THIRD_PARTY.get(name, {root})
        if not fits:
            wrong.append(f"line {found.line}: {found.module}")
    assert not wrong, f"{module} is part of {name!r} and may import {list(allowed)} of ours"


@pytest.mark.parametrize(
    "module", [name for name in sorted(MODULES) if within(name, ["trader.core", "trader.strategies"])]
)
def test_the_core_and_the_strategies_have_no_clock_no_effects_and_no_randomness(module: str) -> None:
    wrong = [f"line {found.line}: {found.module}" for found in imports(module) if found.module.split(".")[0] in IMPURE]
    assert not wrong


@pytest.mark.parametrize("module", sorted(MODULES))
def test_torch_is_imported_only_where_the_models_are(module: str) -> None:
    if within(module, ["forecasters.kronos", "forecasters.toto"]):
        return
    late = within(module, ["forecasters.backends"])  # inside build() and what it calls, never at the top
    wrong = [
        f"line {found.line}"
        for found in imports(module)
        if found.module.partition(".")[0] in ("torch", "triton") and not (late and found.in_function)
    ]
    assert not wrong


GUARDED = """
import importlib.abc, sys

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        assert name.partition(".")[0] not in {heavy!r}, name + " is imported by the trading process"
        return None

sys.meta_path.insert(0, Refuse())
sys.argv = {arguments!r}
{program}
"""


def run_without(heavy: Sequence[str], program: str, arguments: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter in which the import of a heavy package fails, installed or not."""
    code = GUARDED.format(heavy=tuple(heavy), program=program, arguments=list(arguments))
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)


# A migration runs only inside Alembic, and a __main__ when it is imported.
TRADING = [
    name
    for name in sorted(MODULES)
    if within(name, ["trader", "settings"]) and not name.endswith("__main__") and ".migrations." not in name
]


def test_the_trading_process_never_imports_torch() -> None:
    """Every module of the trading side at once, and those of the forecasters that run in its process."""
    daemon_side = ["forecasters.types", "forecasters.base", "forecasters.worker.client", "forecasters.registry"]
    names = [*TRADING, *(name for name in daemon_side if name in MODULES)]
    done = run_without(["torch", "triton"], "\n".join(f"import {name}" for name in names))
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.skipif("trader.cli" not in MODULES, reason="there is no command line yet")
def test_the_command_line_answers_without_the_heavy_packages() -> None:
    heavy = ["torch", "triton", "pandas", "alpaca", "exchange_calendars", "starlette", "uvicorn"]
    program = "from trader.__main__ import main\nsys.exit(main())"
    done = run_without(heavy, program, ["trader", "--help"])
    assert done.returncode == 0, done.stderr[-2000:]
