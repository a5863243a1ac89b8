"""A comparison as text for a terminal: the verdict first, then what it stands on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import timedelta
from textwrap import wrap

from trader.core.types import Timeframe
from trader.research.compare.compare import Comparison, RivalResult
from trader.research.compare.findings import Finding
from trader.research.compare.teacher import Teaching
from trader.research.compare.verdict import Outcome
from trader.research.intervals import Interval


def show(comparison: Comparison) -> str:
    return "\n".join(_lines(comparison))


def _lines(comparison: Comparison) -> Iterator[str]:
    verdict = comparison.verdict
    yield f"{verdict.outcome}{' (IN-SAMPLE)' if comparison.in_sample else ''}"
    for text in (*verdict.reasons, *(f"warning: {warning}" for warning in verdict.warnings)):
        yield from wrap(text, _WIDTH, initial_indent="  ", subsequent_indent="    ")
    yield f"  {_FOLLOWS[verdict.outcome]}"
    yield ""
    yield from _rule(verdict.findings)
    yield ""
    yield (
        f"{', '.join(comparison.symbols)} {comparison.timeframe}, {comparison.start:%Y-%m-%d %H:%M}Z to "
        f"{comparison.end:%Y-%m-%d %H:%M}Z, {comparison.questions} cycles asked of both in turns"
    )
    if comparison.earlier_cycles:
        yield f"of the cycles, {comparison.earlier_cycles} were asked in an earlier sitting"
    yield from comparison.trained
    yield ""
    yield from _arms(comparison.reference, comparison.candidate)
    yield ""
    yield from _outputs(comparison.teacher_forced)
    yield from _paid_back(comparison)
    if comparison.return_change is not None:
        yield f"return, candidate less reference: {_told(comparison.return_change, percent=True)}"
    if comparison.sharpe_change is not None:
        yield f"Sharpe ratio, candidate less reference: {_told(comparison.sharpe_change)}"


def _rule(findings: Sequence[Finding]) -> Iterator[str]:
    """What decided, line by line."""
    rows = [
        ("", "measured", "the rule asks", "holds"),
        *((f.name, f.measured, f.asked, str(f.answer)) for f in findings),
    ]
    widths = [max(len(row[column]) for row in rows) + 2 for column in range(3)]
    for row in rows:
        yield "".join(text.ljust(width) for text, width in zip(row, widths, strict=False)) + row[3]


def _arms(reference: RivalResult, candidate: RivalResult) -> Iterator[str]:
    width = max(_COLUMN, *(len(text) + 2 for arm in (reference, candidate) for text in (arm.name, arm.model)))
    yield f"{'':<26}{reference.name:>{width}}{candidate.name:>{width}}"
    for title, left, right in zip(_TITLES, _column(reference), _column(candidate), strict=True):
        yield f"{title:<26}{left:>{width}}{right:>{width}}"


def _outputs(teaching: Teaching) -> Iterator[str]:
    """Each kind of raw output, given the same past."""
    if not teaching.outputs:
        yield f"given the same past: {teaching.summary}"
        return
    yield f"given the same past, in {teaching.contexts} contexts ({teaching.allowed:g} is allowed):"
    for name, distance in teaching.outputs.items():
        variation = "" if distance.variation is None else f", total variation {distance.variation:.1e}"
        yield (
            f"  {name:<20}{distance.steps} steps, largest difference {distance.largest:.1e}, "
            f"{distance.relative:.1e} of the spread{variation}"
        )


def _paid_back(comparison: Comparison) -> Iterator[str]:
    """What a faster model costs before it saves anything."""
    reference, candidate = comparison.reference, comparison.candidate
    times = (reference.median_s, candidate.median_s, reference.warm_up_s, candidate.warm_up_s)
    if any(each is None for each in times):
        return
    saved_s, longer_s = times[0] - times[1], times[3] - times[2]  # type: ignore[operator]
    if saved_s <= 0 or longer_s <= 0:
        return
    cycles = math.ceil(longer_s / saved_s)
    days = cycles * Timeframe.parse(comparison.timeframe).duration / timedelta(days=1)
    cold = candidate.report is not None and candidate.report.cold
    yield (
        f"{_seconds(saved_s)} saved in a cycle pay for the longer warm-up{' without a cache' if cold else ''} after "
        f"{cycles:,} cycles, {days:,.0f} days of {comparison.timeframe} bars"
    )


_FOLLOWS = {
    Outcome.COMPILED: "so it is worth compiling: --apply writes that into .env.compile",
    Outcome.EAGER: "so it stays as it is, uncompiled: --apply writes that into .env.compile",
    Outcome.INCONCLUSIVE: "so nothing is decided, and no setting changes",
}
_WIDTH = 110
_COLUMN = 26
_TITLES = (
    "model",
    "forecasts",
    "failures",
    "median of a cycle",
    "99th percentile",
    "warm-up",
    "its compiled code",
    "graphs compiled",
    "recompiles",
    "graph breaks",
    "CUDA graphs skipped",
    "peak memory",
    "MAE of the close",
    "MAE of the high",
    "MAE of the low",
    "CRPS of the close",
    "CRPS of the high",
    "CRPS of the low",
    "round trips",
    "return",
    "Sharpe ratio",
    "its 95% interval",
)


def _column(result: RivalResult) -> Iterator[str]:
    yield result.model or "-"
    yield f"{result.given} of {result.asked}"
    yield str(len(result.failures))
    yield _seconds(result.median_s)
    yield _seconds(result.p99_s)
    yield _seconds(result.warm_up_s)
    report = result.report
    kept = None if report is None else report.cold
    yield {None: "-", True: "made anew", False: "from the cache"}[kept]
    counts = (
        (None,) * 4
        if report is None
        else (report.frames, report.recompiles, report.graph_breaks, report.cudagraph_skips)
    )
    yield from ("-" if count is None else str(count) for count in counts)
    yield "-" if result.memory_mb is None else f"{result.memory_mb:.0f} MB"
    for scores in (result.mae, result.crps):
        for channel in ("close", "high", "low"):
            yield f"{scores[channel]:.4%}"
    yield "-" if result.trades is None else str(result.trades)
    yield "-" if result.total_return is None else f"{result.total_return:+.2%}"
    yield "-" if result.sharpe is None else f"{result.sharpe:.2f}"
    yield "-" if result.sharpe_interval is None else _told(result.sharpe_interval).strip("()")


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _told(interval: Interval, *, percent: bool = False) -> str:
    one = "{:+.2%}" if percent else "{:.2f}"
    return f"({one.format(interval.low)} to {one.format(interval.high)})"
