"""How a daemon is ended: by signals, and by what goes wrong. What is held is left with its stop in any case."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from loguru import logger

from trader.daemon.wired import Daemon, RunOptions
from trader.errors import DatabaseUnusable, TraderError, Transient
from trader.trading.last_run import leave_safe


def leave_all_the_same(daemon: Daemon, error: BaseException) -> None:
    """Whatever ends the daemon, what is held is left with its stop as long as there is a venue to tell."""
    daemon.desk.ending = True
    if not isinstance(error, KeyboardInterrupt):
        with suppress(TraderError):
            daemon.desk.alert("shutdown", "error", f"the daemon ends: {type(error).__name__}: {error}")
    try:
        leave(daemon)
    except Exception as second:  # noqa: BLE001 - the first one is what is to be known
        logger.error("left without tidying up: {}", second)


def leave(daemon: Daemon) -> None:
    leave_safe(daemon.manager)
    with daemon.desk.lock:
        try:
            daemon.desk.journal.put_status(daemon.board.status(), daemon.clock.now())
        except (Transient, DatabaseUnusable) as error:  # all that counts is done
            logger.warning("the last status is not in the journal: {}", error)


def catch_signals(daemon: Daemon, options: RunOptions) -> dict[signal.Signals, Any]:
    """SIGTERM and SIGINT end the run after the step under way; SIGHUP reloads."""

    def end(number: int, frame: object) -> None:
        daemon.stop.set()
        daemon.desk.ending = True
        daemon.clock.wake()

    def reload(number: int, frame: object) -> None:
        daemon.manager.reload_asked = True  # no more than that: a handler may interrupt anything

    hangup = end if options.hangup_ends else reload
    handlers = {signal.SIGTERM: end, signal.SIGINT: end, signal.SIGHUP: hangup}
    return {number: signal.signal(number, handler) for number, handler in handlers.items()}


def restore_signals(previous: Mapping[signal.Signals, Any]) -> None:
    for number, handler in previous.items():
        signal.signal(number, handler)
