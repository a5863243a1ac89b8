"""An evaluation as tables for a terminal and as plain values for JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from trader.core.market import to_datetime
from trader.printable import console as printable_console
from trader.research.evaluate.evaluate import Against, ArmResult, Evaluation
from trader.research.evaluate.measure import RULER, Figures, Truth
from trader.research.evaluate.random_walk import NAME as RANDOM_WALK
from trader.research.evaluate.scores import Difference, Share

if TYPE_CHECKING:
    from rich.table import Table

_PIPED = 160
NOTE = (
    "MASE and CRPS are in units of the context's mean absolute change from bar to bar; CRPS is twice the mean pinball "
    "loss at 10% to 90%. Less is better. Skill is the share of the random walk's CRPS that is saved."
)


def print_tables(evaluation: Evaluation) -> None:
    """On standard output."""
    console = printable_console()
    if not console.is_terminal:
        console = printable_console(width=_PIPED)  # a file has no edge to wrap at
    for table in (_score_table(evaluation), _against_table(evaluation), _cost_table(evaluation)):
        if table.row_count:
            console.print(table)
    for arm in evaluation.arms:
        if arm.problem:
            console.print(f"[red]{arm.name}[/] was left out: {arm.problem}", highlight=False)
        for reason, count in arm.absent.items():
            console.print(f"{arm.name} had no forecast at {count} origins: {reason}", highlight=False)
    for symbol, truth in evaluation.truths.items():
        console.print(f"{symbol}: {span_of(truth)}", highlight=False)
    for line in notes_of(evaluation):
        console.print(line, highlight=False, markup=False)
    console.print(f"[dim]{NOTE}[/]", highlight=False)


def notes_of(evaluation: Evaluation) -> Iterator[str]:
    """What the figures of each backend rest on."""
    for arm in evaluation.arms:
        if arm.trained is not None:
            yield arm.trained.told
        if arm.again is not None:
            yield f"{arm.name} {arm.again.told}"
        if arm.unkept:
            yield f"{arm.name}: its forecasts are not stored: {arm.unkept}"


def span_of(truth: Truth) -> str:
    if not truth.origins:
        return f"no origins; {truth.skipped} skipped for missing bars"
    first, last = (to_datetime(truth.asof[n]) for n in (0, -1))
    skipped = f"; {truth.skipped} skipped for missing bars" if truth.skipped else ""
    return f"{len(truth.origins)} origins from {first:%Y-%m-%d %H:%M}Z to {last:%Y-%m-%d %H:%M}Z{skipped}"


def skill(evaluation: Evaluation, figures: Figures) -> float | None:
    """The share of the random walk's score of the close that is saved."""
    walk = next(
        (other for other in evaluation.figures if other.arm == RANDOM_WALK and other.symbol == figures.symbol), None
    )
    return None if walk is None or figures is walk else 1 - figures.score["close"] / walk.score["close"]


def share_text(share: Share) -> str:
    if share.value is None or share.interval is None:
        return "-"
    return f"{share.value:.1%} [{share.interval.low:.0%}, {share.interval.high:.0%}]"


def difference_text(difference: Difference) -> str:
    low, high = difference.interval.low, difference.interval.high
    p = "-" if difference.p_value is None else f"{difference.p_value:.3f}"
    return f"{difference.mean:+.4f} [{low:+.4f}, {high:+.4f}], p {p}"


def _score_table(evaluation: Evaluation) -> Table:
    from rich.table import Table

    table = Table(title="Scores", title_justify="left")
    for name in ("symbol", "backend"):
        table.add_column(name)
    columns = ("n", "MAE close", "MASE c / h / l", "CRPS", "of paths", "skill", "80% covers", "direction")
    for name in columns:
        table.add_column(name, justify="right")
    for figures in evaluation.figures:
        saved = skill(evaluation, figures)
        table.add_row(
            str(figures.symbol), evaluation.shown(figures.arm), str(figures.count), f"{figures.mae['close']:.6g}",
            " / ".join(f"{figures.mase[name]:.2f}" for name in ("close", "high", "low")),
            f"{figures.score['close']:.4f}", "-" if figures.path_score is None else f"{figures.path_score:.4f}",
            "-" if saved is None else f"{saved:+.1%}", share_text(figures.coverage["close"]), share_text(figures.hits),
        )  # fmt: skip
    return table


def _against_table(evaluation: Evaluation) -> Table:
    from rich.table import Table

    table = Table(title="Difference of the CRPS, 95% interval", title_justify="left")
    for name in ("backend", "against", "symbol", "difference", "verdict"):
        table.add_column(name)
    for pair in evaluation.against:
        symbol = "all" if pair.symbol is None else str(pair.symbol)
        names = (evaluation.shown(pair.arm), evaluation.shown(pair.other))
        table.add_row(*names, symbol, difference_text(pair.difference), pair.difference.verdict)
    return table


