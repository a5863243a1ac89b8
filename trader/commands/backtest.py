"""`trader backtest`: the daemon's own code over stored bars, with its bounds and its figures."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trader.commands.options import (
    A_TIME,
    again_option,
    in_sample_option,
    in_utc,
    json_option,
    pairs,
    settings_of,
    whisper,
)
from trader.errors import ConfigurationError

if TYPE_CHECKING:
    from trader.core.types import Symbol
    from trader.research.backtest.result import BacktestResult
    from trader.research.backtest.walkforward import Walk

TOLD_EVERY = 0.01


@click.command("backtest")
@click.option("--symbols", help="Comma list, for example BTC/USD,AAPL (default: those of --data, or SYMBOLS).")
@click.option(
    "--from", "start", metavar="TIME", help="The start. Earlier bars are context (default: as early as possible)."
)
@click.option("--to", "end", metavar="TIME", help="The end (default: the end of the data).")
@click.option("--backend", "--forecaster", "forecaster", help="Default: FORECASTER.")
@click.option("--strategy", help="A name or the path of a file (default: STRATEGY).")
@click.option(
    "--param", "params", multiple=True, metavar="NAME=VALUE", help="A parameter of the strategy (repeatable)."
)
@click.option(
    "--data", multiple=True, metavar="SYM=FILE", help="A file of bars (repeatable). Default: the stored bars."
)
@click.option("--quotes", multiple=True, metavar="SYM=FILE", help="A file of recorded quotes for them (repeatable).")
@click.option(
    "--finer",
    multiple=True,
    metavar="SYM=FILE",
    help="Finer bars, which show what happened inside a bar. `store`: the stored ones.",
)
@click.option("--timeframe", help="The length of a bar (default: that of --data, or TIMEFRAME).")
@click.option("--generated", is_flag=True, help="Use a generated market instead of bars (see --seed, --cycles).")
@click.option("--seed", type=int, help="The seed of the generated market.")
@click.option("--cycles", type=click.IntRange(min=1), help="Stop after this many cycles.")
@click.option("--fit", metavar="GRID", help="Fit on past windows only: 'entry_quantile=0.3,0.5;steps=2,4'.")
@click.option("--window", default="90d", show_default=True, help="--fit: how much of the past is fitted on.")
@click.option("--step", default="30d", show_default=True, help="--fit: how long the choice is used.")
@click.option("--no-bounds", is_flag=True, help="Run only the pessimistic bound, without the optimistic one.")
@click.option(
    "--ahead", type=click.IntRange(min=1), help="How many bars are forecast in one batch. 1: as the daemon does."
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the run into this folder, for `trader report`.",
)
@click.option("--state-dir", type=click.Path(file_okay=False), help="The folder of the stored bars and forecasts.")
@again_option
@in_sample_option
@json_option
def command(
    symbols: str | None,
    start: str | None,
    end: str | None,
    forecaster: str | None,
    strategy: str | None,
    params: tuple[str, ...],
    data: tuple[str, ...],
    quotes: tuple[str, ...],
    finer: tuple[str, ...],
    timeframe: str | None,
    generated: bool,
    seed: int | None,
    cycles: int | None,
    fit: str | None,
    window: str,
    step: str,
    no_bounds: bool,
    ahead: int | None,
    out: Path | None,
    state_dir: str | None,
    again: float,
    in_sample: bool,
    as_json: bool,
) -> int:
    """Run the daemon's own code over stored bars, with fees, spread and partial fills as at the venue.

    Exit 1 if the books do not add up; 78, without figures, where a forecast depends on what else was asked, or is of
    bars that the backend has learned.
    """
    first, until = span(start, end)
    flags: dict[str, object] = {
        "trading_mode": "sim",
        "symbols": symbols,
        "timeframe": timeframe,
        "forecaster": forecaster,
        "strategy": strategy,
        "sim__bars": data,
        "sim__quotes": quotes,
        "sim__seed": seed,
        "sim__start": None if first is None else first.isoformat(),
        "state_dir": state_dir,
    }
    from trader.research.backtest.run import Wish, backtested

    wish = Wish(
        params=pairs(params),
        walk=_walk(fit, window, step),
        finer=None if finer == ("store",) else _files(finer),
        end=until,
        cycles=cycles,
        generated=generated,
        bounds=not no_bounds,
        ahead=ahead,
        out=out,
        again=again,
        in_sample=in_sample,
    )
    return _ended(backtested(settings_of(flags), wish, progress=_progress(), say=whisper).result, as_json)


def _ended(result: BacktestResult, as_json: bool) -> int:
    """Shows it; the exit code."""
    from trader.commands.backtest_table import show

    click.echo(result.as_json() if as_json else show(result))
    return 1 if result.problems else 0


def moment(option: str, text: str) -> datetime:
    """A date or a time, UTC where no zone is said. Raises ConfigurationError."""
    try:
        return in_utc(text)
    except ValueError:
        raise ConfigurationError(f"{option} {text}: {A_TIME}") from None


def span(start: str | None, end: str | None) -> tuple[datetime | None, datetime | None]:
    """`--from` and `--to`, each where given. Raises ConfigurationError, also where they are the wrong way round."""
    first, last = None if start is None else moment("--from", start), None if end is None else moment("--to", end)
    if first is not None and last is not None and first >= last:
        raise ConfigurationError(f"--from {start} is not before --to {end}")
    return first, last


def length(option: str, text: str) -> timedelta:
    """`90d` or `36h`. Raises ConfigurationError."""
    number, unit = text[:-1], text[-1:].lower()
    if unit not in ("d", "h") or not number.isdigit() or int(number) < 1:
        raise ConfigurationError(f"{option} {text}: write a length of time such as 90d or 36h")
    return timedelta(days=int(number)) if unit == "d" else timedelta(hours=int(number))


def _walk(fit: str | None, window: str, step: str) -> Walk | None:
    if fit is None:
        return None
    from trader.research.backtest.walkforward import Walk, grid_of

    return Walk(grid=grid_of(fit), window=length("--window", window), step=length("--step", step))


def _files(finer: tuple[str, ...]) -> dict[Symbol, Path]:
    from trader.core.types import Symbol

    found = {}
    for pair in finer:
        name, _, path = pair.partition("=")
        if not path or not Path(path).is_file():
            raise ConfigurationError(f"--finer {pair}: write SYMBOL=FILE, for example BTC/USD=bars-5m.parquet")
        found[Symbol(name.strip().upper())] = Path(path)
    return found


def _progress() -> Callable[[str, float], None]:
    """A line that is written over on a terminal; nothing elsewhere."""
    told: dict[str, float] = {}

    def tell(name: str, share: float) -> None:
        if share >= 0 and share - told.get(name, -1.0) < TOLD_EVERY:
            return
        told[name] = share
        sys.stderr.write(f"\r{name}: {share:.0%} " if share >= 0 else f"\r{name} ")
        sys.stderr.flush()

    return tell if sys.stderr.isatty() else lambda name, share: None
