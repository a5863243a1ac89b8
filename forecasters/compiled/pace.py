"""How long two twins take, and what that leaves of the time in which an answer is wanted."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from forecasters.deadline import time_left

ALLOWANCE = 1.5  # times the seconds it took last: machines are busier at times
REPLY_S = 0.25  # to hand an answer over
_KEPT = 31  # comparisons, one a day


class Pace:
    """`compiled_s`: seconds of the compiled twin's last answer; None before any."""

    def __init__(self) -> None:
        self.compiled_s: float | None = None
        self._eager_s, self._series = 0.0, 0
        self._both: deque[tuple[float, float]] = deque(maxlen=_KEPT)

    @contextmanager
    def eager(self, series: int) -> Iterator[None]:
        """Measure the eager twin. Of fewer series at once than before nothing is learned about all of them."""
        started = time.monotonic()
        yield
        if series >= self._series:
            self._eager_s, self._series = time.monotonic() - started, series

    def allows_eager(self, series: int) -> bool:
        """Whether the eager twin can answer in time as well; True where it is not known."""
        left = time_left()
        return left is None or left >= self.reserve_s(series)

    def reserve_s(self, series: int) -> float:
        """What the eager twin is left of the time until an answer is wanted."""
        return self._eager_would_take(series) * ALLOWANCE + REPLY_S

    def is_hopeless(self, series: int) -> bool:
        """Whether the eager twin, as quick as it was last, would be late."""
        left = time_left()
        return left is not None and left < self._eager_would_take(series)

    def limit_s(self, series: int) -> float | None:
        """How long the compiled twin may take, for the eager one to answer in its place.

        None: as long as it likes, where nobody waits, or where the time is too short for both of them anyway.
        """
        left = time_left()
        if left is None or not self._series:
            return None
        spare = left - self.reserve_s(series)
        return spare if spare > 2 * (self.compiled_s or 0.0) else None

    def _eager_would_take(self, series: int) -> float:
        return self._eager_s * max(1.0, series / max(1, self._series))

    # ---- asked the same ----

    def compared(self, compiled_s: float, eager_s: float) -> None:
        self._both.append((compiled_s, eager_s))

    @property
    def comparisons(self) -> int:
        return len(self._both)

    @property
    def times_as_fast(self) -> float | None:
        """Median of the ratios, above 1 where compiling pays; None before both were asked the same."""
        ratios = [eager_s / compiled_s for compiled_s, eager_s in self._both if compiled_s > 0]
        return median(ratios) if ratios else None

    @property
    def summary(self) -> str:
        """One line, of the latest and of all that are kept; empty before any."""
        overall = self.times_as_fast
        if overall is None:
            return ""
        compiled_s, eager_s = self._both[-1]
        latest = f"{compiled_s * 1e3:.3g} ms where eager takes {eager_s * 1e3:.3g} ms"
        return f"{latest}, {overall:.2f} times as fast (median of {len(self._both)})"
