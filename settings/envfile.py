"""Reads NAME=VALUE files the strict way: only what a shell, python-dotenv and systemd all read alike.

The three disagree on `export`, on comments after a value, on dollars, backslashes and blanks. A line on which they
would disagree is refused with its number, so that the same file means the same however the daemon is started.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from settings.errors import SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One assignment. `fault` says what is wrong with how it is written; the value is then empty."""

    number: int
    name: str
    value: str
    fault: str = ""


_LINE = re.compile(r"[ \t]*(?P<export>export\s+)?(?P<name>[A-Za-z_]\w*)(?P<equals>\s*=[ \t]*)?(?P<value>.*)", re.ASCII)
_SINGLE = re.compile(r"'([^'\\]*)'")
_DOUBLE = re.compile(r'"([^"\\$`]*)"')
_PLAIN = re.compile(r"(?!~)[^\s'\"$`\\#;&|<>()!]*")


def read(path: Path) -> list[Line]:
    """The assignments of a file, in order; none where there is no such file. Raises SettingsError."""
    try:
        text = _bytes_of(path).decode("utf-8")
    except FileNotFoundError:
        return []
    except UnicodeDecodeError:
        raise SettingsError([f"{path}: is not UTF-8 text; right: save it as UTF-8"]) from None
    except OSError as error:
        raise SettingsError(
            [f"{path}: cannot be read ({error.strerror}); right: a file that this user may read"]
        ) from None
    if text.startswith("\ufeff"):
        raise SettingsError([f"{path}:1: begins with a byte order mark; right: UTF-8 without it"])
    lines = (_line(number, line) for number, line in enumerate(text.split("\n"), start=1))
    return [line for line in lines if line is not None]


def _bytes_of(path: Path) -> bytes:
    """All of a regular file, or of /dev/null. A pipe would be waited for and a device may have no end: neither is read,
    and a pipe is not even opened in a way that waits. Raises OSError, SettingsError."""
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        found = os.fstat(file.fileno())
        null = stat.S_ISCHR(found.st_mode) and found.st_rdev == os.stat(os.devnull).st_rdev
        if not (stat.S_ISREG(found.st_mode) or null):
            raise SettingsError([f"{path}: is not a regular file; right: a file of NAME=VALUE lines, or none at all"])
        return file.read()


def _line(number: int, text: str) -> Line | None:
    match = _LINE.fullmatch(text.rstrip(" \t"))
    if match is None:  # blank, a comment, or nothing that could be an assignment
        return None
    name, equals, raw = match["name"], match["equals"], match["value"]
    value = _value(raw)
    if equals is None:
        fault = "is not followed by =VALUE"
    elif match["export"]:
        fault = "has export before it, which systemd does not know; right: NAME=VALUE alone"
    elif equals != "=":
        fault = "has blanks around its =; right: NAME=VALUE without them"
    elif value is None:
        fault = _fault(raw)
    else:
        fault = ""
    return Line(number=number, name=name, value="" if fault or value is None else value, fault=fault)


def _value(raw: str) -> str | None:
    if _PLAIN.fullmatch(raw):
        return raw
    quoted = _SINGLE.fullmatch(raw) or _DOUBLE.fullmatch(raw)
    return quoted[1] if quoted else None


def _fault(raw: str) -> str:
    if raw.endswith("\r"):
        return "ends with a carriage return; right: lines that end as on Linux"
    if re.search(r"\s#", raw):
        return "has a comment after its value; right: the comment on a line of its own"
    return "has a value that a shell and systemd read differently; right: plain text, or put it between single quotes"
