"""What is away when the daemon starts, under a service manager.

systemd leaves a daemon down after a few failures in a short time. That is meant for one that crashes; a venue or a
database that is away for half an hour would use them up within a minute, and nobody would trade when it is back. So a
start that fails for that reason takes its time to end.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from loguru import logger

from trader.adapters.sdnotify import Notifier
from trader.errors import DatabaseAway, DatabaseUnwritable, VenueUnreachable

SHORTEST_START_S = 150.0  # with RestartSec, five of them do not fit into the unit's StartLimitIntervalSec


def patiently(start: Callable[[], int], notifier: Notifier) -> int:
    """As `start`; its VenueUnreachable and DatabaseAway come late where systemd listens, and at once where not."""
    start_s = time.monotonic()
    try:
        return start()
    except (VenueUnreachable, DatabaseAway) as error:
        seconds_left = start_s + SHORTEST_START_S - time.monotonic()
        waits = notifier.listening and not isinstance(error, DatabaseUnwritable)  # that one needs a person
        if waits and seconds_left > 0:
            logger.error("{} (started again in {:.0f} s)", error, seconds_left)
            notifier.status(f"waiting to try again: {error}")
            threading.Event().wait(seconds_left)  # SIGTERM ends it: nothing is held any more
        raise
