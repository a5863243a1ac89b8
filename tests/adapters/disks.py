"""A disk that is small and can be filled, of the test's own."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def small_disk(at: Path, mib: int) -> Iterator[Path]:
    """A new folder `at` on a disk of that size, gone afterwards. Skips the test where none can be mounted."""
    at.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=700", "tmpfs", str(at)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a full disk needs the right to mount one")
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)


def fill(folder: Path) -> Path:
    """To the last byte, whatever is there of it already."""
    filler = folder / "filler"
    with open(filler, "ab", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 4096):
            pass
    return filler
