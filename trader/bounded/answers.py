"""An answer from elsewhere costs bounded memory and time: its bytes, what they unpack to, its values, its nesting.

1.5 MB of gzip can stand for 1.5 GB, and 16 MB of `[],[],[]` become half a gigabyte of lists. So all is counted before
it is made. What is beyond a bound is `Unreadable`, as is what is no JSON at all.
"""

from __future__ import annotations

import io
import json
import socket
import time
import zlib
from collections.abc import Callable
from http.client import HTTPResponse
from typing import Any

MOST_BYTES = 8 << 20  # of one answer, packed or not; the largest known, 10,000 quotes, take 2 MB
MOST_ERROR_BYTES = 256 << 10  # of one that says no
MOST_CONTAINERS = 100_000  # lists and objects of one answer: up to 200 bytes each, however short they are written
MOST_VALUES = 400_000
MOST_NESTED = 32
_GZIP = 31  # zlib's word for gzip's header and trailer


class Unreadable(ValueError):
    """It is more than anybody would send in earnest, or not what it says it is. One line."""


def gathered(read: Callable[[], bytes], most: int, give_up_at: float) -> bytes:
    """All that `read` gives, until it gives nothing. Raises Unreadable, and TimeoutError after `give_up_at`.

    give_up_at  on time.monotonic(): who sends a byte now and then satisfies every timeout of a socket
    """
    whole = bytearray()  # not a list of parts: an answer can come in millions of them
    while part := read():
        whole += part
        if len(whole) > most:
            raise Unreadable(f"an answer of more than {most} bytes")
        if time.monotonic() > give_up_at:
            raise TimeoutError("no complete answer in time")
    return bytes(whole)


def unpacked(body: bytes, encoding: str, most: int) -> bytes:
    """The content of a body, at most `most` bytes. Raises Unreadable."""
    if encoding in ("", "identity"):
        return body
    if encoding != "gzip":
        raise Unreadable(f"packed as {encoding[:20]!r}, which was not asked for")
    unpacker = zlib.decompressobj(_GZIP)
    try:
        content = unpacker.decompress(body, most + 1)
    except zlib.error as error:
        raise Unreadable(f"not gzip: {error}") from error
    if len(content) > most:
        raise Unreadable(f"an answer that unpacks to more than {most} bytes")
    if not unpacker.eof:
        raise Unreadable("gzip that breaks off")
    return content


def read_json(content: bytes | str, *, parse_float: Callable[[str], Any] | None = None) -> Any:
    """Raises Unreadable: of what is no JSON, of too many values, and of what is nested too deeply."""
    try:
        text = content if isinstance(content, str) else content.decode()
        if text.count("{") + text.count("[") > MOST_CONTAINERS or text.count(",") + text.count(":") > MOST_VALUES:
            raise Unreadable("an answer of too many values")
        found = json.loads(text, parse_float=parse_float)
        if "\\ud" in text or "\\uD" in text:  # half a character can be neither printed nor kept
            json.dumps(found, ensure_ascii=False).encode()
    except RecursionError:
        raise Unreadable("nested too deeply") from None
    except Unreadable:
        raise
    except ValueError as error:
        raise Unreadable("no JSON") from error
    if _is_deep(found):
        raise Unreadable("nested too deeply")
    return found


def _is_deep(found: object) -> bool:
    level = [found]
    for _ in range(MOST_NESTED):
        level = [
            part
            for each in level
            if isinstance(each, dict | list)
            for part in (each.values() if isinstance(each, dict) else each)
            if isinstance(part, dict | list)
        ]
        if not level:
            return False
    return True


def timely(limit_s: float) -> type[HTTPResponse]:
    """An http.client response that is there, its head too, `limit_s` after it was asked for. Else TimeoutError."""

    class TimelyResponse(HTTPResponse):
        def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
            super().__init__(sock, *args, **kwargs)
            self.fp.close()
            self.fp = io.BufferedReader(_Timely(sock, time.monotonic() + limit_s))

    return TimelyResponse


class _Timely(io.RawIOBase):
    """A connected socket, read until a moment on time.monotonic()."""

    def __init__(self, connected: socket.socket, give_up_at: float) -> None:
        self._socket, self._give_up_at = connected, give_up_at
        self._stream = connected.makefile("rb", buffering=0)  # keeps the socket open for as long as this is
        self._longest_s = connected.gettimeout()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left_s = self._give_up_at - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("no complete answer in time")
        self._socket.settimeout(left_s if self._longest_s is None else min(left_s, self._longest_s))
        return self._stream.readinto(buffer)

    def close(self) -> None:
        self._stream.close()
        super().close()
