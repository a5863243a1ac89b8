"""The examples in docs/examples, as a stranger meets them: every command of their READMEs, in an installed program."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.examples.installed import ROOT, Installed, install

EXAMPLES = ROOT / "docs" / "examples"
SMALLER = {"backend_lightgbm": {"OPTIONS__LIGHTGBM__TREES": "3"}}
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NEEDS = {"backend_lightgbm": "lightgbm", "strategy_breakout": "matplotlib"}
# a walk is many starts of the program, and on a busy machine each takes its time
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return install(tmp_path_factory.mktemp("installed"))


@pytest.fixture(params=sorted(path.parent.name for path in EXAMPLES.glob("*/pyproject.toml")))
def example(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy, so that nothing is written into the repository."""
    needed = NEEDS[request.param]
    if importlib.util.find_spec(needed) is None:
        pytest.skip(f"{needed} is not installed: {request.param} can't be shown")
    ours = shutil.ignore_patterns("*.egg-info", "__pycache__", "build")
    return shutil.copytree(EXAMPLES / request.param, tmp_path / request.param, ignore=ours)


def commands(readme: Path) -> Iterator[str]:
    for block in BLOCK.findall(readme.read_text()):
        yield from block.strip().splitlines()


def test_every_command_of_its_readme_runs(program: Installed, example: Path) -> None:
    walk = list(commands(example / "README.md"))
    assert any(command.startswith("pip install") for command in walk)
    assert any(command.startswith(("trader backtest", "trader evaluate")) for command in walk)
    for command in walk:
        done = program.run(command, example, **SMALLER.get(example.name, {}))
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


@pytest.mark.parametrize(
    "example",
    [pytest.param("backend_lightgbm", marks=pytest.mark.slow), "strategy_breakout"],  # each reads numpy's and ours anew
    indirect=True,
)
def test_it_is_typed_against_the_installed_program(program: Installed, example: Path) -> None:
    """py.typed is in the wheel, or mypy knows nothing of what is imported and says so."""
    package = next(path.parent.name for path in example.glob("*/__init__.py"))
    command = f"python -m mypy --strict --cache-dir {program.home / 'mypy'} {package}"
    done = program.run(command, example)
    assert done.returncode == 0, done.stdout + done.stderr
    wrong = example / "wrong.py"
    wrong.write_text("from trader.core.types import Symbol\n\nname: int = Symbol('BTC/USD').text\n")
    assert "Incompatible types" in program.run(command.replace(package, wrong.name), example).stdout


def test_the_notebook_runs_from_its_first_cell_to_its_last(tmp_path: Path) -> None:
    environment = {**os.environ, "STATE_DIR": str(tmp_path / "state"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(EXAMPLES / "notebook.py")]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "books sound: True" in done.stdout
    assert "INCONCLUSIVE" in done.stdout
    assert "20240123T000000Z-trade" in done.stdout
