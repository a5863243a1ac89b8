"""Runs the code blocks of a page, in their order, in a folder that looks like a checkout to whoever reads along.

The files of the program are links to the real ones, so a page may add its own beside them (a strategy, a test).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from tests.docs.pages import ROOT, Block
from tests.forecasters.support import bars, hours

LINKED = ("trader", "forecasters", "settings", "tests")
COPIED = (".env.example", ".env.compile", "pyproject.toml", "Makefile", "README.md")  # what a command might write to
TIMEOUT_S = 400
BARS = 700
# Every command begins with a settings-free environment: what the tests' own machine has set is none of a reader's.
KEPT = ("LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH")


def checkout(folder: Path) -> Path:
    """A checkout in `folder`, with two files of bars that pages speak of as the reader's own."""
    for name in LINKED:
        for source in (ROOT / name).rglob("*"):
            # A folder that is itself a link (the units for systemd) is one here, too; the others are made as needed.
            # What is compiled already as well: it holds for whatever has the same time and size.
            if source.is_file() or source.is_symlink():
                place = folder / source.relative_to(ROOT)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.symlink_to(source)
    for name in COPIED:
        (folder / name).write_bytes((ROOT / name).read_bytes())
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "bars.parquet").write_bytes(table(seed=7, last_close=60_000.0).to_parquet(index=False))
    (folder / "eth.parquet").write_bytes(table(seed=8, last_close=3_000.0).to_parquet(index=False))
    (folder / "bars.csv").write_text(table(seed=7, last_close=60_000.0).to_csv(index=False))
    return folder


def table(*, seed: int, last_close: float) -> pd.DataFrame:
    """Hours of a random walk, as a file of bars has them."""
    made = pd.DataFrame(
        bars(BARS, seed=seed, last_close=last_close, volatility=0.004).round(2)[:, :5],
        columns=["open", "high", "low", "close", "volume"],
    )
    made["high"], made["low"] = made.iloc[:, :4].max(axis=1), made.iloc[:, :4].min(axis=1)
    made.insert(0, "timestamp", pd.to_datetime(hours(BARS), utc=True))
    return made


def run(block: Block, folder: Path) -> subprocess.CompletedProcess[str]:
    """A shell block in bash, which stops at the first failure; a Python block in an interpreter of its own."""
    if block.language == "python":
        command = [sys.executable, "-c", block.text]
    else:
        command = ["bash", "-euo", "pipefail", "-c", block.text]
    return subprocess.run(
        command,
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=TIMEOUT_S,
        check=False,
    )


def environment(folder: Path) -> Mapping[str, str]:
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return kept | {
        "PATH": f"{folder}/.venv/bin:{os.environ['PATH']}",
        "PYTHONPATH": str(folder),
        "HOME": str(folder / "home"),
        "STATE_DIR": str(folder / "state"),
        "COLUMNS": "110",
        "OMP_NUM_THREADS": "1",
    }
