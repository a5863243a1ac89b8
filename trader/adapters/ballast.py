"""Room on the disk that is held back for the records of exits: given up when the disk is full, taken again later."""

from __future__ import annotations

import os
from pathlib import Path

MIB = 2**20
_CHUNK = MIB


class Ballast:
    """One file for a mode in STATE_DIR. A size of 0: there is none, and nothing is asked for."""

    def __init__(self, folder: Path, mode: str, size: int) -> None:
        self.path = folder / f"ballast-{mode}"
        self.size = size

    def is_whole(self) -> bool:
        try:
            return self.size == 0 or self.path.stat().st_size == self.size
        except OSError:
            return False

    def lacking(self) -> int:
        """Bytes that must become free before it is made: as much again stays free beside it."""
        try:
            found = os.statvfs(self.path.parent)
        except OSError:
            return 2 * self.size
        return max(2 * self.size - found.f_bavail * found.f_frsize, 0)

    def make(self) -> bool:
        """True where it is whole. Where there is too little room none of it is taken."""
        if self.is_whole():
            return True
        draft = self.path.with_name(f".{self.path.name}")
        try:
            self.path.unlink(missing_ok=True)  # of another size
            if self.lacking():
                return False
            with open(draft, "wb", buffering=0) as file:
                _fill(file.fileno(), self.size)
                os.fsync(file.fileno())
            draft.replace(self.path)
        except OSError:
            draft.unlink(missing_ok=True)
            return False
        return True

    def give_back(self) -> None:
        """To the file system, which has the room at once. Raises OSError."""
        self.path.unlink(missing_ok=True)


def _fill(descriptor: int, size: int) -> None:
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError:  # not there, or full: the writing says which
        for start in range(0, size, _CHUNK):
            os.write(descriptor, os.urandom(min(_CHUNK, size - start)))  # what can be packed would keep no room
