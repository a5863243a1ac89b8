"""The journal of a scenario: all in memory, each call a commit. What a crash leaves of a daemon is what is in here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from tests.chaos.active import Active
from trader.adapters.journal.store import DiskFull
from trader.core.types import Execution, Symbol
from trader.errors import DatabaseAway
from trader.research.backtest.memory_journal import MemoryJournal
from trader.trading.ports import Journal, PendingCommand

_READS = (
    "cycle", "intents", "attempts", "believed", "executions", "last_equity", "last_execution_at", "levels", "flag",
    "pending_commands", "get_meta", "postings", "unclaimed", "moved",
)  # fmt: skip
_WRITES = (
    "begin_cycle", "close_cycle", "save_plan", "add_intents", "set_intent", "save_sync", "correction", "claim",
    "settle_fees", "save_levels", "drop_levels", "set_flag", "finish_command", "alert", "set_meta",
)  # fmt: skip
_BY_THE_WALL = "put_status"  # written once in a second of wall time: no place for a crash that is to come again


@dataclass(frozen=True, slots=True)
class Command:
    id: int
    kind: str
    args: Mapping[str, str] = field(default_factory=dict)


class ChaosJournal(MemoryJournal):
    """With people's commands."""

    def __init__(self) -> None:
        super().__init__()
        self._commands: list[Command] = []
        self._numbered = 0

    def command(self, kind: str) -> None:
        self._numbered += 1
        self._commands.append(Command(self._numbered, kind))

    def executions(
        self, limit: int | None = None, *, symbol: Symbol | None = None, after: datetime | None = None
    ) -> Sequence[Execution]:
        """Fills may be booked in another order than that of their times here."""
        assert limit is None
        return [e for e in self.fills if symbol in (None, e.symbol) and (after is None or e.at >= after)]

    def last_execution_at(self) -> datetime | None:
        return max((each.at for each in self.fills), default=None)

    def pending_commands(self) -> Sequence[PendingCommand]:
        return tuple(self._commands)

    def finish_command(self, command_id: int, at: datetime, ok: bool, message: str) -> None:
        self._commands = [each for each in self._commands if each.id != command_id]


def as_reached(journal: ChaosJournal, active: Active, boundary: Callable[[], None]) -> Journal:
    """The journal as a daemon reaches it: it may be away or full, and a crash may come before and after each write."""
    return cast(Journal, _Reached(journal, active, boundary))


class _Reached:
    def __init__(self, journal: ChaosJournal, active: Active, boundary: Callable[[], None]) -> None:
        self._active = active
        self._boundary = boundary
        for name in _READS:
            setattr(self, name, self._read(getattr(journal, name)))
        for name in _WRITES:
            setattr(self, name, self._write(getattr(journal, name)))
        setattr(self, _BY_THE_WALL, getattr(journal, _BY_THE_WALL))

    def _read(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def read(*args: Any, **named: Any) -> Any:
            self._refuse_if_away()
            return call(*args, **named)

        return read

    def _write(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def write(*args: Any, **named: Any) -> Any:
            self._boundary()
            self._refuse_if_away()
            if self._active.hit("journal full"):
                raise DiskFull("the disk is full")
            done = call(*args, **named)
            self._boundary()
            return done

        return write

    def _refuse_if_away(self) -> None:
        if self._active.hit("journal away"):
            raise DatabaseAway("the database is locked")
