"""A checkpoint's card: what its weights have learned, beside them, so that nobody takes learned bars for unseen ones.

    FOLDER/card.json    {"learned_to": {"BTC/USD": "2024-05-01T00:00:00+00:00"}, ...}

`learned_to` says when the newest bar of each symbol that was learned, or that the weights were chosen by, had closed;
`*` stands for all symbols that are not named. `"*": null`: what else was learned is not known, as it is of weights
without a card, and of what goes on from such.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from forecasters.base import ForecastError
from settings.trust import distrust

CARD = "card.json"
EVERY = "*"

Learned = Mapping[str, datetime | None]
UNKNOWN: Learned = {EVERY: None}


def learned_to(folder: Path) -> Learned:
    """As its card says; UNKNOWN where it has none. Raises ForecastError where that can't be read."""
    file = folder / CARD
    if not file.is_file():
        return UNKNOWN
    if why := distrust(file):
        raise ForecastError(f"the checkpoint's card is not read: {why}")
    try:
        told = json.loads(file.read_text(encoding="utf-8"))["learned_to"]
        return {str(name): None if text is None else moment_of(text) for name, text in told.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ForecastError(f"{file} does not say what was learned ({error!r}): mend it, or remove it") from error


def write(folder: Path, learned: Learned, about: Mapping[str, Any]) -> None:
    """`about` is for people: it is written beside it and not read."""
    draft = folder / f"{CARD}.draft"
    draft.write_text(json.dumps({"learned_to": plain(learned), **about}, indent=1) + "\n", encoding="utf-8")
    draft.chmod(0o644)  # the daemon may run as another user
    os.replace(draft, folder / CARD)


def later(one: Learned, other: Learned) -> Learned:
    """Of weights that went on from others: for each symbol the later of the two, as far as it is known."""
    found: dict[str, datetime | None] = {}
    for name in sorted({*one, *other} - {EVERY}):
        known = [at for learned in (one, other) if (at := learned.get(name, learned.get(EVERY))) is not None]
        if known:
            found[name] = max(known)
    others = [learned[EVERY] for learned in (one, other) if EVERY in learned]
    if others:
        found[EVERY] = None if None in others else max(at for at in others if at is not None)
    return found


def plain(learned: Learned) -> dict[str, str | None]:
    """As JSON has it."""
    return {name: None if at is None else at.astimezone(UTC).isoformat() for name, at in sorted(learned.items())}


def moment_of(text: str) -> datetime:
    """Raises TypeError, ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return moment.astimezone(UTC)
