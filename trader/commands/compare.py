"""`trader compare`: should a model be compiled? Two arms, in turns, on the same bars; a decision with its reasons."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trader.commands.options import json_option, settings_of, whisper
from trader.errors import ConfigurationError
from trader.folders import RIGHT, unwritable

if TYPE_CHECKING:
    from forecasters.compiled.likeness import Tolerance
    from settings.schema import Settings
    from trader.research.backtest.simulate import Setup
    from trader.research.compare.compare import Comparison
    from trader.research.compare.unfinished import Unfinished

COARSER = 50  # bfloat16's rounding moves kronos-nano's logits by up to 1.7% of their spread: 1% off can't be told there
_EVIDENCE = "compare"  # the folder in STATE_DIR
MARGIN = 2  # bars between the last forecast's horizon and the end of the data


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
    as_json: bool,
) -> int:
    """Compare REFERENCE (eager) with CANDIDATE (compiled), for example `kronos kronos-compiled`.

    Either may carry settings of its own: `kronos,KRONOS_SAMPLE_COUNT=10`. Exit 1 where it is INCONCLUSIVE.

    One that is cut off (Ctrl-C, a kill) goes on with the same command, up to 30 days later.
    """
    shared: dict[str, object] = {
        "trading_mode": "sim",
        "symbols": symbols,
        "timeframe": timeframe,
        "strategy": strategy,
        "sim__bars": data,
        "sim__seed": seed,
        "state_dir": state_dir,
    }
    generated = generated or not data
    comparison, settings, unfinished = _compared(reference, candidate, shared, cycles, out, generated=generated)
    evidence = _kept(comparison, settings, out)
    unfinished.forget()
    click.echo(evidence.read_text() if as_json else _shown(comparison))
    click.echo(f"evidence: {evidence}", err=True)
    if apply_it:
        from trader.research.compare.apply_decision import apply_decision

        click.echo(apply_decision(comparison, settings.trading.family, evidence, Path.cwd()), err=True)
    return 1 if comparison.verdict.outcome == "INCONCLUSIVE" else 0


def _compared(
    reference: str, candidate: str, shared: dict[str, object], cycles: int, out: Path | None, *, generated: bool
) -> tuple[Comparison, Settings, Unfinished]:
    from trader.research.compare.compare import compare
    from trader.research.compare.rival_workers import RivalSpec, open_rival
    from trader.research.compare.unfinished import unfinished_of

    specs = [RivalSpec.parse(text) for text in (reference, candidate)]
    if reference == candidate:
        raise ConfigurationError(f"{reference} twice is no comparison; right: for example kronos kronos-compiled")
    settings = [spec.with_options(_settings_of_rival({**shared, **spec.flags()}, generated)) for spec in specs]
    setup = _setup(settings[0], cycles)
    folder = out.parent if out else settings[0].store.state_dir / _EVIDENCE
    if why := unwritable(folder):  # now, and not after hours of comparing
        raise ConfigurationError(f"the evidence can't be kept in {folder}: {why}; {RIGHT}")
    with ExitStack() as stack:
        first, second = (open_rival(spec, own, stack, whisper) for spec, own in zip(specs, settings, strict=True))
        parts = (setup.market, setup.cycles, _tolerance(settings[0]))
        unfinished = unfinished_of(settings, (first, second), parts, list(setup.market.data.values()))
        with _going_on(unfinished, cycles):
            comparison = compare(
                setup,
                first,
                second,
                settings[0].compare,
                tolerance=_tolerance(settings[0]),
                progress=_progress(cycles),
                unfinished=unfinished,
            )
    return comparison, settings[0], unfinished


@contextmanager
def _going_on(unfinished: Unfinished, cycles: int) -> Iterator[None]:
    """Says where a comparison goes on, and, where it is interrupted, that it can."""
    _prune(unfinished)
    if len(unfinished):
        whisper(f"going on: {len(unfinished)} of {cycles} cycles were asked in an earlier sitting")
    try:
        yield
    except KeyboardInterrupt:
        whisper(f"interrupted: {len(unfinished)} of {cycles} cycles are kept; the same command goes on there")
        raise


def _prune(unfinished: Unfinished) -> None:
    """What can't be removed is no reason not to compare."""
    from trader.research.compare.unfinished import KEPT_DAYS

    try:
        removed, size = unfinished.prune()
    except OSError as error:
        whisper(f"old unfinished comparisons could not be removed: {error}")
        return
    if removed:
        what = "1 unfinished comparison" if removed == 1 else f"{removed} unfinished comparisons"
        whisper(f"removed {what} ({size / 1e6:.1f} MB) that nobody went on with for {KEPT_DAYS} days")


def _settings_of_rival(flags: dict[str, object], generated: bool) -> Settings:
    from trader.research.backtest.sources import settled

    return settled(settings_of(flags), generated=generated)


def _tolerance(settings: Settings) -> Tolerance:
    """As the guard's, and the rule's of the raw outputs. Coarser numbers may differ by more."""
    from forecasters.compiled.guard import GuardOptions

    models = {"kronos": settings.kronos.dtype, "toto": settings.toto.dtype}
    dtype = models.get(settings.trading.family, "float32")
    outputs = min(settings.compare.teacher_forced * (1 if dtype == "float32" else COARSER), 1.0)
    return replace(GuardOptions().tolerance(dtype), outputs=outputs)


def _setup(settings: Settings, cycles: int) -> Setup:
    from trader.research.backtest.simulate import Setup, market_options
    from trader.research.compare.compare import last_cycles

    setup = Setup(settings=settings, market=market_options(settings))
    return last_cycles(setup, cycles, settings.trading.horizon + MARGIN)


def _kept(comparison: Comparison, settings: Settings, out: Path | None) -> Path:
    """The evidence on the disk."""
    from trader.adapters.journal.codec import to_plain
    from trader.research.data.store import write_atomically

    names = "-".join(each.name.partition(",")[0] for each in (comparison.reference, comparison.candidate))
    path = out or settings.store.state_dir / _EVIDENCE / f"{comparison.at:%Y%m%dT%H%M%SZ}-{names}.json"
    text = json.dumps(_finite(to_plain(comparison)), indent=2, sort_keys=True)
    write_atomically(path, lambda place: place.write_text(text))
    return path.absolute()


def _finite(plain: Any) -> Any:
    """JSON has no word for NaN: unknown is null."""
    if isinstance(plain, dict):
        return {name: _finite(each) for name, each in plain.items()}
    if isinstance(plain, list):
        return [_finite(each) for each in plain]
    return None if isinstance(plain, float) and not math.isfinite(plain) else plain


def _shown(comparison: Comparison) -> str:
    from trader.commands.compare_table import show

    return show(comparison)


def _progress(cycles: int) -> Callable[[int], None]:
    """A line that is written over on a terminal; nothing elsewhere."""

    def tell(done: int) -> None:
        sys.stderr.write(f"\rasking both: {done} of {cycles} cycles ")
        sys.stderr.flush()

    return tell if sys.stderr.isatty() else lambda done: None
