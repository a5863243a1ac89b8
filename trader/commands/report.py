"""`trader report`: one run as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from trader.commands.options import loaded_settings, mode_option

if TYPE_CHECKING:
    from trader.research.report.run import Run


@click.command("report")
@click.argument("run", required=False, metavar="[RUN]", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.html",
    help="The file to write (default: report.html beside the run).",
)
@mode_option
def command(run: Path | None, out: Path | None, mode: str | None) -> None:
    """Make one HTML file of RUN, the folder of a backtest. Without RUN: of the daemon's own journal.

    The file needs no network. It shows equity, drawdown, months, exposure, costs and each symbol, and the trades on
    candles with the forecast that led to them.
    """
    from trader.errors import ConfigurationError
    from trader.folders import put
    from trader.research.report.report import render

    found, beside = _folder(run) if run is not None else _journal(mode)
    target = out if out is not None else beside
    page = render(found)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        put(target, page)
    except OSError as error:
        raise ConfigurationError(f"--out {target}: {error.strerror or error}") from error
    click.echo(f"{target} ({len(page.encode()) / 1024:.0f} KiB)")


def _folder(folder: Path) -> tuple[Run, Path]:
    from trader.research.report.load import run_of_folder

    return run_of_folder(folder), folder / "report.html"


def _journal(mode: str | None) -> tuple[Run, Path]:
    from trader.adapters.journal import Journal
    from trader.core.types import Timeframe
    from trader.research.report.load import run_of_journal

    settings = loaded_settings(mode).settings
    with Journal.open(settings.database_url, create=False) as journal:
        kind = settings.trading.trading_mode
        found = run_of_journal(journal, kind, Timeframe.parse(settings.trading.timeframe))
    return found, settings.store.state_dir / f"report-{kind}.html"
