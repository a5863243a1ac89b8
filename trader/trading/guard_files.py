"""What other processes say through files and locks: the latch that must be obeyed, the lock that must still be ours."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from trader.trading.desk import Desk
from trader.trading.ports import Latch

LOCK_S = 60.0  # the journal's lock is looked at this often, in wall time


@dataclass(slots=True, kw_only=True)
class GuardFiles:
    """With the desk's lock held. `keep_lock` raises AccountLocked where another daemon has the journal by now."""

    latch: Latch | None = None
    keep_lock: Callable[[], None] = lambda: None
    _looked_at: float = float("-inf")

    def obey(self, desk: Desk) -> bool:
        """True where something is latched that was not in force yet. From here on it is, even without a journal."""
        latched_flags = self.latch.read() if self.latch is not None else None
        if not latched_flags:
            return False
        new_flags = {name: reason for name, reason in latched_flags.items() if not desk.board.flags.get(name)}
        for name, reason in new_flags.items():
            desk.latch_flag(name, reason)
        return bool(new_flags)

    def clear(self) -> None:
        """A person has resumed. Raises OSError."""
        if self.latch is not None:
            self.latch.clear()

    def look_at_lock(self) -> None:
        now = time.monotonic()  # wall time on purpose: the server does not know the simulation's clock
        if now - self._looked_at >= LOCK_S:
            self.keep_lock()
            self._looked_at = now
