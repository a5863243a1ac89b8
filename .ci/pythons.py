"""The suite's quick part on every Python that this machine has and the package allows: `make pythons`.

Looked for by name: on the PATH (Debian's), among pyenv's versions, and among those that uv manages. The version that
.venv has runs in .venv, with torch. Each other one gets an environment of its own under .venv/pythons, without torch
unless `--models` is given: its tests say there that they skip.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
OLDEST, NEWEST = 11, 19
KEPT_BY = (Path.home() / ".pyenv/versions", Path.home() / ".local/share/uv/python")
# Left out: what needs torch, what is about a machine's speed, and what plays whole days of trading.
NOT_QUICK = (
    *("forecasters/kronos", "forecasters/toto", "bench", "faults", "e2e"),
    *("research/backtest", "research/compare"),
)


def main(words: list[str]) -> int:
    models = "--models" in words
    rest = [word for word in words if word != "--models"]
    failed = []
    found = interpreters()
    print("pythons: " + ", ".join(f"{version} ({path})" for version, path in found.items()), flush=True)
    for version, path in found.items():
        outcome = _tested(version, path, models, rest)
        print(f"pythons: {version} ({path}): {outcome or 'passed'}", flush=True)
        failed += [version] if outcome else []
    print(f"pythons: {len(found) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


def interpreters() -> dict[str, Path]:
    """One of each minor version, the first that works: 3.12 -> its path."""
    found: dict[str, Path] = {}
    for minor in range(OLDEST, NEWEST + 1):
        name = f"python3.{minor}"
        places = [Path(place) for place in (shutil.which(name),) if place]
        places += [path for folder in KEPT_BY for path in sorted(folder.glob(f"*/bin/{name}"), reverse=True)]
        for path in places:
            if _version(path) == f"3.{minor}":
                found[f"3.{minor}"] = path
                break
    return found


def _version(path: Path) -> str:
    """Empty where it does not run: pyenv has a stand-in on the PATH for versions that are not chosen."""
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True)
    except OSError:
        return ""
    told = re.match(r"Python (\d+\.\d+)", done.stdout)
    return told[1] if told and done.returncode == 0 else ""


def _tested(version: str, path: Path, models: bool, words: list[str]) -> str:
    """Empty where all is well."""
    environment = VENV
    if _version(VENV / "bin/python") != version:
        environment = VENV / "pythons" / version
        environment.parent.mkdir(exist_ok=True)
        sets = ["base", "postgres", "research", "dev", *(["models"] if models else [])]
        into = {**os.environ, "INSTALL_INTO": str(environment)}
        if subprocess.run([path, str(ROOT / ".ci/install.py"), *sets], env=into).returncode:
            return "could not be installed"
    ignored = [f"--ignore=tests/{name}" for name in NOT_QUICK]
    marks = ["-m", "not slow and not parity", "--dist", "loadfile"]
    command = [str(environment / "bin/python"), "-m", "pytest", "-q", *marks, *ignored, *words]
    return "failed" if subprocess.run(command, cwd=ROOT).returncode else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
