"""What the compiler did, counted by its own counters: a compiled model that compiled nothing looks like a fast success.

    tally = CompileTally()
    with tally.warming_up():                # everything that will be asked for later is made in here
        ...
    with tally.counting():                  # around each use
        ...
    tally.report()                          -> CompileReport

The counters are the process's own, so only what happens inside these blocks is put down to the model that is counted.
Torch is read where it is loaded and never imported: without it nothing was compiled.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from typing import Protocol, runtime_checkable

from forecasters.base import Forecaster


@dataclass(frozen=True, slots=True, kw_only=True)
class CompileReport:
    """Counts since the model was built. All zero for one that is not compiled.

    frames           graphs that the compiler made, in the warm-up and after it; 0 is a compiled model that is not one
    graph_breaks     places at which a graph was cut into pieces
    recompiles       graphs that were made after the warm-up: each stood in the way of a forecast
    cudagraph_skips  times that a CUDA graph was wanted and not used; nothing on a CPU, which has none
    cache_hits       graphs whose code came from the cache folder
    cache_misses     graphs whose code was made anew
    warm_up_s        seconds of the warm-up, loading and first checks included; None before it has ended
    """

    frames: int = 0
    graph_breaks: int = 0
    recompiles: int = 0
    cudagraph_skips: int = 0
    cache_hits: int = 0
    cache_misses: int = 0
    warm_up_s: float | None = None

    @property
    def cold(self) -> bool | None:
        """Whether code had to be made; None where no compiler that keeps any was asked."""
        return self.cache_misses > 0 if self.cache_hits or self.cache_misses else None

    @property
    def summary(self) -> str:
        """One line, for progress and logs."""
        kept = {True: ", cold cache", False: ", warm cache", None: ""}[self.cold]
        took = "" if self.warm_up_s is None else f" in {self.warm_up_s:.1f} s"
        return (
            f"{self.frames} graphs{took}{kept}, {self.recompiles} recompiles, {self.graph_breaks} graph breaks, "
            f"{self.cudagraph_skips} CUDA graph skips"
        )

    def as_plain(self) -> dict[str, object]:
        """For JSON; `from_plain` takes it back."""
        return asdict(self)

    @staticmethod
    def from_plain(plain: object) -> CompileReport | None:
        """None where it is not one: another process may send anything."""
        if not isinstance(plain, Mapping):
            return None
        names = [field.name for field in fields(CompileReport)]
        counts = {name: plain.get(name) for name in names if name != "warm_up_s"}
        took = plain.get("warm_up_s")
        if any(type(count) is not int or count < 0 for count in counts.values()):
            return None
        if took is not None and (type(took) not in (int, float) or not took >= 0):
            return None
        return CompileReport(**counts, warm_up_s=took)  # type: ignore[arg-type]  # checked above


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counters:
    """The process's, as torch has them now."""

    frames: int
    graph_breaks: int
    cudagraph_skips: int
    cache_hits: int
    cache_misses: int

    @staticmethod
    def now() -> _Counters:
        utilities = sys.modules.get("torch._dynamo.utils")
        found: Mapping[str, Mapping[str, int]] = getattr(utilities, "counters", {})
        stats, breaks, inductor = (found.get(name, {}) for name in ("stats", "graph_break", "inductor"))
        return _Counters(
            frames=stats.get("unique_graphs", 0),
            graph_breaks=sum(breaks.values()),
            cudagraph_skips=inductor.get("cudagraph_skips", 0) if _has_gpu() else 0,
            cache_hits=inductor.get("fxgraph_cache_hit", 0),
            cache_misses=inductor.get("fxgraph_cache_miss", 0) + inductor.get("fxgraph_cache_bypass", 0),
        )


def report_of_process() -> CompileReport:
    """All that the compiler did in this process: nothing, where what runs is not compiled."""
    now = _Counters.now()
    return CompileReport(
        frames=now.frames,
        graph_breaks=now.graph_breaks,
        cudagraph_skips=now.cudagraph_skips,
        cache_hits=now.cache_hits,
        cache_misses=now.cache_misses,
    )


@runtime_checkable
class Reporting(Protocol):
    """A forecaster that is compiled, and can say how."""

    def report(self) -> CompileReport: ...


class CompileTally:
    """Adds up what the counters gain inside its blocks. Not for several threads at once."""

    def __init__(self) -> None:
        self._report = CompileReport()

    def report(self) -> CompileReport:
        return self._report

    @contextmanager
    def warming_up(self) -> Iterator[None]:
        """Graphs made in here are expected. The block's seconds become `warm_up_s`, also where it raises."""
        started = time.perf_counter()
        try:
            with self._adding(expected=True):
                yield
        finally:
            self._report = replace(self._report, warm_up_s=time.perf_counter() - started)

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Graphs made in here are recompiles."""
        with self._adding(expected=False):
            yield

    @contextmanager
    def _adding(self, *, expected: bool) -> Iterator[None]:
        before = _Counters.now()
        try:
            yield
        finally:
            after, report = _Counters.now(), self._report
            frames = _gain(before.frames, after.frames)
            self._report = replace(
                report,
                frames=report.frames + frames,
                recompiles=report.recompiles + (0 if expected else frames),
                graph_breaks=report.graph_breaks + _gain(before.graph_breaks, after.graph_breaks),
                cudagraph_skips=report.cudagraph_skips + _gain(before.cudagraph_skips, after.cudagraph_skips),
                cache_hits=report.cache_hits + _gain(before.cache_hits, after.cache_hits),
                cache_misses=report.cache_misses + _gain(before.cache_misses, after.cache_misses),
            )


def _gain(before: int, after: int) -> int:
    """Somebody may have cleared the counters in between: then what they show is the gain."""
    return after - before if after >= before else after


def _has_gpu() -> bool:
    """On a CPU the compiler counts each wish for a CUDA graph as one that it skipped."""
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    return cuda is not None and bool(cuda.is_available())


def compile_report_of(forecaster: Forecaster) -> CompileReport:
    """What the compiler did for a forecaster of this process; all zero for one that is not compiled."""
    return forecaster.report() if isinstance(forecaster, Reporting) else CompileReport()
