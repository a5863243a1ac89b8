"""`trader compare`: should a model be compiled? Two arms, in turns, on the same bars; a decision with its reasons."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trader.commands.options import in_sample_option, json_option, settings_of, whisper

if TYPE_CHECKING:
    from trader.research.compare.compare import Comparison


@click.command("compare")
@click.argument("reference")
@click.argument("candidate")
@click.option("--symbols", help="A comma list (default: those of --data, or SYMBOLS).")
@click.option("--timeframe", help="The length of a bar (default: that of --data, or TIMEFRAME).")
@click.option(
    "--data", multiple=True, metavar="SYM=FILE", help="A file of bars (repeatable). Default: the stored bars."
)
@click.option("--generated", is_flag=True, help="Use a generated market instead of bars.")
@click.option("--seed", type=int, help="The seed of the generated market.")
@click.option("--strategy", help="The strategy of the backtest (default: STRATEGY).")
@click.option(
    "--cycles", type=click.IntRange(min=1), default=200, show_default=True, help="At how many bars both are asked."
)
@click.option("--apply", "apply_it", is_flag=True, help="Write the decision into the .env.compile of this folder.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the evidence goes (default: into STATE_DIR/compare).",
)
@click.option("--state-dir", type=click.Path(file_okay=False), help="The folder of the stored bars and forecasts.")
@in_sample_option
@json_option
def command(
    reference: str,
    candidate: str,
    symbols: str | None,
    timeframe: str | None,
    data: tuple[str, ...],
    generated: bool,
    seed: int | None,
    strategy: str | None,
    cycles: int,
    apply_it: bool,
    out: Path | None,
    state_dir: str | None,
    in_sample: bool,
    as_json: bool,
) -> int:
    """Compare REFERENCE (eager) with CANDIDATE (compiled), for example `kronos kronos-compiled`.

    Either may carry settings of its own: `kronos,KRONOS_SAMPLE_COUNT=10`. Exit 1 where it is INCONCLUSIVE.

    One that is cut off (Ctrl-C, a kill) goes on with the same command, up to 30 days later.
    """
    from trader.research.compare.run import Wish, compared

    flags: dict[str, object] = {
        "trading_mode": "sim",
        "symbols": symbols,
        "timeframe": timeframe,
        "strategy": strategy,
        "sim__bars": data,
        "sim__seed": seed,
        "state_dir": state_dir,
    }
    wish = Wish(
        reference=reference,
        candidate=candidate,
        flags=flags,
        cycles=cycles,
        generated=generated or not data,
        out=out,
        in_sample=in_sample,
    )
    outcome = compared(wish, settings_of, progress=_progress(cycles), say=whisper)
    comparison, evidence = outcome.comparison, outcome.evidence
    click.echo(evidence.read_text() if as_json else _shown(comparison))
    click.echo(f"evidence: {evidence}", err=True)
    if apply_it:
        from trader.research.compare.apply_decision import apply_decision

        click.echo(apply_decision(comparison, outcome.settings.trading.family, evidence, Path.cwd()), err=True)
    return 1 if comparison.verdict.outcome == "INCONCLUSIVE" else 0


def _shown(comparison: Comparison) -> str:
    from trader.commands.compare_table import show

    return show(comparison)


def _progress(cycles: int) -> Callable[[int], None]:
    """A line that is written over on a terminal; nothing elsewhere."""

    def tell(done: int) -> None:
        sys.stderr.write(f"\rasking both: {done} of {cycles} cycles ")
        sys.stderr.flush()

    return tell if sys.stderr.isatty() else lambda done: None
