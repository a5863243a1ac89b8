"""`trader evaluate`: how good the forecasts of backends are, on bars that came after them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from trader.commands.options import again_option, in_sample_option, json_option, settings_of, time


@click.command("evaluate")
@click.option("--backends", default="baseline", show_default=True, help="A comma list of names as in FORECASTER.")
@click.option("--symbols", help="A comma list (default: those of --data, or SYMBOLS).")
@click.option("--timeframe", help="The length of the stored bars (default: TIMEFRAME).")
@click.option(
    "--data", multiple=True, metavar="SYM=FILE", help="A file of bars (repeatable). Default: the stored bars."
)
@click.option(
    "--origins",
    default=200,
    show_default=True,
    type=click.IntRange(2, 100_000),
    help="How many origins for each symbol.",
)
@click.option("--from", "start", type=time, help="The first origin, UTC (default: where the last quarter begins).")
@click.option("--to", "end", type=time, help="The last origin, UTC (default: the newest).")
@click.option("--context", type=click.IntRange(min=30), help="How many bars go in (default: CONTEXT).")
@click.option("--horizon", type=click.IntRange(1, 256), help="How many bars are forecast (default: HORIZON).")
@click.option(
    "--batch",
    default=64,
    show_default=True,
    type=click.IntRange(1, 4096),
    help="How many windows are forecast in one batch.",
)
@click.option(
    "--timing/--no-timing", default=True, show_default=True, help="Measure latency, windows a second and memory."
)
@click.option(
    "--report", type=click.Path(dir_okay=False, path_type=Path), help="Write one HTML file, which needs no network."
)
@again_option
@in_sample_option
@json_option
def command(
    backends: str,
    symbols: str | None,
    timeframe: str | None,
    data: tuple[str, ...],
    origins: int,
    start: datetime | None,
    end: datetime | None,
    context: int | None,
    horizon: int | None,
    batch: int,
    timing: bool,
    report: Path | None,
    again: float,
    in_sample: bool,
    as_json: bool,
) -> int:
    """Score backends at rolling origins, beside `baseline` and a random walk.

    Exit code 1 where none of the backends could be evaluated; 78, without figures, where a backend's answer depends on
    what else it was asked, or where it has learned the bars that it would be scored on.
    """
    from trader.daemon.forecaster import check_options
    from trader.research.evaluate.run import Wish, run

    check_options(settings_of({}).settings)
    wish = Wish(
        backends=tuple(name.strip() for name in backends.split(",") if name.strip()),
        symbols=symbols,
        timeframe=timeframe,
        files=data,
        origins=origins,
        start=start,
        end=end,
        context=context,
        horizon=horizon,
        batch=batch,
        timing=timing,
        report=report,
        again=again,
        in_sample=in_sample,
    )
    return run(wish, settings_of, as_json=as_json)
