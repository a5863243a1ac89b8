"""Memory that is read from end to end at each step, in pages of 2 MB: less time is lost in finding where it lies."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from ctypes import CDLL, c_int, c_size_t, c_void_p
from functools import cache
from typing import Any

_PAGE, _LARGE = 1 << 12, 1 << 21
_NEAR = 2 * _PAGE  # between one allocation and the next
_HUGEPAGE, _COLLAPSE = 14, 25  # madvise: wanted, and at once, which Linux can since 6.1


def take_large_pages(places: Iterable[tuple[int, int]]) -> None:
    """Of addresses and sizes in bytes, as far as whole large pages lie in them. One that can't goes on as it was."""
    advise = _madvise()
    if advise is None:
        return
    for first, end in joined(places):
        start, stop = -(-first // _LARGE) * _LARGE, end // _LARGE * _LARGE
        if stop > start:
            for advice in (_HUGEPAGE, _COLLAPSE):
                advise(start, stop - start, advice)


def joined(places: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Addresses and sizes -> first and last of each stretch of whole pages; those that adjoin are one."""
    stretches: list[tuple[int, int]] = []
    for address, size in sorted(places):
        first, end = address // _PAGE * _PAGE, -(-(address + size) // _PAGE) * _PAGE
        if stretches and first - stretches[-1][1] <= _NEAR:
            before = stretches.pop()
            first, end = before[0], max(before[1], end)
        stretches.append((first, end))
    return stretches


@cache
def _madvise() -> Any:
    if sys.platform != "linux":
        return None
    function = CDLL(None).madvise
    function.argtypes, function.restype = [c_void_p, c_size_t, c_int], c_int
    return function
