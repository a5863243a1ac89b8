"""A hash of files, over their names and contents: of a checkpoint's weights, of a backend's code."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from forecasters.base import ForecastError


def hash_of_files(files: Iterable[Path]) -> str:
    """Raises ForecastError where one can't be read, or is none: a device or a pipe would never end."""
    digest = hashlib.blake2b(digest_size=16)
    for file in sorted(files):
        digest.update(file.name.encode() + b"\0")
        try:
            with open(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as opened:
                if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                    raise ForecastError(f"{file} can't be read: it is no file")
                digest.update(hashlib.file_digest(opened, "sha256").digest())
        except OSError as error:
            raise ForecastError(f"{file} can't be read: {error.strerror}") from error
    return digest.hexdigest()
