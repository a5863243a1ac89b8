"""Who may import whom: one table of rooms and arrows, held against every import of every module.

Imports inside functions and those for type checking are arrows like all others.
"""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = ("trader", "forecasters", "settings")

# A room, and the rooms that it may use: only such as stand below it, so there is no way round in a circle.
# A room is a folder or a file; the longest name counts. `research` in an arrow means all of research/ that is below.
# docs/architecture.md shows this table; a test compares the two.
HOUSE = """
# what a person touches
__main__              cli, errors, printable, settings/own_memory, settings/redaction
cli                   terminal, commands, daemon/app, daemon, exchange/command, version, errors, settings/children
terminal              daemon/app, daemon, adapters, trading, core, errors, log, printable, folders, settings,
                      settings/trust
commands              research, audit, contracts, daemon, adapters, trading, trading/ports, strategies, exchange, core,
                      errors, log, printable, folders, version, forecasters, settings, settings/children,
                      settings/trust
library               research, daemon, adapters, strategies, core, errors, forecasters/worker, forecasters/base,
                      forecasters/types, settings

# the evidence
research/compare      research, daemon, adapters, trading, trading/ports, strategies, exchange, core, errors, folders,
                      forecasters, settings, __init__
research/evaluate     research/report, research/forecasts, research/data, research/intervals, core, errors, printable,
                      folders, forecasters, settings
research/report       research/backtest, research/forecasts, research/data, research/intervals, adapters, core, errors,
                      folders, forecasters/types, settings
research/backtest     research/forecasts, research/data, research/intervals, daemon, adapters, trading, trading/ports,
                      strategies, exchange, core, errors, folders, forecasters, settings, settings/children
research/forecasts    research/data, research/intervals, daemon, core, errors, folders, forecasters, settings,
                      settings/children
research/data         research/intervals, adapters, exchange/market, core, errors, printable, folders,
                      forecasters/types, settings
research/intervals

# the second opinion: of the venue and the journal, with nothing of what they are checked against
audit                 bounded, errors

# what a strategy owes the daemon
contracts             adapters, strategies, core, forecasters/checks, forecasters/types, settings/children

# how it runs
daemon/app            daemon, adapters, trading, trading/ports, strategies, core, errors, log, folders,
                      forecasters/worker, forecasters/registry, forecasters/progress, forecasters/base, settings
daemon                adapters, trading, trading/ports, strategies, core, errors, log, folders,
                      forecasters/worker, forecasters/registry, forecasters/progress, forecasters/base, settings,
                      settings/children, settings/redaction, settings/trust

# the world
adapters              trading/ports, core, bounded, printable, errors, forecasters/types, settings,
                      settings/redaction

# what it does
trading               trading/ports, core, errors, forecasters/types, forecasters/base
trading/ports         core, errors, forecasters/types
strategies            core, forecasters/types

# the simulated Alpaca
exchange/__main__     exchange/command
exchange/command      exchange/run, exchange/engine, core, settings, settings/trust
exchange/run          exchange/api, exchange/venue, exchange/ledger, exchange/market, exchange/engine, core, settings
exchange/api          exchange/venue, exchange/ledger, exchange/market, exchange/engine, core
exchange/venue        exchange/ledger, exchange/market, exchange/engine, core
exchange/ledger       exchange/market, exchange/engine, core
exchange/market       exchange/engine, core
exchange/engine       core

# the ground
core                  forecasters/types
bounded
errors
log                   printable, settings/redaction
printable
folders
version               settings/children
shipped
__init__

# bars in, distributions out
forecasters/backends  forecasters, settings, settings/trust
forecasters/toto      forecasters/kronos, forecasters/compiled, forecasters/card, forecasters/options,
                      forecasters/progress, forecasters/deadline, forecasters/base, forecasters/types,
                      forecasters/errors, settings/children, settings/trust
forecasters/kronos    forecasters/compiled, forecasters/card, forecasters/options, forecasters/progress,
                      forecasters/deadline, forecasters/base, forecasters/types, forecasters/errors,
                      settings/children, settings/trust
forecasters/contract  forecasters/worker, forecasters/registry, forecasters/options, forecasters/checks,
                      forecasters/made, forecasters/base, forecasters/types, forecasters/errors
forecasters/worker    forecasters/registry, forecasters/compiled, forecasters/card, forecasters/options,
                      forecasters/progress, forecasters/deadline, forecasters/base, forecasters/types,
                      forecasters/errors, settings/children, settings/trust
forecasters/registry  forecasters/compiled, forecasters/options, forecasters/base, forecasters/types, forecasters/errors
forecasters/compiled  forecasters/options, forecasters/progress, forecasters/deadline, forecasters/base,
                      forecasters/types, forecasters/errors, settings/trust
forecasters/made      forecasters/types, forecasters/errors
forecasters/options   forecasters/card, forecasters/base, forecasters/errors, settings
forecasters/card      forecasters/base, forecasters/errors, settings/trust
forecasters/progress
forecasters/deadline
forecasters/checks
forecasters/base      forecasters/types, forecasters/errors
forecasters/types     forecasters/errors
forecasters/errors

settings              settings/children, settings/redaction, settings/trust
settings/children     settings/own_memory, settings/trust
settings/own_memory
settings/redaction
settings/trust
"""
# A folder of rooms is none itself: what its __init__ may hold is a docstring.
FOLDERS = ("trader.research", "trader.exchange", "forecasters")

