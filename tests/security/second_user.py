"""Another user of this machine, who owns nothing of ours."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

STRANGER = 65534
CAN_BE_ANOTHER = os.geteuid() == 0 and shutil.which("setpriv") is not None
as_another_user = pytest.mark.skipif(not CAN_BE_ANOTHER, reason="only root, with setpriv, can be another user as well")


def by_stranger(script: str) -> None:
    """What that user does in a shell."""
    words = ["setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups", "sh", "-euc", script]
    subprocess.run(words, check=True, capture_output=True, cwd="/", env={"PATH": os.environ["PATH"]})


def seen_by_stranger(code: str, *arguments: object) -> list[str]:
    """The lines that his Python prints. It starts as us: he may not get to where that lies."""
    become = f"os.setgroups([]); os.setresgid(*[{STRANGER}] * 3); os.setresuid(*[{STRANGER}] * 3)"
    program = f"import encodings.idna, json, os, socket, sys, urllib.error, urllib.request\n{become}\n{code}"
    words = [sys.executable, "-P", "-c", program, *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, cwd="/", env={"PATH": "/"}, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def public_folder() -> Iterator[Path]:
    """Where everybody may write, as in /tmp. Short."""
    with tempfile.TemporaryDirectory(prefix="public-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o1777)
        yield folder
