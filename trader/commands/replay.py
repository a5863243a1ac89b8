"""Decide a recorded cycle again, from what the journal kept of it. Equal inputs must give equal bytes."""

from __future__ import annotations

import json
from collections.abc import Callable

from settings.load import Loaded
from trader.adapters.journal import Journal
from trader.adapters.journal.codec import encode
from trader.core.plan import plan
from trader.daemon.parameters import decider
from trader.errors import ConfigurationError


def replay_cycle(loaded: Loaded, cycle: str, as_json: bool, say: Callable[[str], None]) -> int:
    """0 where the plan comes out the same, 1 where it does not."""
    with Journal.open(loaded.settings.database_url, create=False) as journal:
        name = journal.last_plan_cycle() if cycle == "last" else cycle
        if name is None:
            raise ConfigurationError("no cycle has been decided yet")
        try:
            inputs, record = journal.inputs(name), journal.plan_bytes(name)
        except (KeyError, UnicodeEncodeError):  # bytes that are no text name no cycle either
            raise ConfigurationError(f"no decision of cycle {name!r} (ids are in `trader status`)") from None
    again = encode(plan(inputs, decider(inputs.strategy, inputs.params)(inputs)))
    is_same = again == record
    if as_json:
        say(json.dumps({"cycle": name, "same": is_same, "recorded": json.loads(record), "again": json.loads(again)}))
    else:
        say(f"{name}: {'the same' if is_same else 'DIFFERENT'}, {len(again)} bytes")
    return 0 if is_same else 1
