"""A comparison from what is wished for to what it came to: its arms opened, asked in turns, and the evidence kept."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from forecasters.compiled.forced import COARSER
from forecasters.compiled.guard import GuardOptions
from forecasters.compiled.likeness import Tolerance
from settings.load import Loaded
from settings.schema import Settings
from trader.adapters.journal.codec import to_plain
from trader.errors import ConfigurationError
from trader.folders import RIGHT, unwritable
from trader.research.backtest.simulate import Setup, market_options
from trader.research.backtest.sources import settled
from trader.research.compare.compare import Comparison, Progress, compare, last_cycles
from trader.research.compare.learned import trained_arms
from trader.research.compare.rival_workers import RivalSpec, open_rival
from trader.research.compare.unfinished import KEPT_DAYS, Unfinished, unfinished_of
from trader.research.data.store import write_atomically

MARGIN = 2  # bars between the last forecast's horizon and the end of the data
_EVIDENCE = "compare"  # the folder in STATE_DIR

Say = Callable[[str], None]
SettingsOf = Callable[[Mapping[str, object]], Loaded]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked for; see `trader compare --help`.

    flags      settings of both arms, by the settings' names
    generated  on a generated market, where no files are given
    out        the file of the evidence; None: in STATE_DIR/compare
    in_sample  whether bars that an arm has learned may be among those that both are asked about
    """

    reference: str
    candidate: str
    flags: Mapping[str, object]
    cycles: int = 200
    generated: bool = False
    out: Path | None = None
    in_sample: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """`settings` are the reference's, `evidence` is the file that holds it all."""

    comparison: Comparison
    settings: Settings
    evidence: Path


def compared(wish: Wish, settings_of: SettingsOf, *, progress: Progress = lambda done: None, say: Say) -> Compared:
    """Raises ConfigurationError.

    settings_of  the settings with these flags on top, by the settings' names
    """
    specs = [RivalSpec.parse(text) for text in (wish.reference, wish.candidate)]
    if wish.reference == wish.candidate:
        raise ConfigurationError(f"{wish.reference} twice is no comparison; right: for example kronos kronos-compiled")
    settings = [
        spec.with_options(settled(settings_of({**wish.flags, **spec.flags()}), generated=wish.generated))
        for spec in specs
    ]
    setup = _setup(settings[0], wish.cycles)
    folder = wish.out.parent if wish.out else settings[0].store.state_dir / _EVIDENCE
    if why := unwritable(folder):  # now, and not after hours of comparing
        raise ConfigurationError(f"the evidence can't be kept in {folder}: {why}; {RIGHT}")
    arms = trained_arms(setup, specs, settings)
    for arm in () if wish.in_sample else arms:
        arm.demand_unseen()
    with ExitStack() as stack:
        first, second = (
            open_rival(spec, rival_settings, stack, say) for spec, rival_settings in zip(specs, settings, strict=True)
        )
        parts = (setup.market, setup.cycles, _tolerance(settings[0]))
        unfinished = unfinished_of(settings, (first, second), parts, list(setup.market.data.values()))
        with going_on(unfinished, wish.cycles, say):
            comparison = compare(
                setup,
                first,
                second,
                settings[0].compare,
                tolerance=_tolerance(settings[0]),
                progress=progress,
                unfinished=unfinished,
            )
    comparison = replace(
        comparison, trained=tuple(arm.told for arm in arms), in_sample=any(arm.in_sample for arm in arms)
    )
    evidence = _kept(comparison, settings[0], wish.out)
    unfinished.forget()
    return Compared(comparison=comparison, settings=settings[0], evidence=evidence)


@contextmanager
def going_on(unfinished: Unfinished, cycles: int, say: Say) -> Iterator[None]:
    """Says where a comparison goes on, and, where it is interrupted, that it can."""
    _prune(unfinished, say)
    if len(unfinished):
        say(f"going on: {len(unfinished)} of {cycles} cycles were asked in an earlier sitting")
    try:
        yield
    except KeyboardInterrupt:
        say(f"interrupted: {len(unfinished)} of {cycles} cycles are kept; the same command goes on there")
        raise


def _prune(unfinished: Unfinished, say: Say) -> None:
    """What can't be removed is no reason not to compare."""
    try:
        count, size = unfinished.prune()
    except OSError as error:
        say(f"old unfinished comparisons could not be removed: {error}")
        return
    if count:
        what = "1 unfinished comparison" if count == 1 else f"{count} unfinished comparisons"
        say(f"removed {what} ({size / 1e6:.1f} MB) that nobody went on with for {KEPT_DAYS} days")


def _tolerance(settings: Settings) -> Tolerance:
    """As the guard's, and the rule's of the raw outputs. Coarser numbers may differ by more."""
    models = {"kronos": settings.kronos.dtype, "toto": settings.toto.dtype}
    dtype = models.get(settings.trading.family, "float32")
    outputs = min(settings.compare.teacher_forced * (1 if dtype == "float32" else COARSER), 1.0)
    return replace(GuardOptions().tolerance(dtype), outputs=outputs)


def _setup(settings: Settings, cycles: int) -> Setup:
    setup = Setup(settings=settings, market=market_options(settings))
    return last_cycles(setup, cycles, settings.trading.horizon + MARGIN)


def _kept(comparison: Comparison, settings: Settings, out: Path | None) -> Path:
    """The evidence on the disk."""
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
