"""The forecaster behind the settings: its options, and the worker process that runs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from settings.schema import Settings

if TYPE_CHECKING:
    from forecasters.worker import Worker


def backend_options(settings: Settings) -> dict[str, object]:
    """What the chosen backend is built with: its own typed group, or a free one from OPTIONS__NAME__..."""
    family = settings.trading.family
    if family == "kronos":
        return settings.kronos.model_dump(mode="json")
    if family == "toto":
        return settings.toto.model_dump(mode="json")
    return dict(settings.backend_options.get(family, {}))


def open_backend(settings: Settings, say: Callable[[str], None]) -> Worker:
    """A worker process of our own, or the connection to one that runs as its own unit. Not yet warm."""
    from forecasters.worker import Worker

    raise NotImplementedError(Worker)
