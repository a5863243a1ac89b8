"""The forecaster behind the settings: its options, and the worker process that runs it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from loguru import logger

from settings import children
from settings.kinds import COMPILABLE
from settings.schema import Settings
from trader.errors import ConfigurationError

if TYPE_CHECKING:
    from forecasters.progress import Progress
    from forecasters.worker.client import Worker
    from forecasters.worker.sandbox.policy import Sandbox


def backend_options(settings: Settings) -> dict[str, object]:
    """What the chosen backend is built with: its own typed group, or a free one from OPTIONS__NAME__...

    Our own models are also told the shape that will be asked for, and how a compiled one is watched.
    """
    family, trading = settings.trading.family, settings.trading
    if family not in ("kronos", "toto"):
        return dict(settings.options_of(family))
    guard = guard_options(settings)
    if family == "kronos":
        shape = {"context_bars": trading.context, "horizon": trading.horizon, "series": len(trading.symbols)}
        return {**settings.kronos.model_dump(mode="json"), **shape, "guard": guard}
    bars = min(max(trading.context, 64), 4096)
    shape_of_toto = {"context_bars": bars, "horizons": [trading.horizon], "series": len(trading.symbols)}
    return {**settings.toto.model_dump(mode="json"), **shape_of_toto, "guard": guard}


def guard_options(settings: Settings) -> dict[str, object]:
    """How a compiled model is watched, and where its code is kept."""
    compile = settings.compile
    return {
        "every": compile.compile_check_every,
        "within": compile.compile_check_within,
        "difference": compile.compile_tolerance,
        "agreement": compile.compile_agreement,
        "retry_s": compile.compile_retry_s,
        "most_recompiles": compile.compile_most_recompiles,
        "fallback": settings.trading.forecaster_fallback,
        "cache_dir": str(compile.compiled_models_dir),
        "inductor_dir": str(compile.torchinductor_cache_dir),
    }


def sandbox_of(settings: Settings) -> Sandbox:
    """What keeps a backend's code in. It may keep its compiled models, and see nothing of the state."""
    from forecasters.worker.sandbox.policy import Sandbox

    compile, hidden = settings.compile, [settings.store.state_dir]
    if journal := re.fullmatch(r"sqlite(?:\+\w+)?:///([^?]+).*", settings.database_url):
        hidden += [Path(f"{journal[1]}{ending}") for ending in ("", "-wal", "-shm", "-journal")]
    return Sandbox(
        on=settings.worker.sandbox != "off",
        network=settings.worker.network,
        hidden=tuple(hidden),
        writable=(compile.compiled_models_dir, compile.torchinductor_cache_dir),
    )


def check_options(settings: Settings) -> None:
    """Every `OPTIONS__NAME__FIELD`: the names of all, the fields of the chosen backend and of ours. Raises
    ConfigurationError on a misspelt one."""
    _asked(settings, None)


def lacking(settings: Settings) -> tuple[str, ...]:
    """What the chosen backend lacks here. Raises ConfigurationError where it is unknown, or an option is misspelt.

    A worker that runs as its own unit is asked when it is connected: what it lacks is not for us to see.
    """
    return _asked(settings, backend_options(settings))


def _asked(settings: Settings, options: dict[str, object] | None) -> tuple[str, ...]:
    """In a process of its own: no line of a backend runs in this one, which holds the keys."""
    from forecasters.base import ForecastError
    from forecasters.registry import RegistryError
    from forecasters.worker import inquiry

    name = settings.trading.backend
    ours = next((family for family in COMPILABLE if family in settings.backend_options), None)
    if ours is not None:
        name = ours.upper()
        raise ConfigurationError(f"OPTIONS__{name}__...: {ours} has settings of its own; right: {name}_ and the rest")
    if settings.worker.socket or (options is None and not settings.backend_options):
        return ()
    try:
        return inquiry.lacking(name, options, settings.backend_options, sandbox_of(settings))
    except inquiry.WrongOptions as error:
        raise ConfigurationError(f"OPTIONS__...: {error}") from error
    except RegistryError as error:
        raise ConfigurationError(f"FORECASTER={name}: {error}; see `trader backends`") from error
    except ForecastError as error:
        raise ConfigurationError(f"FORECASTER={name}: {error}") from error


def check_backend(settings: Settings) -> None:
    """Before anything is started for it. Raises ConfigurationError where the name is unknown, it can't run here, or an
    option is misspelt.
    """
    if missing := lacking(settings):
        name = settings.trading.backend
        raise ConfigurationError(f"FORECASTER={name} can't run here: {'; '.join(missing)}; see `trader backends`")


def open_backend(settings: Settings, say: Callable[[str], None]) -> Worker:
    """A worker process of our own, or the connection to one that runs as its own unit. Not yet warm."""
    from forecasters.worker.client import Worker, WorkerSettings

    trading, worker = settings.trading, settings.worker
    return Worker(
        WorkerSettings(
            backend=trading.backend,
            options=backend_options(settings),
            socket_path=Path(worker.socket) if worker.socket else None,
            deadline_s=trading.forecast_deadline_s,
            memory_limit_bytes=worker.memory_mb * 2**20 or None,
            sandbox=sandbox_of(settings),
        ),
        on_log=lambda line: logger.info("worker: {}", line),
        on_progress=lambda progress: say(_progress_line(progress)) if progress.text else None,  # else only a heartbeat
    )


def _progress_line(progress: Progress) -> str:
    share = f" {progress.share:.0%}" if progress.share is not None else ""
    return f"{progress.text}{share}"


def seeded_checkpoint(family: str, size: str, folder: Path, seed: int) -> Path:
    """A checkpoint to try a family out with where its published weights can't be had.

    Made in a process of its own: this one never imports torch. Raises ConfigurationError.
    """
    code = (
        "import sys, pathlib\n"
        f"from forecasters.{family}.checkpoint import CheckpointError, make_checkpoint\n"
        "try: make_checkpoint(sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3]))\n"
        "except CheckpointError as error: sys.exit(str(error))"
    )
    done = children.run(children.script(code, size, str(folder), str(seed)))
    if done.returncode:
        raise ConfigurationError(done.stderr.strip().splitlines()[-1])
    return folder
