"""`trader finetune`: Kronos trained on bars, from random weights or from a checkpoint, into a folder to run from."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from trader.commands.options import A_TIME, in_utc, loaded_settings, need_models
from trader.printable import console as printable_console

if TYPE_CHECKING:
    from forecasters.kronos.sizes import Shape
    from forecasters.kronos.training.recipe import Recipe
    from forecasters.kronos.training.stage import Observer, Point
    from forecasters.kronos.training.train import Trained
    from forecasters.kronos.training.windows import TrainingSeries

INTERRUPTED = 130


@click.command("finetune")
@click.option("--symbols", help="A comma list. Their stored bars are used, or those of --data.")
@click.option("--timeframe", help="The length of the stored bars (default: TIMEFRAME).")
@click.option("--data", multiple=True, metavar="SYM=FILE", help="A Parquet or CSV file of bars (repeatable).")
@click.option(
    "--generated", type=click.IntRange(min=0), metavar="SEED", help="Use generated markets, made from this seed."
)
@click.option(
    "--markets", default=32, show_default=True, type=click.IntRange(min=1), help="--generated: how many markets."
)
@click.option(
    "--bars", default=12_000, show_default=True, type=click.IntRange(min=1), help="--generated: how many bars of each."
)
@click.option(
    "--size", default="nano", show_default=True, help="The size, from random weights: pico, nano, mini, small or base."
)
@click.option(
    "--checkpoint", "begin", metavar="CHECKPOINT", help="Go on from these weights: a folder or a name on the hub."
)
@click.option("--from", "start", metavar="TIME", help="Learn bars from here on only, UTC (default: from the first).")
@click.option(
    "--to", "end", metavar="TIME", help="Learn no bar that closes later, UTC; what comes after it can be evaluated on."
)
@click.option("--steps", type=click.IntRange(min=0), help="How many steps the network is trained.")
@click.option(
    "--epochs", type=click.FloatRange(min=0, min_open=True), help="Instead of --steps: how often each bar is seen."
)
@click.option(
    "--tokenizer-steps",
    type=click.IntRange(min=0),
    help="How many steps the tokenizer is trained. 0 keeps it as it is.",
)
@click.option("--tokens", type=click.IntRange(min=1), help="How many bars are learned in a step.")
@click.option("--context", type=click.IntRange(min=1), help="The longest context, in bars.")
@click.option("--horizon", type=click.IntRange(min=1), help="How many bars after the context are learned.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="The learning rate of the network.")
@click.option(
    "--sampled-s1",
    is_flag=True,
    help="Learn the second token of a bar given a drawn first one, as the published code does.",
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="The seed of the training.")
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder to write (default: models/NAME in STATE_DIR).",
)
def command(
    symbols: str | None,
    timeframe: str | None,
    data: tuple[str, ...],
    generated: int | None,
    markets: int,
    bars: int,
    size: str,
    begin: str | None,
    start: str | None,
    end: str | None,
    steps: int | None,
    epochs: float | None,
    tokenizer_steps: int | None,
    tokens: int | None,
    context: int | None,
    horizon: int | None,
    rate: float | None,
    sampled_s1: bool,
    seed: int,
    device: str,
    out: Path | None,
) -> int:
    """Train Kronos on bars. The same command goes on where it was interrupted.

    The folder that it writes is a KRONOS_MODEL_ID. Its card.json says until when it has learned each symbol's bars:
    `evaluate`, `backtest` and `compare` refuse to ask it about those.
    """
    need_models("training")
    span = (_moment("--from", start), _moment("--to", end))
    series = _within(_series(symbols, timeframe, data, generated, markets, bars), *span)
    choices = {
        "steps": steps,
        "tokenizer_steps": tokenizer_steps,
        "tokens": tokens,
        "longest_context": context,
        "horizon": horizon,
        "network_rate": rate,
        "sampled_s1": sampled_s1 or None,
        "seed": seed,
    }
    first, recipe = _plan(size, begin, choices, epochs, sum(len(bars_of) for bars_of in series))
    folder = out or loaded_settings().settings.store.state_dir / "models" / f"kronos-{size if begin is None else 'own'}"
    result = _trained(series, recipe, folder, first, device)
    return _say(result)


def _series(
    symbols: str | None, timeframe: str | None, data: Sequence[str], generated: int | None, markets: int, bars: int
) -> list[TrainingSeries]:
    from trader.commands import finetune_bars
    from trader.errors import ConfigurationError

    files = finetune_bars.parsed(data)
    chosen_symbols = finetune_bars.symbols_of(symbols)
    series = [
        finetune_bars.from_file(symbol, file)
        for symbol, file in files
        if not chosen_symbols or symbol in chosen_symbols
    ]
    in_store = [symbol for symbol in chosen_symbols if symbol not in dict(files)]
    if in_store:
        series += finetune_bars.of_store(loaded_settings(None, timeframe=timeframe).settings, in_store)
    if generated is not None:
        series += finetune_bars.generated(generated, markets, bars)
    if not series:
        raise ConfigurationError(
            "nothing to learn from: give --symbols with stored bars, --data SYM=FILE, or --generated SEED"
        )
    return series


def _within(series: Sequence[TrainingSeries], start: datetime | None, end: datetime | None) -> list[TrainingSeries]:
    """The recorded ones from `start` to `end`. Raises ConfigurationError where nothing is left of one."""
    from trader.errors import ConfigurationError

    found = [each.between(start, end) if each.symbol else each for each in series]
    for before, after in zip(series, found, strict=True):
        if len(before) and not len(after):
            raise ConfigurationError(f"{before.name} has no bars between --from and --to")
    return found


def _moment(option: str, text: str | None) -> datetime | None:
    from trader.errors import ConfigurationError

    try:
        return None if text is None else in_utc(text)
    except ValueError:
        advice = "; weights to go on from are named by --checkpoint" if option == "--from" else ""
        raise ConfigurationError(f"{option} {text}: {A_TIME}{advice}") from None


def _plan(
    size: str, begin: str | None, given: dict[str, int | float | None], epochs: float | None, bars: int
) -> tuple[Shape | str, Recipe]:
    """What to begin from, and the recipe with what was given. Raises ConfigurationError."""
    from forecasters.kronos.sizes import SIZES
    from forecasters.kronos.training.recipe import FURTHER, TrainingError, fresh
    from trader.errors import ConfigurationError

    if begin is None and size not in SIZES:
        raise ConfigurationError(f"--size is {size!r}, not one of {', '.join(SIZES)}")
    if epochs is not None and given["steps"] is not None:
        raise ConfigurationError("give --steps or --epochs, not both")
    if begin is None and 0 in (given["steps"], given["tokenizer_steps"]):
        raise ConfigurationError("0 steps would keep random weights: that is for --checkpoint only")
    changes = {name: value for name, value in given.items() if value is not None}
    try:
        recipe = replace(fresh(SIZES[size]) if begin is None else FURTHER, **changes)  # type: ignore[arg-type]
        if epochs is not None:
            recipe = replace(recipe, steps=math.ceil(epochs * bars / recipe.tokens))
    except TrainingError as error:
        raise ConfigurationError(str(error)) from error
    return (SIZES[size] if begin is None else begin), recipe


def _trained(
    series: Sequence[TrainingSeries], recipe: Recipe, folder: Path, begin: Shape | str, device: str
) -> Trained:
    from forecasters.base import ForecastError
    from forecasters.kronos.training.train import train
    from trader.errors import ConfigurationError

    count = sum(len(each) for each in series)
    click.echo(f"{count:,} bars of {len(series)} series; into {folder}")
    try:
        with _stopping() as stop, _watching() as observe:
            return train(series, recipe, folder, begin=begin, device=device, observe=observe, stop=stop)
    except ForecastError as error:
        raise ConfigurationError(str(error)) from error


def _say(trained: Trained) -> int:
    from trader.commands.finetune_picture import draw

    picture = draw(trained.curve, trained.folder / "curves.png")
    if picture is not None:
        click.echo(f"curves: {picture}")
    if not trained.finished:
        click.echo("stopped; the same command goes on from there")
        return INTERRUPTED
    click.echo(f"{trained.parameters:,} parameters in {trained.folder}; to run on it: KRONOS_MODEL_ID={trained.folder}")
    return 0


@contextmanager
def _stopping() -> Iterator[Callable[[], bool]]:
    """Ctrl-C and SIGTERM end it after the step under way; a second Ctrl-C at once."""
    requests: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        if requests:
            raise KeyboardInterrupt
        requests.append(number)

    old_handlers = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(requests)
    finally:
        for number, handler in old_handlers.items():
            signal.signal(number, handler)


@contextmanager
def _watching() -> Iterator[Observer]:
    """A bar a stage in a terminal, a line a validation elsewhere."""
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    console = printable_console()
    if not console.is_terminal:
        yield _line
        return
    columns = (TextColumn("{task.description:<10}"), BarColumn(), TextColumn("{task.completed:.0f}/{task.total:.0f}"))
    with Progress(*columns, TimeRemainingColumn(), TextColumn("{task.fields[figures]}"), console=console) as progress:
        tasks: dict[str, TaskID] = {}

        def show(point: Point) -> None:
            if point.stage not in tasks:
                tasks[point.stage] = progress.add_task(point.stage, total=point.steps, figures="")
            progress.update(tasks[point.stage], completed=point.step, figures=_figures(point))

        yield show


def _line(point: Point) -> None:
    if any(name.startswith("validation") for name in point.figures):
        click.echo(f"{point.stage} {point.step}/{point.steps}: {_figures(point)}")


def _figures(point: Point) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in point.figures.items())
