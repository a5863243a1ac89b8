"""The sandbox of an ordinary user: it needs no privileges, and a program that would give some gives none."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from forecasters.worker.sandbox import kernel
from tests.security.second_user import STRANGER, as_another_user, public_folder

ROOT = Path(__file__).parents[2]
NEEDED = "import sys; sys.exit(sys.version_info < (3, 11))"
STARTS = """
import sys
from forecasters.worker.sandbox.policy import Sandbox, started
from settings import children
command, more = started([sys.executable, "-P", "-c", sys.argv[1]], Sandbox(), backend="x", options={}, fetches=True)
done = children.run(command, more={"PYTHONPATH": sys.argv[2], "PYTHONDONTWRITEBYTECODE": "1", **more})
print(done.stdout, done.stderr)
"""
TRIES = """
import os, subprocess
def became(attempt):
    try:
        attempt()
    except OSError as error:
        return "refused"
    return "done"
print(became(lambda: open(f"/proc/{os.getppid()}/environ").read()),
      became(lambda: os.kill(os.getppid(), 0)),
      became(lambda: open(os.path.expanduser("~/file"), "w")),
      became(lambda: open(os.path.join(os.environ["TMPDIR"], "file"), "w")))
lines = open("/proc/self/status").read().split("\\n")
print(*(line.split()[1] for line in lines if line.startswith(("NoNewPrivs", "CapEff"))))
"""
folder = pytest.fixture(public_folder)


@as_another_user
@pytest.mark.skipif(kernel.landlock_abi() < 6, reason="this kernel has no Landlock of ABI 6")
def test_an_ordinary_user_has_it_whole(folder: Path) -> None:
    python = shutil.which("python3", path="/usr/bin:/bin:/usr/local/bin")
    if python is None or subprocess.run([python, "-c", NEEDED], check=False).returncode:
        pytest.skip("no Python 3.11 that every user may run: this one's lies in a home")
    home = folder / "home"
    home.mkdir()
    os.chown(home, STRANGER, STRANGER)
    for name in ("forecasters", "settings"):
        shutil.copytree(ROOT / name, folder / "site" / name, ignore=shutil.ignore_patterns("__pycache__", "nano"))
    subprocess.run(["chmod", "-R", "go+rX", str(folder / "site")], check=True)
    words = ["setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups", python, "-P", "-c", STARTS]
    done = subprocess.run(
        [*words, TRIES, str(folder / "site")],
        cwd="/",
        env={"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(folder / "site")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["refused", "refused", "refused", "done", "0000000000000000", "1"], done.stderr
