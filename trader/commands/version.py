"""`trader --version`: the version of the installed package, and the commit where it runs from a git checkout."""

from __future__ import annotations

import subprocess
from importlib.metadata import version
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_LONGEST_S = 5.0


def shown() -> str:
    """`0.1.0`, or `0.1.0 (1a2b3c4d)`; pyproject.toml is where the number comes from."""
    commit = commit_of(_ROOT)
    return version("trader") + (f" ({commit})" if commit else "")


def commit_of(folder: Path) -> str:
    """The short name of the commit that is checked out there; empty where that is no checkout, or git is missing."""
    if not (folder / ".git").exists():  # site-packages may lie inside somebody else's checkout
        return ""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "--short", "HEAD"],
            capture_output=True,
            text=True,
            check=False,
            timeout=_LONGEST_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