def _cost_table(evaluation: Evaluation) -> Table:
    from rich.table import Table

    table = Table(title="Cost", title_justify="left")
    table.add_column("backend")
    for name in ("latency", "99%", "windows/s", "warm-up", "peak memory", "GPU memory", "computed", "stored"):
        table.add_column(name, justify="right")
    for arm in evaluation.arms:
        if arm.about:
            table.add_row(arm.name + arm.mark, *cost_cells(arm))
    return table


def cost_cells(arm: ArmResult) -> list[str]:
    """Latency, 99%, windows a second, warm-up, memory, GPU memory, computed, stored."""
    timing = arm.timing
    counts = [str(arm.computed), str(arm.stored)]
    if timing is None:
        return ["-"] * 6 + counts
    memory = ["-" if mb is None else f"{mb:.0f} MB" for mb in (timing.memory_mb, timing.gpu_memory_mb)]
    times = [f"{1e3 * timing.latency_s:.1f} ms", f"{1e3 * timing.latency_p99_s:.1f} ms"]
    return [*times, f"{timing.windows_per_s:.1f}", f"{timing.warm_up_s:.1f} s", *memory, *counts]


# ---- JSON ----


def as_plain(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "context": evaluation.plan.window.context,
        "horizon": evaluation.plan.window.horizon,
        "levels": RULER.tolist(),
        "symbols": [_truth_plain(truth) for truth in evaluation.truths.values()],
        "arms": [_arm_plain(arm) for arm in evaluation.arms],
        "scores": [_figures_plain(evaluation, figures) for figures in evaluation.figures],
        "differences": [_against_plain(evaluation, pair) for pair in evaluation.against],
    }


def _truth_plain(truth: Truth) -> dict[str, Any]:
    ends = [to_datetime(truth.asof[n]).isoformat() if truth.origins else None for n in (0, -1)]
    return {
        "symbol": str(truth.bars.symbol),
        "timeframe": str(truth.bars.timeframe),
        "origins": len(truth.origins),
        "first": ends[0],
        "last": ends[1],
        "skipped": truth.skipped,
    }


def _arm_plain(arm: ArmResult) -> dict[str, Any]:
    return {
        "name": arm.name,
        "problem": arm.problem or None,
        "key": dict(arm.about),
        "absent": dict(arm.absent),
        "timing": None if arm.timing is None else asdict(arm.timing),
        "computed": arm.computed,
        "stored": arm.stored,
        "not_stored_for": arm.unkept or None,
        "learned_to": _learned(arm),
        "in_sample": list(arm.trained.in_sample) if arm.trained is not None else [],
        "asked_again": None if arm.again is None else asdict(arm.again),
    }


def _learned(arm: ArmResult) -> Any:
    """By symbol; "unknown" where nobody says what else it has learned."""
    if arm.trained is None:
        return {}
    learned = {symbol: at.isoformat() for symbol, at in arm.trained.learned_to.items()}
    return learned | ({"others": "unknown"} if arm.trained.unknown else {})


def _figures_plain(evaluation: Evaluation, figures: Figures) -> dict[str, Any]:
    return {
        "symbol": str(figures.symbol),
        "arm": figures.arm,
        "in_sample": bool(evaluation.shown(figures.arm) != figures.arm),
        "origins": figures.count,
        "mae": dict(figures.mae),
        "mase": dict(figures.mase),
        "crps": dict(figures.score),
        "crps_of_paths": figures.path_score,
        "skill": skill(evaluation, figures),
        "coverage_80": {name: _share_plain(share) for name, share in figures.coverage.items()},
        "pit": figures.pit.tolist(),
        "reliability": figures.below.tolist(),
        "direction": _share_plain(figures.hits),
    }


def _share_plain(share: Share) -> dict[str, Any]:
    interval = None if share.interval is None else [share.interval.low, share.interval.high]
    return {"value": share.value, "hits": share.hits, "count": share.count, "interval": interval}


def _against_plain(evaluation: Evaluation, each: Against) -> dict[str, Any]:
    difference = each.difference
    return {
        "arm": each.arm,
        "against": each.other,
        "in_sample": any(evaluation.shown(name) != name for name in (each.arm, each.other)),
        "symbol": None if each.symbol is None else str(each.symbol),
        "mean": difference.mean,
        "count": difference.count,
        "interval": [difference.interval.low, difference.interval.high],
        "statistic": difference.statistic,
        "p_value": difference.p_value,
        "verdict": difference.verdict,
    }
