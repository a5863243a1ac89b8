"""`trader bench toto`: what a forecast of Toto costs, eager and compiled, beside the published packages.

Each side runs in a process of its own and is asked in turn, so that whatever else this machine does falls on all of
them alike. The weights are seeded ones of the published sizes: speed does not depend on what they are.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from settings import children
from trader.commands.options import need_models

if TYPE_CHECKING:
    from forecasters.toto.original.peer import Worker

GENERATIONS = {"tiny": 2, "4m": 2, "22m": 2, "tiny-1.0": 1, "base-1.0": 1}
PATIENCE_S = 60.0  # a row ends after the round in which it has taken so long
EAGER, COMPILED, ORIGINAL, ORIGINAL_COMPILED = "eager", "compiled", "original", "original compiled"
TOGETHER = ", drawn together"  # as the daemon draws, where the rows beside it draw the original's own random numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured. samples are for Toto 1.0; forecasts is the number for the memory's growth, 0 for none."""

    sizes: Sequence[str]
    series: Sequence[int]
    horizons: Sequence[int]
    samples: Sequence[int]
    context: int
    repeats: int
    threads: int
    forecasts: int
    compiled: bool
    packages: Path | None
    dtype: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """seconds: medians by side; ratio: the original's over ours; limit: the share of the machine's best that we are."""

    size: str
    series: int
    horizon: int
    samples: int | None
    rounds: int
    seconds: Mapping[str, float]
    ratio: Mapping[str, float]
    limit: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One process after all its rows.

    peak_mb              the most that it held
    loaded_mb, held_mb   what it held once the weights were there, and after all of its rows
    grown_mb             from a fifth of `forecasts` forecasts to the end; None without them
    first_s              its first forecast, and so its compilation
    again_s              the same in a new process with the compiler's cache of the first; None where not compiled
    counters             of torch's compiler, after the forecasts that change all the time; None without them
    """

    size: str
    side: str
    peak_mb: float
    loaded_mb: float
    held_mb: float
    first_s: float
    again_s: float | None = None
    grown_mb: float | None = None
    forecasts_per_s: float | None = None
    counters: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Billions a second, at best: products and sums, and bytes read from memory."""

    gflops: float
    gbytes: float


def bench_toto(plan: Plan, as_json: bool) -> None:
    """Print rows as they come, or all of it as JSON. Raises ForecastError where a process ends."""
    need_models("the bench")
    speed = _speed(plan)
    rows: list[Row] = []
    sides: list[Side] = []
    if not as_json:
        print(
            f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {plan.threads} threads each, ",
            end="",
        )
        print(f"at best {speed.gflops:.0f} GFLOP/s and {speed.gbytes:.0f} GB/s")
    for size in plan.sizes:
        with tempfile.TemporaryDirectory(prefix="bench-toto-") as name:
            for row in _measured(plan, speed, size, Path(name), sides):
                rows.append(row)
                print(_line(row), file=sys.stderr if as_json else sys.stdout, flush=True)
    if as_json:
        machine: dict[str, object] = {"machine": platform.processor() or platform.machine(), "cores": os.cpu_count()}
        machine |= {"threads": plan.threads, "dtype": plan.dtype, "context": plan.context, "speed": asdict(speed)}
        print(json.dumps(machine | {"rows": _plain(rows), "sides": _plain(sides)}, indent=2))
        return
    for side in sides:
        print(_memory_line(side))


def _plain(values: Sequence[Row] | Sequence[Side]) -> list[dict[str, object]]:
    return [asdict(value) for value in values]


def _speed(plan: Plan) -> Speed:
    command = children.python("forecasters.toto.original.speed", str(plan.threads), plan.dtype)
    done = children.run(command)
    done.check_returncode()
    return Speed(**json.loads(done.stdout))


def _measured(plan: Plan, speed: Speed, size: str, folder: Path, sides: list[Side]) -> Iterator[Row]:
    from forecasters.toto.checkpoint import make_checkpoint

    checkpoint = make_checkpoint(size, folder / size)
    generation = GENERATIONS[size]
    with ExitStack() as stack:
        workers = {side: stack.enter_context(each) for side, each in _workers(plan, size, checkpoint).items()}
        first = {side: _asked(worker, plan, size, 1) for side, worker in workers.items()}
        for series in plan.series:
            for horizon in plan.horizons:
                for samples in plan.samples if generation == 1 else [None]:
                    yield _row(plan, speed, size, workers, series, horizon, samples)
        for side, worker in workers.items():
            sides.append(_side(plan, size, side, worker, first[side], checkpoint))


def _workers(plan: Plan, size: str, checkpoint: Path) -> dict[str, Worker]:
    from forecasters.toto.original.peer import original

    generation = GENERATIONS[size]
    workers = {EAGER: _ours(plan, size, checkpoint, compiled=False)}
    if plan.compiled:
        workers[COMPILED] = _ours(plan, size, checkpoint, compiled=True)
    if plan.packages is not None:
        workers[ORIGINAL] = original(plan.packages, checkpoint, generation=generation, threads=plan.threads)
        if plan.compiled and generation == 2:  # 1.0 breaks into dozens of graphs and is made again for each length
            workers[ORIGINAL_COMPILED] = original(
                plan.packages, checkpoint, generation=generation, threads=plan.threads, compile=True
            )
    return workers


def _ours(plan: Plan, size: str, checkpoint: Path, *, compiled: bool) -> Worker:
    from forecasters.toto.original.peer import ours

    return ours(
        checkpoint,
        generation=GENERATIONS[size],
        compile=compiled,
        threads=plan.threads,
        bars=plan.context,
        horizons=plan.horizons,
        variates=plan.series,
        dtype=plan.dtype,
        cache=checkpoint.parent / "inductor",
    )


