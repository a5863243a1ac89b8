"""The two of a comparison as worker processes, each with settings of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from loguru import logger

from forecasters.base import ForecastError
from forecasters.compiled.compile_report import CompileReport
from forecasters.worker.client import Worker
from settings.names import canonical, nearest, table
from settings.schema import Settings
from trader.daemon.forecaster import backend_options, check_backend, open_backend, sandbox_of
from trader.daemon.simulation import with_trading
from trader.errors import ConfigurationError
from trader.research.compare.rivals import Rival
from trader.research.forecasts.arms import peak_memory_mb
from trader.research.forecasts.key import key_of

BATCH_DEADLINE_S = 600.0
PING_S = 10.0
_FREE = "OPTIONS__"


@dataclass(frozen=True, slots=True, kw_only=True)
class RivalSpec:
    """`kronos-compiled` or `kronos,KRONOS_SAMPLE_COUNT=10`: a backend, with settings that are this rival's own."""

    text: str
    backend: str
    changes: Mapping[str, str]

    @classmethod
    def parse(cls, text: str) -> RivalSpec:
        """Raises ConfigurationError."""
        backend, *pairs = (part.strip() for part in text.split(","))
        split = [(pair, *pair.partition("=")) for pair in pairs]
        for pair, name, equals, _ in split:
            if not name or not equals:
                raise ConfigurationError(f"{pair}: write BACKEND,NAME=VALUE, for example kronos,KRONOS_SAMPLE_COUNT=10")
            if not name.startswith(_FREE) and canonical(name.upper()) is None:
                near = nearest(name.upper(), table())
                raise ConfigurationError(f"{text}: {name} is not a setting" + (f" ({near}?)" if near else ""))
        if not backend:
            raise ConfigurationError(f"{text!r} names no backend; see `trader backends`")
        return cls(text=text, backend=backend, changes={name: value for _, name, _, value in split})

    def flags(self) -> dict[str, object]:
        """On top of the comparison's own, by setting name."""
        typed = {name.lower(): value for name, value in self.changes.items() if not name.startswith(_FREE)}
        return {"forecaster": self.backend, **typed}

    def with_options(self, settings: Settings) -> Settings:
        """The settings with the backend's free options, OPTIONS__NAME__OPTION=VALUE, on top of theirs."""
        options = {name: dict(values) for name, values in settings.backend_options.items()}
        for name, value in self.changes.items():
            if name.startswith(_FREE):
                backend, _, option = name.removeprefix(_FREE).lower().partition("__")
                options.setdefault(backend, {})[option] = value
        return settings.model_copy(update={"backend_options": options})


def open_rival(spec: RivalSpec, settings: Settings, stack: ExitStack, say: Callable[[str], None]) -> Rival:
    """Started and warm; ended with `stack`. One that does not come up is one whose every forecast fails.

    Raises ConfigurationError where it can't run here at all.
    """
    if settings.worker.socket:
        raise ConfigurationError("WORKER_SOCKET is one worker, and a comparison needs two of its own: leave it empty")
    settings = with_trading(settings, forecast_deadline_s=BATCH_DEADLINE_S)
    check_backend(settings)
    try:
        key = key_of(settings.trading.backend, backend_options(settings), sandbox=sandbox_of(settings)).digest
    except ForecastError as error:
        raise ConfigurationError(f"{spec.text}: {error}") from error
    logger.disable(open_backend.__module__)  # what the worker logs of each forecast is the daemon's affair
    worker = open_backend(settings, lambda line: say(f"{spec.text}: {line}"))
    stack.callback(worker.close)
    rival = Rival(
        name=spec.text,
        key=key,
        forecaster=worker,
        report=lambda: _report(worker),
        memory=lambda: _peak_mb(worker),
        teacher_forced=lambda contexts: worker.teacher_forced(contexts, BATCH_DEADLINE_S),
    )
    started = time.perf_counter()
    try:
        worker.warm_up()
    except ForecastError as error:
        rival.fail(f"warm-up: {error}")
    rival.warm_up_s = time.perf_counter() - started
    return rival


def _report(worker: Worker) -> CompileReport | None:
    try:
        return worker.ping(timeout_s=PING_S).compile
    except ForecastError:
        return None


def _peak_mb(worker: Worker) -> float | None:
    try:
        return peak_memory_mb(worker.ping(timeout_s=PING_S).pid)
    except ForecastError:
        return None
