"""A file that is there while something dangerous runs: generated code that crashes takes its process with it.

The process that comes next finds the file of the one that died and knows what it died of, or at least in.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")

_log = logging.getLogger(__name__)


class Marker:
    """One file a process, `name`-PID in `folder`. A folder that can't be written costs the knowledge, nothing else."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._file = folder / f"{name}-{os.getpid()}"

    def left_behind(self) -> str:
        """What earlier processes left, in words, and removed; empty where nothing. Killed by a reboot is no crime."""
        dead = []
        with suppress(OSError):
            for file in sorted(self._folder.glob(f"{self._name}-*")):
                number = file.name.rpartition("-")[2]
                if not number.isdigit() or (file != self._file and Path(f"/proc/{number}").exists()):
                    continue
                if file.read_text() == _boot():
                    dead.append(number)
                file.unlink()
        return f"process {dead[-1]} ended while it ran" if dead else ""

    @contextmanager
    def held(self) -> Iterator[None]:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file.write_text(_boot())
        except OSError as error:
            _log.debug("no mark in %s: %s", self._folder, error)
        try:
            yield
        finally:
            with suppress(OSError):
                self._file.unlink()


def _boot() -> str:
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return "unknown"
