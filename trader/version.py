"""The program's version, which pyproject.toml alone says; run from a git checkout, with the commit."""

from __future__ import annotations

import subprocess
from importlib.metadata import version
from pathlib import Path

from settings import children

_ROOT = Path(__file__).resolve().parents[1]


def described(root: Path = _ROOT) -> str:
    """Like `0.1.0`, or `0.1.0 (commit 1a2b3c4d5e6f, changed)` in a checkout, whatever git says of it.

    root  the folder that the packages lie in
    """
    said = _git(root, "describe", "--always", "--dirty=, changed", "--abbrev=12", "--exclude=*")
    return version("trader") + (f" (commit {said})" if said else "")


def _git(root: Path, *words: str) -> str:
    """What git answers; empty without git, and where `root` is no checkout of its own."""
    if not (root / ".git").exists():  # a wheel inside somebody's repository is no part of it
        return ""
    try:
        done = children.run(["git", "-C", str(root), *words], timeout_s=5)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
