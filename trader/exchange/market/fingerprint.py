"""What a market is, in thirty-two digits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from trader.core.types import Symbol


def fingerprint_of(parts: Sequence[object], files: Iterable[tuple[Symbol, Path]]) -> str:
    """Of the parts as text and the files' contents, not of where they lie."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update("|".join(map(str, parts)).encode())
    for symbol, path in files:
        digest.update(f"|{symbol}|{_content(path)}|{path.stem.endswith('__tick')}".encode())
    return digest.hexdigest()


def _content(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "blake2b").hexdigest()
