"""`trader evaluate` from its words to its answer: bars, arms with a progress bar, then a table, JSON, a report."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from forecasters.registry import RegistryError
from settings.load import Loaded
from settings.schema import Settings
from trader.core.market import Bars, to_datetime64
from trader.core.types import Symbol, Timeframe
from trader.errors import ConfigurationError
from trader.folders import put
from trader.printable import console as printable_console
from trader.research.data.store import bars_of_file, store_of
from trader.research.data.windows import Window
from trader.research.evaluate.evaluate import Evaluation, Plan, Say, evaluate
from trader.research.forecasts.again import SHARE
from trader.research.forecasts.arms import resolved
from trader.research.forecasts.store import forecasts_of
from trader.research.forecasts.sweep import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """As the command line says it; see its help."""

    backends: tuple[str, ...]
    symbols: str | None = None
    timeframe: str | None = None
    files: tuple[str, ...] = ()
    origins: int = 200
    start: datetime | None = None
    end: datetime | None = None
    context: int | None = None
    horizon: int | None = None
    batch: int = 64
    timing: bool = True
    report: Path | None = None
    again: float = SHARE
    in_sample: bool = False


SettingsOf = Callable[[Mapping[str, object]], Loaded]


def run(wish: Wish, settings_of: SettingsOf, *, as_json: bool) -> int:
    """Exit code. Raises ConfigurationError.

    settings_of  the settings with these flags on top, by the settings' names
    """
    from trader.research.evaluate.view import as_plain, print_tables

    if wish.report is not None:
        from trader.research.report.pictures import require_matplotlib

        require_matplotlib()  # now, rather than after an hour of forecasts
    with _progress() as (say, listener), said_on_stop():
        found = evaluated(wish, settings_of, say=say, listener=listener)
    if as_json:
        print(json.dumps(as_plain(found)))
    else:
        print_tables(found)
    if wish.report is not None:
        _write_report(found, wish.report, say_where=not as_json)
    return 1 if found.is_empty else 0


def evaluated(
    wish: Wish,
    settings_of: SettingsOf,
    *,
    say: Say = lambda line: None,
    listener: Callable[[str, Progress], None] | None = None,
) -> Evaluation:
    """What was wished for, without a word to anybody but `say` and `listener`. Raises ConfigurationError."""
    loaded = settings_of(_flags(wish))
    _require_known(wish.backends, loaded.settings)
    if wish.start is not None and wish.end is not None and wish.start > wish.end:
        raise ConfigurationError(f"--from {wish.start:%Y-%m-%d %H:%M}Z is after --to {wish.end:%Y-%m-%d %H:%M}Z")
    trading = loaded.settings.trading
    window = Window(context=trading.context, horizon=trading.horizon)
    plan = Plan(
        backends=wish.backends,
        window=window,
        origins=wish.origins,
        batch=wish.batch,
        timing=wish.timing,
        again=wish.again,
        in_sample=wish.in_sample,
    )
    series = series_of(loaded, wish)
    origins = {bars.symbol: _origins(bars, plan, wish) for bars in series} if wish.start or wish.end else None
    return evaluate(
        plan,
        series,
        lambda name: settings_of({**_flags(wish), "forecaster": name}),
        forecasts_of(loaded.settings),
        origins=origins,
        say=say,
        listener=listener,
    )


def _require_known(backends: Collection[str], settings: Settings) -> None:
    """A backend that fails is left out of the table; one that does not exist is a slip of the pen."""
    if not backends:
        raise ConfigurationError("--backends names none; right: for example baseline,kronos")
    for name in backends:
        try:
            resolved(name, settings)
        except RegistryError as error:
            raise ConfigurationError(f"--backends: {error}") from error


def series_of(loaded: Loaded, wish: Wish) -> list[Bars]:
    """Files where they are given, else what is stored."""
    files = dict(_file(text) for text in wish.files)
    if files:
        symbols = list(files) if wish.symbols is None else [Symbol(text) for text in loaded.settings.trading.symbols]
        missing = [str(symbol) for symbol in symbols if symbol not in files]
        if missing:
            raise ConfigurationError(f"--data has no file for {', '.join(missing)}: add --data {missing[0]}=FILE")
        return [bars_of_file(symbol, files[symbol]) for symbol in symbols]
    store, trading = store_of(loaded.settings), loaded.settings.trading
    return [store.series(Symbol(text), Timeframe.parse(trading.timeframe)) for text in trading.symbols]


def _file(text: str) -> tuple[Symbol, Path]:
    name, sign, path = text.partition("=")
    try:
        return Symbol(name.strip().upper()), Path(path) if sign and path else Path("")
    except ValueError as error:
        raise ConfigurationError(f"--data: {error}") from None


def _flags(wish: Wish) -> dict[str, object]:
    given = {
        "symbols": wish.symbols,
        "timeframe": wish.timeframe,
        "context": wish.context,
        "horizon": wish.horizon,
    }
    return {name: value for name, value in given.items() if value is not None}


def _origins(bars: Bars, plan: Plan, wish: Wish) -> list[int]:
    """Evenly over the span that was asked for, as far as there is a whole context before."""
    first, last = plan.window.context, len(bars) - plan.window.horizon
    if wish.start is not None:
        first = max(first, int(np.searchsorted(bars.times, to_datetime64(_utc(wish.start)))))
    if wish.end is not None:
        last = min(last, int(np.searchsorted(bars.times, to_datetime64(_utc(wish.end)))))
    if last < first:
        raise ConfigurationError(
            f"{bars.symbol} has no origins between --from and --to with {plan.window.context} bars before them"
        )
    count = min(plan.origins, last - first + 1)
    return sorted(set(np.linspace(first, last, count).round().astype(int).tolist()))


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


@contextmanager
def _progress() -> Iterator[tuple[Say, Callable[[str, Progress], None]]]:
    """A bar for each backend on standard error; what its worker says stands beside it."""
    from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Shown

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[stored]} stored[/]"),
    )
    with Shown(*columns, console=printable_console(sys.stderr), transient=True) as shown:
        tasks: dict[str, TaskID] = {}

        def listen(name: str, progress: Progress) -> None:
            if name not in tasks:
                tasks[name] = shown.add_task(name, total=progress.total, stored=0)
            shown.update(tasks[name], completed=progress.done, stored=progress.stored)

        def say(line: str) -> None:
            if line.strip() and not line.startswith("INFO "):  # heartbeats, and what is usual of single forecasts
                shown.console.print(line, style="dim", highlight=False, markup=False)

        yield say, listen


@contextmanager
def said_on_stop() -> Iterator[None]:
    """Ctrl-C loses nothing; whoever pressed it may want to know."""
    try:
        yield
    except KeyboardInterrupt:
        print("what has been done is kept: the same command goes on there", file=sys.stderr)
        raise


def _write_report(evaluation: Evaluation, path: Path, *, say_where: bool) -> None:
    from trader.research.evaluate.html import page

    try:
        put(path, page(evaluation))
    except OSError as error:
        raise ConfigurationError(f"--report {path}: {error.strerror or error}") from error
    if say_where:
        print(f"report: {path}")
