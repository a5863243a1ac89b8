"""Commands of upkeep, in groups: config, db, service, bench."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from trader.commands.bench_kronos import command as bench_kronos
from trader.commands.options import json_option, loaded_settings, mode_option, say

_FROM_0, _FROM_1 = click.IntRange(min=0), click.IntRange(min=1)


@click.group()
def config() -> None:
    """Look at the settings."""


@config.command("show")
@mode_option
@json_option
def config_show(mode: str | None, as_json: bool) -> None:
    """Show each setting, its value and where the value came from. Secrets are masked."""
    from trader.commands import show

    show.config(loaded_settings(mode), as_json)


@config.command("example")
def config_example() -> None:
    """Every setting with its default and what it means: the text of .env.example."""
    from settings.example import render

    click.echo(render(), nl=False)


@click.group()
def db() -> None:
    """Look after the database of the journal."""


@db.command("upgrade")
@mode_option
def db_upgrade(mode: str | None) -> None:
    """Bring the schema up to this version of the program."""
    from trader.adapters.journal import upgrade

    click.echo(f"schema is at {upgrade(loaded_settings(mode).settings.database_url)}")


@db.command("backup")
@mode_option
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
def db_backup(mode: str | None, path: Path) -> None:
    """Write a consistent copy to PATH. The daemon may run meanwhile."""
    from trader.adapters.journal import backup

    backup(loaded_settings(mode).settings.database_url, path)
    click.echo(f"backup written to {path}")


@db.command("check")
@mode_option
def db_check(mode: str | None) -> int:
    """Look for damage, and check that executions and fees add up to the venue's figures. Exit 74 if not."""
    from trader.adapters.journal import Journal
    from trader.adapters.journal import check as examine
    from trader.commands.audit import MOST_SKEW, NO_SKEW, audit

    settings = loaded_settings(mode).settings
    url = settings.database_url
    problems = examine(url)
    looked = 0
    if not problems:
        with Journal.open(url, create=False) as journal:
            looked, differences = audit(journal, NO_SKEW if settings.trading.trading_mode == "sim" else MOST_SKEW)
        problems = [
            f"{d.cycle_id}: {d.what} is {d.computed} by our executions, {d.reported} at the venue" for d in differences
        ]
    for problem in problems[:20]:
        say(problem)
    click.echo(f"{len(problems)} problems" if problems else f"sound: {looked} decisions agree with the venue")
    return 74 if problems else 0


@click.group()
def service() -> None:
    """Run the daemon as a systemd service."""


@service.command("install")
@click.option(
    "--mode", type=click.Choice(["paper", "live"]), required=True, help="The account that the service trades."
)
@click.option("--dry-run", is_flag=True, help="Say each step and change nothing.")
def service_install(mode: str, dry_run: bool) -> int:
    """Write the units, enable them, and say where the keys go. Nothing is started."""
    from trader.commands.service import install

    install(mode, dry_run=dry_run, say=click.echo)
    return 0


def _numbers(context: click.Context, parameter: click.Parameter, text: str) -> list[int]:
    """A comma list of numbers above 0. Raises BadParameter."""
    parts = text.split(",")
    if not all(part.strip().isdecimal() and int(part) for part in parts):
        raise click.BadParameter(f"{text!r} is no comma list of whole numbers above 0, like {parameter.default}")
    return [int(part) for part in parts]


@click.group()
def bench() -> None:
    """Measure this machine."""


@bench.command("cycle")
@click.option(
    "--symbols",
    default="1,100",
    show_default=True,
    callback=_numbers,
    help="How many symbols: a comma list of numbers, one run for each.",
)
@click.option(
    "--cycles",
    default=200,
    show_default=True,
    type=click.IntRange(min=20),
    help="How many cycles to measure in each run.",
)
@json_option
def bench_cycle(symbols: list[int], cycles: int, as_json: bool) -> None:
    """Measure what a cycle costs apart from the forecast: quote to POST, whole cycle, CPU, memory."""
    from trader.commands.bench import bench_cycle as measure

    measure(symbols, cycles, as_json)


@bench.command("backtest", add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def bench_backtest(arguments: tuple[str, ...]) -> None:
    """Measure the backtest in bars a second, beside backtesting.py (see --help)."""
    from trader.commands.bench_backtest import bench_backtest as measure

    measure.main(list(arguments), prog_name="trader bench backtest", standalone_mode=False)


bench.add_command(bench_kronos)


@bench.command("toto")
@click.option(
    "--against-original",
    "packages",
    type=click.Path(exists=True, path_type=Path),
    metavar="PYTHON_OR_DIR",
    help="A Python that has the published packages, or their folder.",
)
@click.option(
    "--sizes", default="22m,base-1.0", show_default=True, help="Sizes of the seeded checkpoints: a comma list."
)
@click.option(
    "--series",
    default="1,8",
    show_default=True,
    callback=_numbers,
    help="How many series to forecast at once: a comma list.",
)
@click.option(
    "--horizons",
    default="64,96,336",
    show_default=True,
    callback=_numbers,
    help="How many steps to forecast: a comma list.",
)
@click.option(
    "--samples", default="16,64,256", show_default=True, callback=_numbers, help="Samples of Toto 1.0: a comma list."
)
@click.option("--context", default=512, show_default=True, type=_FROM_1, help="How many steps of the past go in.")
@click.option(
    "--repeats", default=5, show_default=True, type=click.IntRange(min=1), help="How many rounds. The median counts."
)
@click.option("--threads", default=1, show_default=True, type=_FROM_1, help="Threads of each process.")
@click.option(
    "--forecasts",
    default=0,
    show_default=True,
    type=click.IntRange(min=0),
    help="Make this many more forecasts and watch the memory.",
)
@click.option("--compiled/--no-compiled", default=True, show_default=True, help="Measure the compiled model too.")
@click.option(
    "--dtype",
    type=click.Choice(["float32", "bfloat16"]),
    default="float32",
    show_default=True,
    help="The precision of our model.",
)
@json_option
def bench_toto(sizes: str, as_json: bool, **plan: Any) -> None:
    """Measure what a forecast of Toto costs, beside the published packages if they are at hand."""
    from trader.commands.bench_toto import Plan
    from trader.commands.bench_toto import bench_toto as measure

    measure(Plan(sizes=sizes.split(","), **plan), as_json)
