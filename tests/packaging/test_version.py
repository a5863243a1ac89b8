"""What the program says of its version."""

from __future__ import annotations

import subprocess
from importlib.metadata import version
from pathlib import Path

from trader.version import described


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=anna", "-c", "user.email=anna@example.org")
    done = subprocess.run(["git", "-C", folder, *identity, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_in_a_checkout_the_commit_is_said_and_whether_anything_was_changed(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "file").write_text("1")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-qm", "first")
    git(tmp_path, "tag", "v9")  # the version is pyproject's alone
    commit = git(tmp_path, "rev-parse", "--short=12", "HEAD")
    assert described(tmp_path) == f"{version('trader')} (commit {commit})"
    (tmp_path / "file").write_text("2")
    assert described(tmp_path) == f"{version('trader')} (commit {commit}, changed)"


def test_elsewhere_it_is_the_version_alone_even_inside_somebodys_repository(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "inside").mkdir()
    assert described(tmp_path / "inside") == version("trader")
