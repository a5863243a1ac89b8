"""Asks pip-audit for known holes in what the lock names: `make audit`. Nothing is installed or resolved for it.

Exit 0 without any, 1 with some, 75 where nothing is known because its service can't be reached.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
UNREACHED = 75  # EX_TEMPFAIL: the same may work later, or elsewhere


def main(words: list[str]) -> int:
    command = [sys.executable, "-m", "pip_audit", "--require-hashes", "--disable-pip", "--progress-spinner", "off"]
    lock = str(ROOT / "constraints.txt")
    done = subprocess.run([*command, "-r", lock, "--format", "json", *words], capture_output=True, text=True)
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        found = []
    asked = [package for package in found if "skip_reason" not in package]
    if not asked:  # a package index may serve files and know nothing of holes; pip-audit calls that "none known"
        why = (found[0]["skip_reason"] if found else done.stderr.strip().rpartition("\n")[2]) or "it said nothing"
        print(f"audit: nothing is known: the service of pip-audit was not reached ({why:.200})", file=sys.stderr)
        return UNREACHED
    return _told(asked, len(found) - len(asked))


def _told(asked: list[dict[str, Any]], skipped: int) -> int:
    holes = [(package, hole) for package in asked for hole in package["vulns"]]
    for package, hole in holes:
        better = ", ".join(hole["fix_versions"]) or "none yet"
        print(f"{package['name']} {package['version']}: {hole['id']}, right in: {better}")
    print(
        f"audit: {len(holes)} known holes in {len(asked)} packages"
        + (f", {skipped} not asked about" if skipped else "")
    )
    return 1 if holes else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
