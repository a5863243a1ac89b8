"""What a finished simulation left is put aside, not deleted: its journal may be all that tells what it did."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

KEPT = 3  # a fast simulation writes a lot: more of them would fill a disk unseen


def put_aside(databases: Iterable[Path], shelf: Path) -> Path | None:
    """The new folder on `shelf` that they lie in, with their write-ahead logs; None where there are none.

    They are moved in their order. The oldest folders beyond KEPT are deleted. Raises OSError.
    """
    files = [found for path in databases for suffix in ("", "-wal", "-shm") if (found := _with(path, suffix)).exists()]
    if not files:
        return None
    for file in files:
        if file.is_dir():  # a person's, and not for us to move
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(file))
    folder = shelf / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
    folder.mkdir(parents=True, mode=0o700)
    for file in files:
        shutil.move(file, folder / file.name)  # DATABASE_URL may name another disk
    for oldest in sorted(each for each in shelf.iterdir() if each.is_dir())[:-KEPT]:
        shutil.rmtree(oldest)
    return folder


def _with(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
