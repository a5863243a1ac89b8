"""The forecaster behind the settings: its options, and the worker process that runs it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from loguru import logger

from settings.schema import Settings

if TYPE_CHECKING:
    from forecasters.progress import Progress
    from forecasters.worker import Worker


def backend_options(settings: Settings) -> dict[str, object]:
    """What the chosen backend is built with: its own typed group, or a free one from OPTIONS__NAME__..."""
    family = settings.trading.family
    if family == "kronos":
        return settings.kronos.model_dump(mode="json")
    if family == "toto":
        return settings.toto.model_dump(mode="json")
    return dict(settings.options_of(family))


def open_backend(settings: Settings, say: Callable[[str], None]) -> Worker:
    """A worker process of our own, or the connection to one that runs as its own unit. Not yet warm."""
    from forecasters.worker import Worker, WorkerSettings

    trading, worker = settings.trading, settings.worker
    return Worker(
        WorkerSettings(
            backend=trading.backend,
            options=backend_options(settings),
            socket_path=Path(worker.socket) if worker.socket else None,
            deadline_s=trading.forecast_deadline_s,
            memory_limit_bytes=worker.memory_mb * 2**20 or None,
        ),
        on_log=lambda line: logger.info("worker: {}", line),
        on_progress=lambda progress: say(_progress_line(progress)),
    )


def _progress_line(progress: Progress) -> str:
    share = f" {progress.share:.0%}" if progress.share is not None else ""
    return f"{progress.text}{share}"
