"""`trader data`: bars and quotes into the store, and what it holds."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from trader.commands.options import json_option, loaded_settings, time


@click.group("data")
def command() -> None:
    """Store bars and quotes: import files, download, list what is stored."""


@command.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--symbol", required=True, help="BTC/USD for a crypto pair, AAPL for a stock.")
@click.option("--timeframe", help="1Min, 1Hour, 1Day ... (default: the distance of the rows).")
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="FIELD=NAME",
    help="Name a column that is guessed wrongly (repeatable).",
)
@click.option("--zone", help="The time zone of times that name none, for example America/New_York (default: UTC).")
@click.option("--time-format", help="The form of times that are not ISO 8601, for example '%d/%m/%Y %H:%M'.")
@click.option("--repair", is_flag=True, help="Leave out the bad rows and sort the rest.")
@click.option("--replace", is_flag=True, help="Replace the stored series instead of adding to it.")
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
    """Store the bars of FILE (Parquet or CSV). Bad rows are listed. If there are any, only --repair writes."""
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
@click.option("--symbols", help="A comma list (default: SYMBOLS).")
@click.option("--timeframe", help="The length of a bar (default: TIMEFRAME).")
@click.option(
    "--from", "start", type=time, help="The start, UTC (default: where the stored series ends, or a year ago)."
)
@click.option("--to", "end", type=time, help="The end, UTC (default: now).")
@click.option("--quotes", is_flag=True, help="Download quotes instead of bars. That is much more data.")
@click.option(
    "--adjustment",
    type=click.Choice(["split", "raw", "all"]),
    default="split",
    show_default=True,
    help="Adjust stocks for splits, for nothing, or for splits and dividends.",
)
@click.option("--replace", is_flag=True, help="Start anew instead of going on where the stored series ends.")
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
    """Download bars or quotes from Alpaca. Crypto needs no keys. Ctrl-C keeps what has come; the next call goes on.

    A --from before what is stored fills in what is missing there.
    """
    from trader.research.data.view import DownloadWish, download_all

    wish = DownloadWish(start=start, end=end, quotes=quotes, adjustment=adjustment, replace=replace)
    return download_all(loaded_settings(symbols=symbols, timeframe=timeframe).settings, wish, as_json)


@command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List what is stored: span, gaps against the session calendar, and oddities (splits, scales, bad ticks)."""
    from trader.research.data.view import show_list

    show_list(loaded_settings().settings, as_json)