# Packages from elsewhere that a room may use, where the list is short enough to be a rule.
THIRD_PARTY = {
    "core": {"numpy"},
    "strategies": {"numpy", "pydantic"},
    "trading/ports": set[str](),
    "errors": set[str](),
    "settings": {"pydantic", "pydantic_core", "pydantic_settings", "dotenv"},
    "forecasters": {"numpy", "pandas", "pydantic", "torch", "safetensors", "huggingface_hub", "triton"},
}
IMPURE = {"time", "random", "secrets", "uuid", "logging", "os", "io", "pathlib", "socket", "subprocess", "threading"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    module: str
    line: int
    in_function: bool


def table_of(text: str) -> dict[str, tuple[str, ...]]:
    """Each room's arrows, in the order of the rows."""
    rows: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        room = line.split()[0] if not line.startswith(" ") else list(rows)[-1]
        arrows = line.removeprefix(room).replace(",", " ").split()
        rows[room] = (*rows.get(room, ()), *arrows)
    return rows


TABLE = table_of(HOUSE)


def expanded(room: str, arrow: str) -> list[str]:
    """The rooms below that an arrow leads to: one, or those of a folder."""
    names = list(TABLE)
    if arrow in TABLE:
        return [arrow]
    return [name for name in names[names.index(room) + 1 :] if name.startswith(f"{arrow}/")]


ALLOWED = {room: {target for arrow in arrows for target in expanded(room, arrow)} for room, arrows in TABLE.items()}


def module_of(room: str) -> str:
    """The dotted name that a room's modules begin with."""
    if room == "__init__":
        return "trader"
    return room.replace("/", ".") if room.partition("/")[0] in OURS else f"trader.{room.replace('/', '.')}"


def modules() -> dict[str, Path]:
    """Every module of ours by its dotted name."""
    paths: dict[str, Path] = {}
    for package in OURS:
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            paths[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return paths


MODULES = modules()


def within(module: str, prefixes: Sequence[str]) -> bool:
    return any(module == prefix or module.startswith(f"{prefix}.") for prefix in prefixes)


@cache
def room_of(module: str) -> str | None:
    """None for what stands loose."""
    if module == "trader":
        return "__init__"
    fitting = [room for room in TABLE if room != "__init__" and within(module, [module_of(room)])]
    return max(fitting, key=len, default=None)


@cache
def imports(module: str) -> tuple[Import, ...]:
    return tuple(imports_of(module, MODULES[module]))


def imports_of(module: str, path: Path) -> Iterator[Import]:
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


def circles(arrows: Mapping[str, set[str]]) -> list[list[str]]:
    """What remains when again and again each is taken away that nothing remaining uses, or that uses nothing there."""
    left = set(arrows)
    while True:
        used = {target for name in left for target in arrows[name] & left}
        inside = {name for name in left & used if arrows[name] & left}
        if inside == left:
            return [sorted(left)] if left else []
        left = inside


def wrong_arrows(module: str, found: Sequence[Import]) -> list[str]:
    """The imports of a module that its room has no arrow for."""
    room = room_of(module)
    assert room is not None, f"{module} stands in no room: move it into one, or give it a row of the table"
    wrong = []
    for imported in found:
        root = imported.module.partition(".")[0]
        if root in OURS:
            target = room_of(imported.module)
            fits = target == room or target in ALLOWED[room] or imported.module in FOLDERS
        else:
            own = THIRD_PARTY.get(room, THIRD_PARTY.get(room.partition("/")[0], {root}))
            fits = root in sys.stdlib_module_names or root in own
        if not fits:
            wrong.append(f"line {imported.line}: {imported.module}")
    return wrong


# ---- the table itself ----


def test_the_tables_arrows_all_point_down() -> None:
    places = {room: place for place, room in enumerate(TABLE)}
    unknown = [f"{room} -> {arrow}" for room, arrows in TABLE.items() for arrow in arrows if not expanded(room, arrow)]
    assert not unknown, "these arrows lead to no row below"
    upward = [f"{room} -> {to}" for room, targets in ALLOWED.items() for to in targets if places[to] <= places[room]]
    assert not upward


def test_every_row_of_the_table_is_a_folder_or_a_file() -> None:
    assert not [room for room in TABLE if module_of(room) not in MODULES]


def test_every_file_stands_in_a_room_of_the_table() -> None:
    loose = [name for name in MODULES if room_of(name) is None and name not in FOLDERS]
    assert not loose, "move these into a room, or give each a row of the table, here and in docs/architecture.md"


def test_a_loose_file_stands_in_no_room() -> None:
    assert room_of("trader.helpers") is None
    assert room_of("trader.research.helpers") is None


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_of_rooms_holds_nothing_itself(folder: str) -> None:
    assert not [found.module for found in imports(folder) if found.module.partition(".")[0] in OURS]


# ---- the code against the table ----


@pytest.mark.parametrize("module", sorted(set(MODULES) - set(FOLDERS)))
def test_a_module_imports_only_what_its_room_may(module: str) -> None:
    wrong = wrong_arrows(module, imports(module))
    room = room_of(module)
    assert not wrong, f"{module} stands in {room}, which may use {TABLE[room or '']} of ours"


def test_an_import_upwards_or_of_a_strange_package_is_found(tmp_path: Path) -> None:
    path = tmp_path / "made_up.py"
    path.write_text(
        "from typing import TYPE_CHECKING\n"
        "import pandas\n"
        "from trader.core.types import Symbol\n"
        "if TYPE_CHECKING:\n"
        "    from trader.trading.cycle import Trader\n"
        "def late():\n"
        "    from trader.core import plan\n"
        "    import trader.adapters.clock\n"
    )
    wrong = wrong_arrows("trader.core.made_up", list(imports_of("trader.core.made_up", path)))
    assert wrong == ["line 2: pandas", "line 5: trader.trading.cycle", "line 8: trader.adapters.clock"]


def test_no_files_import_each_other_in_a_circle() -> None:
    """Of one room, too: a circle is one file in two pieces."""
    arrows = {name: {found.module for found in imports(name)} & set(MODULES) - {name} for name in MODULES}
    assert circles(arrows) == []


def test_a_circle_is_found() -> None:
    chain = {"a": {"b"}, "b": {"c"}, "c": set[str]()}
    assert circles(chain) == []
    assert circles(chain | {"c": {"a"}}) == [["a", "b", "c"]]


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
