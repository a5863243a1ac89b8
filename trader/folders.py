"""Folders that somebody chose, looked at before anything is done whose result is to lie there."""

from __future__ import annotations

import os
from pathlib import Path

RIGHT = "right: a folder that this user may write to"


def unwritable(folder: Path) -> str:
    """Made where it is missing. Why nothing can be written there; "" where it can. A full disk is no reason."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return "" if os.access(folder, os.W_OK) else "can't be written to"
    except OSError as error:
        return error.strerror or str(error)
