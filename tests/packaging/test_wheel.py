"""The wheel alone, in an environment of its own and far from the checkout: what a person has who installed the package.

Its dependencies are borrowed from the environment of the tests, so that nothing is downloaded.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tomllib
import urllib.request
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("trader", "forecasters", "settings", "systemd", "docs")
TOP = ("pyproject.toml", "README.md", "LICENSE", ".env.example", ".env.compile")

pytestmark = pytest.mark.skipif(find_spec("build") is None, reason="the package `build` is not installed: make test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """An environment with the wheel, and an empty folder to be in."""

    environment: Path
    place: Path

    @property
    def program(self) -> Path:
        return self.environment / "bin" / "trader"

    def settings(self, **more: str) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("LANG", "OMP_NUM_THREADS") if name in os.environ}
        path = f"{self.environment / 'bin'}:/usr/bin:/bin"
        return {**kept, "PATH": path, "HOME": str(self.place), "STATE_DIR": str(self.place / "state"), **more}

    def run(self, *words: str, **more: str) -> str:
        """What a command says, where it ends well."""
        done = subprocess.run(
            [self.program, *words],
            env=self.settings(**more), cwd=self.place, capture_output=True, text=True, check=False, timeout=110,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
        return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: building leaves things beside the sources."""
    folder = tmp_path_factory.mktemp("build")
    copy = folder / "copy"
    copy.mkdir()
    for name in SOURCES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=ignored)
    for name in TOP:
        shutil.copy(ROOT / name, copy / name)
    done = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(copy)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    environment, place = tmp_path_factory.mktemp("environment") / "venv", tmp_path_factory.mktemp("elsewhere")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(environment / "bin/python"),
        "install",
        "--no-deps",
        "--no-index",
    ]
    subprocess.run([*pip, "-q", "--disable-pip-version-check", str(wheel)], check=True)
    (packages,) = environment.glob("lib/python3*/site-packages")
    # Named in a .pth, a folder's own .pth files count for nothing: the checkout stays out.
    borrowed = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "borrowed.pth").write_text("".join(f"{path}\n" for path in borrowed))
    it = Installed(environment=environment, place=place)
    where = "import trader, forecasters, settings; print(trader.__file__, forecasters.__file__, settings.__file__)"
    said = subprocess.run(
        [environment / "bin/python", "-c", where],
        env=it.settings(),
        cwd=place,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert all(path.startswith(str(packages)) for path in said.split()), said
    return it


@pytest.fixture
def bars(tmp_path: Path) -> Path:
    """Hours that wander a little, each from where the last one closed."""
    start, close = datetime(2024, 1, 1, tzinfo=UTC), [100 + 3 * math.sin(i / 5) + math.sin(i * 1.7) for i in range(601)]
    rows = ["time,open,high,low,close,volume"]
    for hour, (before, after) in enumerate(itertools.pairwise(close)):
        high, low = max(before, after) + 0.5, min(before, after) - 0.5
        rows.append(
            f"{start + timedelta(hours=hour):%Y-%m-%dT%H:%M:%SZ},{before:.2f},{high:.2f},{low:.2f},{after:.2f},10"
        )
    path = tmp_path / "bars.csv"
    path.write_text("\n".join(rows))
    return path


def test_every_file_of_the_packages_is_in_it_and_none_of_the_tests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    ours = {
        str(path.relative_to(ROOT))
        for package in ("trader", "forecasters", "settings")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert ours <= packed
    assert {f"trader/shipped/systemd/{path.name}" for path in (ROOT / "systemd").iterdir()} <= packed
    assert not [name for name in packed if name.startswith(("tests", "systemd"))]


def test_it_says_the_version_of_pyproject_and_no_commit(installed: Installed) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert installed.run("--version") == f"trader {version}\n"


def test_the_daemon_runs_and_its_status_can_be_read(installed: Installed) -> None:
    installed.run("run", "--mode", "sim", "--cycles", "2", "--speed", "max", "--plain")
    status = json.loads(installed.run("status", "--json"))
    assert (status["cycles"], status["errors"]) == (2, 0)


def test_the_exchange_serves(installed: Installed) -> None:
    with subprocess.Popen(
        [installed.program, "exchange", "--port", "0", "--with-parent"],
        env=installed.settings(), cwd=installed.place, stdout=subprocess.PIPE, text=True,
    ) as exchange:  # fmt: skip
        try:
            assert exchange.stdout is not None
            url = json.loads(exchange.stdout.readline())["trading_url"]
            keys = {"APCA-API-KEY-ID": "any", "APCA-API-SECRET-KEY": "key"}
            with urllib.request.urlopen(
                urllib.request.Request(f"{url}/v2/account", headers=keys), timeout=30
            ) as answer:
                assert json.load(answer)["cash"] == "100000"
        finally:
            exchange.send_signal(signal.SIGTERM)


def test_a_backtest_is_run_and_reported(installed: Installed, bars: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    installed.run("backtest", "--data", f"BTC/USD={bars}", "--cycles", "20", "--out", str(run))
    installed.run("report", str(run))
    (page,) = run.glob("*.html")
    assert "<svg" in page.read_text()


def test_a_backend_is_evaluated(installed: Installed, bars: Path) -> None:
    words = ("--data", f"BTC/USD={bars}", "--context", "60", "--origins", "6", "--no-timing", "--json")
    assert "baseline" in installed.run("evaluate", *words)


@pytest.mark.skipif(find_spec("torch") is None, reason="Kronos needs torch: make models")
def test_the_weights_that_come_along_forecast(installed: Installed, bars: Path) -> None:
    words = ("--forecaster", "kronos", "--data", str(bars), "--horizon", "2", "--json")
    told = json.loads(installed.run("forecast", "BTC/USD", *words))
    assert len(told["times"]) == 2
    assert "kronos-nano" in json.dumps(told)


def test_the_service_is_installed_from_what_the_package_brings(installed: Installed) -> None:
    said = installed.run("service", "install", "--mode", "paper", "--dry-run")
    assert f"    ExecStart={installed.program} run --mode %i" in said
    assert "write /etc/trader/.env.example (mode 0644)" in said
    assert "write /etc/trader/.env.compile (mode 0644)" in said
    (documentation,) = {line.strip() for line in said.splitlines() if line.startswith("    Documentation=")}
    assert Path(documentation.removeprefix("Documentation=file:")).is_relative_to(installed.environment)
    assert Path(documentation.removeprefix("Documentation=file:")).is_file()
    assert "/opt/trader" not in said.replace("in place of /opt/trader", "")
    assert str(ROOT) not in said


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_told_how_to_complete(installed: Installed, shell: str) -> None:
    if shell == "bash" and shutil.which("bash") is None:
        pytest.skip("there is no bash, whose version click asks for")
    assert "_TRADER_COMPLETE" in installed.run("completion", shell)
    found = installed.run(_TRADER_COMPLETE="bash_complete", COMP_WORDS="trader ba", COMP_CWORD="1")
    assert found.split() == ["plain,backends", "plain,backtest"]


def test_every_setting_is_explained(installed: Installed) -> None:
    assert installed.run("config", "example") == (ROOT / ".env.example").read_text()
