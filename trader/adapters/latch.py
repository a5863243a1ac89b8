"""A latch: `killed` or `halted` in a file beside the journal, for when the journal can't be written.

A running daemon reads it in every run of its positions job, and every start reads it. It holds until `resume`. A file
that can't be read counts as `killed`: whoever wrote it wanted the trading to stop.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

NAMES = ("killed", "halted")
LONGEST_REASON = 500


class Latch:
    """One file for a mode in STATE_DIR. Any process of its owner may set it; only `clear` takes it away."""

    def __init__(self, folder: Path, mode: str) -> None:
        self.path = folder / f"latch-{mode}.json"
        self._stamp: tuple[int, int, int] | None = None  # of the file as it was read last
        self._read: Mapping[str, str] = {}

    def set(self, name: str, reason: str, at: datetime) -> None:
        """On disk when this returns. What is latched already stays. Raises OSError."""
        assert name in NAMES
        content = {**self.read(), name: f"{reason[:LONGEST_REASON]} (latched {at:%Y-%m-%d %H:%M:%S}Z)"}
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # a name of its own for each writer: two that write at once must not mix their bytes
        draft = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.path)
        sync_folder(self.path.parent)

    def read(self) -> Mapping[str, str]:
        """What is latched, with its reason. Nothing is opened while the file stays the same one."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            self._stamp, self._read = None, {}
            return self._read
        except OSError as error:
            return {"killed": f"the latch {self.path} can't be looked at: {error.strerror}"}
        stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
        if stamp != self._stamp:
            self._read, self._stamp = _content(self.path), stamp
        return self._read

    def clear(self) -> None:
        """Raises OSError."""
        self.path.unlink(missing_ok=True)
        self._stamp, self._read = None, {}


def _content(path: Path) -> Mapping[str, str]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        return {"killed": f"the latch {path} can't be read: {type(error).__name__}"}
    latched = {name: content[name] for name in NAMES if isinstance(content, dict) and content.get(name)}
    if not latched or not all(isinstance(reason, str) for reason in latched.values()):
        return {"killed": f"the latch {path} says nothing that is known"}
    return latched


def sync_folder(folder: Path) -> None:
    """A new name in it, too, outlives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
