"""Waiting in a test: until something is so, or for time itself. Nothing else in tests/ sleeps, but what plays
somebody slow."""

from __future__ import annotations

import time
from collections.abc import Callable

GENEROUS_S = 60.0  # reached only where something is broken, however busy the machine


def eventually(
    holds: Callable[[], object],
    what: str | Callable[[], str] = "what was waited for",
    *,
    within_s: float = GENEROUS_S,
    every_s: float = 0.02,
) -> None:
    """Look until it is so. AssertionError that says `what` was missing, asked only then, where it never is."""
    give_up_at = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > give_up_at:
            raise AssertionError(f"not within {within_s:g} s: {what if isinstance(what, str) else what()}")
        time.sleep(every_s)


def let_pass(seconds: float) -> None:
    """Time itself, where that is what the program is told by. At least so much has passed after it; maybe far more."""
    time.sleep(seconds)
