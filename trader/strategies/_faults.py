"""What is wrong with somebody's strategy, in one line that says where."""

from __future__ import annotations

from traceback import walk_tb


def described(error: BaseException, file: str) -> str:
    """`broken.py, line 1: expected ':'`. The line is the deepest one in `file`, else the one that raised."""
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"{_base(error.filename)}, line {error.lineno}: {error.msg}"
    places = [(frame.f_code.co_filename, line) for frame, line in walk_tb(error.__traceback__)]
    text = " ".join(str(error).split())
    what = f"{type(error).__name__}: {text}" if text else type(error).__name__
    if not places:
        return what
    path, line = next((place for place in reversed(places) if place[0] == file), places[-1])
    return f"{_base(path)}, line {line}: {what}"


def _base(path: str) -> str:
    return path.rpartition("/")[2]
