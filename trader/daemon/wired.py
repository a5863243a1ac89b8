"""What a daemon is made of. Put together by `app`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from settings.schema import Settings
from trader.adapters.alpaca.stream import TradeUpdates
from trader.adapters.clock import RealClock, SimClock
from trader.adapters.sdnotify import Notifier, ProgressWatchdog
from trader.daemon.schedule import Timetable
from trader.trading.cycle import Trader
from trader.trading.desk import Desk
from trader.trading.positions import Manager
from trader.trading.status import Board


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What a run is told beyond the settings. `flags` are those of the command line, for a reload.

    hangup_ends  at a terminal SIGHUP means that it was closed; without one it asks for a reload
    """

    cycles: int | None = None
    fresh: bool = False
    failpoints: Sequence[str] = ()
    flags: Mapping[str, object] | None = None
    hangup_ends: bool = False


@dataclass(slots=True, kw_only=True)
class Daemon:
    """Everything that runs, wired. Built and taken down by `run`."""

    settings: Settings
    board: Board
    clock: RealClock | SimClock
    desk: Desk
    trader: Trader
    manager: Manager
    notifier: Notifier
    watchdog: ProgressWatchdog
    timetable: Timetable
    stop: threading.Event
    wake_manage: Callable[[], None] = field(default=lambda: None)  # runs the manage job now
    stream: TradeUpdates | None = None
