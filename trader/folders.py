"""Folders and files that somebody chose, looked at before anything is done whose result is to lie there."""

from __future__ import annotations

import errno
import os
from pathlib import Path

RIGHT = "right: a folder that this user may write to"
_ROOT = 0


def unwritable(folder: Path) -> str:
    """Made where it is missing. Why nothing can be written there; "" where it can. A full disk is no reason."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return "" if os.access(folder, os.W_OK) else "can't be written to"
    except OSError as error:
        return error.strerror or str(error)


def put(path: Path, text: str) -> None:
    """The file's new contents. Raises OSError, also where another user's link lies in its place: it leads to what he
    could not write himself. Our own link and root's, as /dev/stdout, are followed."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        if os.lstat(path).st_uid not in (os.geteuid(), _ROOT):
            raise OSError(errno.ELOOP, "a link of another user lies there; right: rm it, or another file") from error
        descriptor = os.open(path, flags, 0o666)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
