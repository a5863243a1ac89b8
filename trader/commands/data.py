"""`trader data`: bars and quotes into the store, and what it holds."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from trader.commands.options import json_option, loaded_settings, time


@click.group("data")
def command() -> None:
    """Stored bars and quotes: import files, download, look at what there is."""


@command.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--symbol", required=True, help="BTC/USD for a crypto pair, AAPL for a stock.")
@click.option("--timeframe", help="1Min, 1Hour, 1Day ... (default: as far apart as the rows are).")
@click.option("--column", "columns", multiple=True, metavar="FIELD=NAME", help="Where a column is guessed wrongly.")
@click.option("--zone", help="Of times without one, for example America/New_York (default: UTC).")
@click.option("--time-format", help="Of times that are not ISO 8601, for example '%d/%m/%Y %H:%M'.")
@click.option("--repair", is_flag=True, help="Leave the listed rows out and put the rest in order.")
@click.option("--replace", is_flag=True, help="Instead of the stored series, not in addition to it.")
@json_option
def import_(
    file: Path,
    symbol: str,
    timeframe: str | None,
    columns: tuple[str, ...],
    zone: str | None,
    time_format: str | None,
    repair: bool,
    replace: bool,
    as_json: bool,
) -> int:
    """Bars of FILE (Parquet, CSV) into the store. Bad rows are listed; with any, nothing is written but by --repair."""
    from trader.research.data.view import ImportWish, import_file

    wish = ImportWish(
        file=file,
        symbol=symbol,
        timeframe=timeframe,
        columns=columns,
        zone=zone,
        time_format=time_format,
        repair=repair,
        replace=replace,
    )
    return import_file(loaded_settings().settings, wish, as_json)


@command.command("download")
@click.option("--symbols", help="Comma list (default: SYMBOLS).")
@click.option("--timeframe", help="Default: TIMEFRAME.")
@click.option("--from", "start", type=time, help="UTC (default: where the stored series ends, or a year ago).")
@click.option("--to", "end", type=time, help="UTC (default: now).")
@click.option("--quotes", is_flag=True, help="Quotes instead of bars: much more data.")
@click.option("--adjustment", type=click.Choice(["split", "raw", "all"]), default="split", show_default=True)
@click.option("--replace", is_flag=True, help="Anew, instead of going on where the stored series ends.")
@json_option
def download(
    symbols: str | None,
    timeframe: str | None,
    start: datetime | None,
    end: datetime | None,
    quotes: bool,
    adjustment: str,
    replace: bool,
    as_json: bool,
) -> int:
    """Bars or quotes from Alpaca; crypto needs no keys. Ctrl-C keeps what has come, the next call goes on there.

    A --from before what is stored fills in what is missing there.
    """
    from trader.research.data.view import DownloadWish, download_all

    wish = DownloadWish(start=start, end=end, quotes=quotes, adjustment=adjustment, replace=replace)
    return download_all(loaded_settings(symbols=symbols, timeframe=timeframe).settings, wish, as_json)


@command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """What is stored: span, gaps against the session calendar, what is noticed (splits, other scales, bad ticks)."""
    from trader.research.data.view import show_list

    show_list(loaded_settings().settings, as_json)
