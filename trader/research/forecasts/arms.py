"""A backend in a comparison: as the daemon builds it, in a worker of its own, behind its stored forecasts."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from forecasters.base import ForecastError
from forecasters.registry import Resolved
from forecasters.types import TAG, Context
from forecasters.worker import inquiry
from forecasters.worker.client import Worker, WorkerSettings
from forecasters.worker.sandbox.places import own_cache
from settings import children
from settings.kinds import COMPILABLE
from settings.load import Loaded
from settings.schema import Settings
from trader.daemon.forecaster import backend_options, sandbox_of
from trader.research.forecasts.key import ForecastKey, KnownBackend, known_backend
from trader.research.forecasts.store import ForecastStore, StoredForecaster

LONGEST_BATCH_S = 24 * 3600.0  # research waits: a live cycle would not
_OURS = ("baseline", *COMPILABLE)
_SINGLES = 20  # forecasts of one symbol, as a cycle asks for them
_TIMING_S = 60.0  # no more than about this for the singles


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Latency of one symbol's forecast (seconds, median and 99th percentile), and windows a second in a batch.

    memory_mb      the worker's peak resident size, with its model loaded
    gpu_memory_mb  what its process holds on the GPU; None where there is none
    """

    latency_s: float
    latency_p99_s: float
    singles: int
    windows_per_s: float
    batch: int
    warm_up_s: float
    memory_mb: float | None
    gpu_memory_mb: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A backend as it was asked for, not started: kronos and kronos-compiled are two arms of one backend."""

    name: str
    known: KnownBackend
    settings: WorkerSettings

    @property
    def key(self) -> ForecastKey:
        return self.known.key

    def worker(self, say: Callable[[str], None]) -> Worker:
        """Not started."""
        return Worker(self.settings, on_log=say, on_progress=lambda progress: say(progress.text))

    def fresh(self, say: Callable[[str], None]) -> Worker:
        """One that has been asked nothing, and finds nothing that another one kept; not started."""
        return Worker(apart(self.settings), on_log=say, on_progress=lambda progress: say(progress.text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One that can be asked."""

    worker: Worker
    forecaster: StoredForecaster


def resolved(name: str, settings: Settings) -> Resolved:
    """What a backend's name stands for. No code of another package runs here. Raises RegistryError."""
    return inquiry.resolve(name, sandbox_of(settings))


def described(name: str, load: Callable[[str], Loaded], *, options: Mapping[str, object] | None = None) -> Described:
    """Raises ForecastError where it can't run here, ConfigurationError.

    load     the settings with this forecaster, as the daemon would read them
    options  on top of the settings' own
    """
    settings = load(name).settings
    chosen = {**backend_options(settings), **(options or {})}
    chosen = {**chosen, **resolved(name, settings).fixed}
    return Described(
        name=name,
        known=known_backend(name, chosen, sandbox=sandbox_of(settings)),
        settings=worker_settings(name, chosen, settings),
    )


def worker_settings(name: str, options: Mapping[str, object], settings: Settings) -> WorkerSettings:
    """Of a child of ours, which has all the time that it wants; never of one that runs as a unit of its own."""
    return WorkerSettings(
        backend=name,
        options=options,
        deadline_s=LONGEST_BATCH_S,
        memory_limit_bytes=settings.worker.memory_mb * 2**20 or None,
        sandbox=sandbox_of(settings),
    )


def apart(worker: WorkerSettings) -> WorkerSettings:
    """The same in a sandbox that has none of the folders in which an earlier one could have kept what it was shown.

    Ours keep compiled code there, and nothing else.
    """
    if inquiry.resolve(worker.backend, worker.sandbox).backend in _OURS:
        return worker
    sandbox = worker.sandbox
    hidden = (*sandbox.hidden, *sandbox.writable, *own_cache())
    return replace(worker, sandbox=replace(sandbox, hidden=hidden, writable=()))


@contextmanager
def open_arm(backend: Described, store: ForecastStore, say: Callable[[str], None]) -> Iterator[Arm]:
    """Ready to be asked; its worker starts with the first forecast that is not stored. Raises ForecastError."""
    worker = backend.worker(say)
    if backend.known.unkept:
        say(not_stored(backend.name, backend.known))
    forecaster = StoredForecaster(worker, store.shelf(backend.key))
    try:
        yield Arm(worker=worker, forecaster=forecaster)
    finally:
        forecaster.close()


def not_stored(name: str, known: KnownBackend) -> str:
    """One line."""
    return f"{name}: its forecasts are not stored: {known.unkept}"


def timed(arm: Arm, contexts: Sequence[Context]) -> Timing:
    """On these contexts, past the store: what is stored costs nothing and says nothing. Raises ForecastError."""
    started = time.perf_counter()
    arm.worker.warm_up()
    # it is ready already where it had to forecast before
    warm_up_s = arm.forecaster.warm_up_s or time.perf_counter() - started
    arm.worker.forecast(contexts[:1])
    singles = _single_latencies(arm.worker, contexts)
    batch = [_tagged(context, n) for n, context in enumerate(contexts)]
    started = time.perf_counter()
    arm.worker.forecast(batch)
    took = time.perf_counter() - started
    pid = arm.worker.ping(timeout_s=10.0).pid
    return Timing(
        latency_s=float(np.median(singles)),
        latency_p99_s=float(np.quantile(singles, 0.99)),
        singles=len(singles),
        windows_per_s=len(batch) / took,
        batch=len(batch),
        warm_up_s=warm_up_s,
        memory_mb=peak_memory_mb(pid),
        gpu_memory_mb=_gpu_memory_mb(pid),
    )


def _single_latencies(worker: Worker, contexts: Sequence[Context]) -> list[float]:
    latencies: list[float] = []
    until = time.perf_counter() + _TIMING_S
    for context in contexts[:_SINGLES]:
        start = time.perf_counter()
        worker.forecast([context])
        latencies.append(time.perf_counter() - start)
        if time.perf_counter() > until:
            break
    return latencies


def _tagged(context: Context, number: int) -> Context:
    return Context(
        symbol=f"{context.series}{TAG}{number}",
        times=context.times,
        values=context.values,
        future_times=context.future_times,
    )


def peak_memory_mb(pid: int) -> float | None:
    """As the kernel keeps it; None where the process has gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    peak = next((line.split()[1] for line in lines if line.startswith("VmHWM:")), None)
    return None if peak is None else int(peak) / 1024


def _gpu_memory_mb(pid: int) -> float | None:
    """The driver's figure: the caching allocator gives nothing back, so that it is near the peak."""
    command = ["nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"]
    try:
        process = children.run(command, timeout_s=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    rows = (line.split(",") for line in process.stdout.splitlines() if line.count(",") == 1)
    return next(
        (float(megabytes) for owner, megabytes in rows if owner.strip() == str(pid) and megabytes.strip().isdigit()),
        None,
    )


def reason_of(error: ForecastError) -> str:
    """One line."""
    return error.reason.splitlines()[0] if error.reason else type(error).__name__
