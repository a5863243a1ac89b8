"""A checkpoint's card: what its weights have learned, beside them, so that nobody takes learned bars for unseen ones.

    FOLDER/card.json    {"learned_to": {"BTC/USD": "2024-05-01T00:00:00+00:00"}, ...}

`learned_to` says when the newest bar of each symbol that was learned, or that the weights were chosen by, had closed;
`*` stands for all symbols that are not named, `null` for what is not known. Without a card nothing is known.
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

Learned = Mapping[str, datetime] | None


def learned_to(folder: Path) -> Learned:
    """As its card says; None where it has none. Raises ForecastError where that can't be read."""
    file = folder / CARD
    if not file.is_file():
        return None
    if why := distrust(file):
        raise ForecastError(f"the checkpoint's card is not read: {why}")
    try:
        told = json.loads(file.read_text(encoding="utf-8"))["learned_to"]
        return None if told is None else {str(name): _moment(text) for name, text in told.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ForecastError(f"{file} does not say what was learned ({error!r}): mend it, or remove it") from error


def write(folder: Path, learned: Learned, about: Mapping[str, Any]) -> None:
    """`about` is for people: it is written beside it and not read."""
    moments = (
        None if learned is None else {name: at.astimezone(UTC).isoformat() for name, at in sorted(learned.items())}
    )
    draft = folder / f"{CARD}.draft"
    draft.write_text(json.dumps({"learned_to": moments, **about}, indent=1) + "\n", encoding="utf-8")
    draft.chmod(0o644)  # the daemon may run as another user
    os.replace(draft, folder / CARD)


def later(one: Learned, other: Learned) -> Learned:
    """Of weights that went on from others: for each symbol the later of the two; unknown where one is."""
    if one is None or other is None:
        return None
    return {name: max(at for at in (one.get(name), other.get(name)) if at is not None) for name in {**one, **other}}


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return moment.astimezone(UTC)
