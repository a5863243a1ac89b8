"""A file that is there while something dangerous runs: generated code that crashes takes its process with it.

The process that comes next finds the file of the one that died and knows what it died of, or at least in. Only a
process that noted that it was sent away, by SIGHUP, is beyond suspicion: the kernel sends it when the parent ends, and
the parent when it stops. Any other end leaves no note, whatever it was.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

_BOOT = Path("/proc/sys/kernel/random/boot_id")

_log = logging.getLogger(__name__)


class Marker:
    """One file a process, `name`-PID in `folder`. A folder that can't be written costs the knowledge, nothing else."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._file = folder / f"{name}-{os.getpid()}"

    def left_behind(self) -> str:
        """What earlier processes left, in words, and removed; empty where nothing.

        To be killed by a reboot, or sent away with the parent, is no crime.
        """
        dead = []
        with suppress(OSError):
            for file in sorted(self._folder.glob(f"{self._name}-*")):
                number = file.name.rpartition("-")[2]
                if not number.isdigit() or (file != self._file and _lives(number)):
                    continue
                boot, _, note = file.read_text(errors="replace").partition("\n")
                if boot == _boot() and not note:
                    dead.append(number)
                file.unlink()
        return f"process {dead[-1]} ended while it ran" if dead else ""

    @contextmanager
    def held(self) -> Iterator[None]:
        mark = None
        try:
            mark = self._begin()
            if mark is not None:
                # ends the process as ever, after where it was has been noted: from C, whatever holds the interpreter
                faulthandler.register(signal.SIGHUP, file=mark, all_threads=True, chain=True)
            yield
        finally:
            if mark is not None:
                faulthandler.unregister(signal.SIGHUP)
                mark.close()
            with suppress(OSError):  # also where a signal came between making it and knowing of it
                self._file.unlink()

    def _begin(self) -> IO[bytes] | None:
        """None where it could not be written."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            mark = self._file.open("wb", buffering=0)
            mark.write(f"{_boot()}\n".encode())
        except OSError as error:
            _log.debug("no mark in %s: %s", self._folder, error)
            return None
        return mark


def _lives(number: str) -> bool:
    """One that nobody has buried yet does not."""
    try:
        state = Path(f"/proc/{number}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in ("Z", "X")


def _boot() -> str:
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return "unknown"
