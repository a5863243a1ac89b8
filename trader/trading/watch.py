"""How long the steps of a cycle take."""

from __future__ import annotations

import time


class Watch:
    """How long the steps of a cycle took. A step that fails adds nothing."""

    __slots__ = ("_since", "seconds")

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.perf_counter()

    def go_on(self) -> None:
        """What has passed since the last step is nobody's."""
        self._since = time.perf_counter()

    def took(self, step: str) -> float:
        """The step is over, and the next one begins: now, which is returned."""
        now = time.perf_counter()
        self.seconds[step] = self.seconds.get(step, 0.0) + now - self._since
        self._since = now
        return now
