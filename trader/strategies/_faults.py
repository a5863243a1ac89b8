"""What is wrong with somebody's strategy, in one line that says where."""

from __future__ import annotations

import traceback
from pathlib import Path


def described(error: BaseException, file: str) -> str:
    """`broken.py, line 1: expected ':'`. The line is the deepest one in `file`, else the one that raised."""
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"{Path(error.filename).name}, line {error.lineno}: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    place = next((frame for frame in reversed(frames) if frame.filename == file), frames[-1] if frames else None)
    text = " ".join(str(error).split())
    what = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return what if place is None else f"{Path(place.filename).name}, line {place.lineno}: {what}"