def _asked(
    worker: Worker,
    plan: Plan,
    size: str,
    series: int,
    horizon: int | None = None,
    samples: int | None = None,
    *,
    together: bool = False,
) -> float:
    """Seconds of one forecast."""
    values = np.random.default_rng(series).standard_normal((series, plan.context)).cumsum(axis=1).astype(np.float32)
    if GENERATIONS[size] == 1 and samples is None:
        samples = plan.samples[0]
    mask, ahead = np.ones_like(values, dtype=np.bool_), horizon or max(plan.horizons)
    return worker.forecast(values, mask, ahead, samples=samples, seed=1, together=together).seconds[0]


def _ways(size: str, workers: Mapping[str, Worker]) -> dict[str, tuple[Worker, bool]]:
    """What is timed: a worker, and whether the variates of a path are drawn together."""
    ways = {side: (worker, False) for side, worker in workers.items()}
    if GENERATIONS[size] == 1:
        ways |= {side + TOGETHER: (workers[side], True) for side in (EAGER, COMPILED) if side in workers}
    return ways


def _row(
    plan: Plan,
    speed: Speed,
    size: str,
    workers: Mapping[str, Worker],
    series: int,
    horizon: int,
    samples: int | None,
) -> Row:
    ways = _ways(size, workers)
    durations: dict[str, list[float]] = {way: [] for way in ways}
    for side, worker in workers.items():
        if side != ORIGINAL:  # a graph of this size may have to be made
            _asked(worker, plan, size, series, horizon, samples)
    start, rounds = time.monotonic(), 0
    while rounds < plan.repeats and (rounds == 0 or time.monotonic() - start < PATIENCE_S):
        for way, (worker, together) in ways.items():
            durations[way].append(_asked(worker, plan, size, series, horizon, samples, together=together))
        rounds += 1
    medians = {side: statistics.median(seconds) for side, seconds in durations.items()}
    ratio = {side: medians[ORIGINAL] / medians[side] for side in medians if ORIGINAL in medians and side != ORIGINAL}
    if ORIGINAL_COMPILED in medians and COMPILED in medians:
        ratio["compiled against compiled"] = medians[ORIGINAL_COMPILED] / medians[COMPILED]
    least = _least(plan, speed, size, series, horizon, samples)
    limit = {way: least / medians[way] for way in medians if way.startswith((EAGER, COMPILED))}
    return Row(
        size=size,
        series=series,
        horizon=horizon,
        samples=samples,
        rounds=rounds,
        seconds=medians,
        ratio=ratio,
        limit=limit,
    )


def _least(plan: Plan, speed: Speed, size: str, series: int, horizon: int, samples: int | None) -> float:
    """Seconds that the machine needs at the least."""
    from forecasters.toto.checkpoint import SIZES
    from forecasters.toto.work import work_of

    work = work_of(SIZES[size], variates=series, steps=plan.context, horizon=horizon, samples=samples)
    return work.seconds(flops_per_s=speed.gflops * 1e9, bytes_per_s=speed.gbytes * 1e9)


def _side(plan: Plan, size: str, side: str, worker: Worker, first_s: float, checkpoint: Path) -> Side:
    again_s = growth_mb = speed = counters = None
    if side == COMPILED:
        with _ours(plan, size, checkpoint, compiled=True) as twin:
            again_s = _asked(twin, plan, size, 1)
    if plan.forecasts and side in (EAGER, COMPILED):
        request = {"do": "many", "forecasts": plan.forecasts, "bars": plan.context, "horizon": max(plan.horizons)}
        answer = worker.ask(request | {"most": max(plan.series), "samples": min(plan.samples)})
        growth_mb, counters = answer["now_mb"] - answer["early_mb"], answer["counters"]
        speed = plan.forecasts / answer["took"]
    peak_mb, held_mb = worker.memory()
    return Side(
        size=size,
        side=side,
        peak_mb=peak_mb,
        loaded_mb=worker.load_mb,
        held_mb=held_mb,
        first_s=first_s,
        again_s=again_s,
        grown_mb=growth_mb,
        forecasts_per_s=speed,
        counters=counters,
    )


def _line(row: Row) -> str:
    what = f"{row.size}, {row.series} series, {row.horizon} bars"
    what += f", {row.samples} samples" if row.samples is not None else ""
    cells = [f"{side} {1e3 * seconds:.1f} ms" for side, seconds in row.seconds.items()]
    cells += [f"{side} {ratio:.2f}x" for side, ratio in row.ratio.items()]
    cells += [f"{side} at {share:.0%} of the limit" for side, share in row.limit.items()]
    return f"{what} ({row.rounds} rounds): " + ", ".join(cells)


def _memory_line(side: Side) -> str:
    line = (
        f"{side.size} {side.side}: peak {side.peak_mb:.0f} MB, {side.loaded_mb:.0f} once loaded, {side.held_mb:.0f} now"
    )
    line += f", first forecast {side.first_s:.1f} s"
    if side.again_s is not None:
        line += f", with a warm cache {side.again_s:.1f} s"
    if side.grown_mb is not None and side.forecasts_per_s is not None:
        line += f", grown {side.grown_mb:+.1f} MB at {side.forecasts_per_s:.1f} forecasts a second"
    if side.counters is not None and side.side == COMPILED:
        line += ", " + ", ".join(f"{count} {name}" for name, count in side.counters.items())
    return line
