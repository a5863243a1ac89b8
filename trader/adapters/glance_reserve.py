"""The reserve in words, for `status` and `check`, and the lines that it is made of. Loads nothing that takes time."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trader.adapters.ballast import MIB, Ballast


def described(folder: Path, mode: str, ballast_mib: int) -> str:
    """For a person. Makes nothing. Raises OSError."""
    ballast = Ballast(folder, mode, ballast_mib * MIB)
    files = sorted(folder.glob(f"reserve-{mode}-*"))
    waiting = sum("intent" in line for path in files for line in lines_of(path.read_bytes()))
    text = f"{ballast_mib} MiB are kept back"
    if not ballast_mib:
        text = "nothing is kept back (RESERVE_MB=0)"
    elif not ballast.is_whole():
        lacking = ballast.lacking()
        text += f", once {lacking // MIB + 1} MiB more are free: entries wait" if lacking else ", by the next run"
    return f"{text}; {waiting} exits wait for the journal" if waiting else text


def checked(text: bytes) -> bytes:
    """A line, with its checksum."""
    return b"%08x %s\n" % (zlib.crc32(text), text)


def lines_of(content: bytes) -> Iterator[dict[str, Any]]:
    """Those that are whole."""
    for line in content.split(b"\n"):
        checksum, _, text = line.strip(b"\0").partition(b" ")
        if text and checksum == b"%08x" % zlib.crc32(text):
            yield json.loads(text)
