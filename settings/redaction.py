"""What must not be said: secrets, masked in a text wherever they stand, whole or in part.

Some libraries shorten what they log, so a part of a secret gets out where the whole of it would have been found: any
eight characters in a row of one are masked as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import quote

MASK = "**********"
PART = 8  # so many characters of a secret in a row are as good as the secret

Redactor = Callable[[str], str]


def redactor(secrets: Sequence[str]) -> Redactor:
    """A function that masks those texts, also as JSON, as Python source and in a URL. Longest first, then parts."""
    ordered = sorted({spelt for secret in secrets for spelt in _spellings(secret)}, key=len, reverse=True)
    pieces = {piece for secret in secrets for told in _telling(secret) for piece in _pieces(told)}

    def redact(text: str) -> str:
        for secret in ordered:
            if secret in text:
                text = text.replace(secret, MASK)
        return _without(text, pieces) if pieces else text

    return redact


def clean(text: str) -> str:
    """Without any secret of the settings that this process read last."""
    return _known(text)


def remember(secrets: Sequence[str]) -> None:
    """What `clean` masks from now on. Nothing short: it cleans data as well, and a word of it may be somebody's key."""
    global _known
    _known = redactor([secret for secret in secrets if len(secret) >= PART])


_known: Redactor = str


def _spellings(secret: str) -> set[str]:
    if not secret:
        return set()
    return {secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], quote(secret, safe=""), quote(secret)}


def _telling(secret: str) -> Iterator[str]:
    """Of an address only what nobody can guess: its host, and a path in plain words, stand in other texts as well."""
    if "://" not in secret:
        yield from _spellings(secret)
        return
    for word in re.split(r"[/?&=]+", secret.partition("://")[2].partition("/")[2]):
        if not word.isalpha() or not word.islower():
            yield from _spellings(word)


def _pieces(text: str) -> Iterator[str]:
    return (text[at : at + PART] for at in range(len(text) - PART + 1))


def _without(text: str, pieces: set[str]) -> str:
    found = [at for at in range(len(text) - PART + 1) if text[at : at + PART] in pieces]
    if not found:
        return text
    kept, done = [], 0
    for at in found:
        if at >= done:  # else it overlaps the one before: the same part goes on
            kept += [text[done:at], MASK]
        done = at + PART
    return "".join((*kept, text[done:]))
