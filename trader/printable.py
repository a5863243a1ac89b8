"""What is shown to a person, made harmless: nothing in it can move the cursor, begin a line or turn the text round.

The venue's messages, symbols, order ids, names in files and what a backend says may hold anything. Where they meet a
terminal or a log, and nowhere else, they pass through here: `printable` for one line's parts, `guard` for the streams.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:
    from rich.console import Console

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"  # one column wide, as a picture laid out before needs it


def printable(text: str) -> str:
    """As one line: controls (C0, C1), newlines, marks of direction and half characters as escapes, `\\x1b`."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else _escaped(letter) for letter in text)


def printable_json(line: str) -> str:
    """The same for a line of JSON, which stays JSON of the same content."""
    if line.isprintable():
        return line
    return "".join(letter if letter.isprintable() else json.dumps(letter)[1:-1] for letter in line)


def printable_lines(text: str, kept: str = "\n\t") -> str:
    """The same for a text of several lines that are ours."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter in kept else _escaped(letter) for letter in text)


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode()


class Guarded:
    """A text stream that lets through what is printable, our ends of lines, and a leading \\r of a line of progress."""

    def __init__(self, stream: TextIO) -> None:
        self.unguarded = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unguarded, name)

    def write(self, text: str) -> int:
        start = 1 if text.startswith("\r") else 0
        self.unguarded.write(text[:start] + printable_lines(text[start:]))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)


def guard() -> None:
    """Make the standard output and the standard error of this process such streams."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, Guarded):
            setattr(sys, name, cast(TextIO, Guarded(stream)))


def unguarded(stream: TextIO) -> TextIO:
    """The stream itself, for who writes the terminal's own codes, and looks after the texts between them."""
    found: TextIO = getattr(stream, "unguarded", stream)
    return found


def console(stream: TextIO | None = None, **options: Any) -> Console:
    """rich's console on a stream, the standard output where None: its own codes get out, those of a text do not."""
    from rich.console import Console
    from rich.segment import Segment

    class Printable(Console):
        def _render_buffer(self, buffer: Iterable[Segment]) -> str:
            return super()._render_buffer(map(_harmless, buffer))

    def _harmless(segment: Segment) -> Segment:
        text, style, control = segment
        if control or text.isprintable():
            return segment
        return Segment("".join(c if c.isprintable() or c == "\n" else _REPLACEMENT for c in text), style)

    return Printable(file=unguarded(sys.stdout if stream is None else stream), **options)
