"""`trader evaluate`: how good the forecasts of backends are, on bars that came after them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from trader.commands.options import json_option, settings_of, time


@click.command("evaluate")
@click.option("--backends", default="baseline", show_default=True, help="Comma list of FORECASTER names.")
@click.option("--symbols", help="Comma list (default: those of --data, else SYMBOLS).")
@click.option("--timeframe", help="Of the stored bars (default: TIMEFRAME).")
@click.option("--data", multiple=True, metavar="SYM=FILE", help="Bars of a file instead of stored ones (repeatable).")
@click.option("--origins", default=200, show_default=True, type=click.IntRange(2, 100_000), help="A symbol.")
@click.option("--from", "start", type=time, help="First origin, UTC (default: the last quarter's).")
@click.option("--to", "end", type=time, help="Last origin, UTC (default: the newest).")
@click.option("--context", type=click.IntRange(min=30), help="Bars in (default: CONTEXT).")
@click.option("--horizon", type=click.IntRange(1, 256), help="Bars ahead (default: HORIZON).")
@click.option("--batch", default=64, show_default=True, type=click.IntRange(1, 4096), help="Windows at a time.")
@click.option("--timing/--no-timing", default=True, show_default=True, help="Latency, windows a second and memory.")
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="One self-contained HTML file.")
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
    as_json: bool,
) -> int:
    """Scores of backends at rolling origins, against `baseline` and a random walk.

    Exit code 1 where none of the backends could be evaluated.
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
    )
    return run(wish, settings_of, as_json=as_json)
