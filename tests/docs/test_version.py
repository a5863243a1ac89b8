"""`trader --version`: one number, from pyproject.toml, and the commit of a checkout."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

from click.testing import CliRunner

from tests.docs.pages import ROOT
from trader.cli import cli
from trader.commands.version import commit_of


def test_the_version_is_the_projects() -> None:
    number = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    answer = CliRunner().invoke(cli, ["--version"])
    assert answer.exit_code == 0
    assert answer.output.split()[:2] == ["trader", number]


def test_a_checkout_adds_its_commit_and_another_folder_none(tmp_path: Path) -> None:
    assert commit_of(tmp_path) == ""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=Anna", "-c", "user.email=anna@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    assert commit_of(tmp_path) == ""  # nothing is committed yet
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    whole = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert commit_of(tmp_path)
    assert whole.startswith(commit_of(tmp_path))
