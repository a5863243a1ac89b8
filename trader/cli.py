"""The commands. Thin: each reads the settings, calls one function, shows what it gave. Imports wait until needed."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import click

from trader.commands.options import (
    json_option,
    loaded_settings,
    mode_option,
    one_line,
    settings_for_emergencies,
    settings_of,
)
from trader.commands.upkeep import bench, config, db, service
from trader.commands.verify_kronos import command as verify

MANY = click.IntRange(1, 1_000_000)  # what a database takes as a limit
# Commands of their own modules, each `command` there, loaded when asked for: a quick one pays for none of them.
ELSEWHERE = ("data", "backtest", "evaluate", "compare", "report", "finetune")


class Group(click.Group):
    """Lists the commands in the order of a day's work, not of the alphabet."""

    def list_commands(self, context: click.Context) -> list[str]:
        return [*self.commands, *(name for name in ELSEWHERE if find_spec(f"trader.commands.{name}"))]

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in ELSEWHERE or find_spec(f"trader.commands.{name}") is None:
            return super().get_command(context, name)
        found = import_module(f"trader.commands.{name}").command
        assert isinstance(found, click.Command)
        return found


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="trader")
def cli() -> None:
    """A live trading daemon with pluggable forecasters, and the simulated Alpaca that it is tested against.

    Without keys and network: `trader run`. Settings: `trader config show`, .env.example.
    """


# ---- run ----


@cli.command()
@mode_option
@click.option("--cycles", type=click.IntRange(min=1), help="Stop after this many cycles.")
@click.option("--symbols", help="Comma list, for example BTC/USD,AAPL.")
@click.option("--timeframe", help="1Min, 5Min, 1Hour, 1Day ...")
@click.option("--forecaster", help="baseline, kronos, kronos-compiled, toto, toto-compiled, or an installed one.")
@click.option("--strategy", help="maxdiff, edge or flat.")
@click.option("--data", multiple=True, metavar="SYM=FILE", help="sim: replay these bars (repeatable).")
@click.option("--quotes", multiple=True, metavar="SYM=FILE", help="sim: with these quotes.")
@click.option("--speed", help="sim: market seconds a second, or max.")
@click.option("--seed", type=int, help="sim: which market is generated.")
@click.option("--start", help="sim: where the replay starts.")
@click.option("--faults", type=click.Path(exists=True, dir_okay=False), help="sim: scripted faults.")
@click.option("--fresh", is_flag=True, help="sim: start anew even where the last run was cut off.")
@click.option("--state-dir", type=click.Path(file_okay=False), help="Folder of journal and ledger.")
@click.option("--plain", is_flag=True, help="Log lines instead of the live view.")
@click.option("--picture", type=click.Path(dir_okay=False, path_type=Path), hidden=True)
@click.option("--failpoint", multiple=True, hidden=True)
def run(
    mode: str | None,
    cycles: int | None,
    symbols: str | None,
    timeframe: str | None,
    forecaster: str | None,
    strategy: str | None,
    data: tuple[str, ...],
    quotes: tuple[str, ...],
    speed: str | None,
    seed: int | None,
    start: str | None,
    faults: str | None,
    fresh: bool,
    state_dir: str | None,
    plain: bool,
    picture: Path | None,
    failpoint: tuple[str, ...],
) -> int:
    """Run the daemon: in the simulation by default, offline and without keys."""
    from trader.terminal.runner import run_daemon

    flags: dict[str, object] = {
        "trading_mode": mode,
        "symbols": symbols,
        "timeframe": timeframe,
        "forecaster": forecaster,
        "strategy": strategy,
        "sim__bars": data,
        "sim__quotes": quotes,
        "sim__speed": speed,
        "sim__seed": seed,
        "sim__start": start,
        "sim__faults": faults,
        "state_dir": state_dir,
    }
    loaded = settings_of(flags)
    return run_daemon(
        loaded, cycles=cycles, fresh=fresh, plain=plain, failpoints=failpoint, flags=flags, picture=picture
    )


def _attach_exchange() -> None:
    """`trader exchange` is the exchange's own command; its imports are light until it serves."""
    from trader.exchange.command import exchange_command

    cli.add_command(exchange_command, "exchange")


@cli.command()
@mode_option
@json_option
def check(mode: str | None, as_json: bool) -> int:
    """Doctor: settings, keys, clock, disk, database, backends, compile cache."""
    from trader.commands.doctor import examine, show

    return show(examine(loaded_settings(mode)), as_json)


# ---- reading ----


@cli.command()
@mode_option
@json_option
def status(mode: str | None, as_json: bool) -> None:
    """What the daemon did last, and whether it runs."""
    from trader.commands import show

    show.status(loaded_settings(mode), as_json)


@cli.command()
@mode_option
@json_option
def positions(mode: str | None, as_json: bool) -> None:
    """What is held, by the journal's executions, with its exit levels."""
    from trader.commands import show

    show.positions(loaded_settings(mode), as_json)


@cli.command()
@mode_option
@click.option("--limit", default=50, show_default=True, type=MANY, help="At most so many.")
@click.option("--open", "open_only", is_flag=True, help="Open ones only.")
@json_option
def orders(mode: str | None, limit: int, open_only: bool, as_json: bool) -> None:
    """Orders, newest first, each with why it was placed."""
    from trader.commands import show

    show.orders(loaded_settings(mode), limit, open_only, as_json)


@cli.command()
@mode_option
@click.option("--limit", default=50, show_default=True, type=MANY, help="At most so many.")
@json_option
def trades(mode: str | None, limit: int, as_json: bool) -> None:
    """Round trips, newest last."""
    from trader.commands import show

    show.trades(loaded_settings(mode), limit, as_json)


@cli.command()
@mode_option
@json_option
def performance(mode: str | None, as_json: bool) -> None:
    """Return, drawdown, Sharpe, fees and turnover, by symbol, against buy and hold."""
    from trader.commands import show

    show.performance(loaded_settings(mode), as_json)


# ---- control ----


@cli.command()
@mode_option
@click.option("--reason", default="", help="Shown until resume.")
def pause(mode: str | None, reason: str) -> int:
    """No new entries; exits go on."""
    return _command(mode, "pause", {"reason": one_line(reason)})


@cli.command()
@mode_option
@click.option("--reset-peak", is_flag=True, help="Measure the drawdown from now on: ends a drawdown gate.")
def resume(mode: str | None, reset_peak: bool) -> int:
    """Allow entries again, after a pause, a halt or a kill."""
    return _command(mode, "resume", {"reset_peak": "yes"} if reset_peak else {})


@cli.command()
@mode_option
@click.argument("symbol", required=False)
def flatten(mode: str | None, symbol: str | None) -> int:
    """Leave SYMBOL, or everything (and pause)."""
    return _command(mode, "flatten", {"symbol": symbol or "all"})


@cli.command()
@mode_option
@click.option("--reason", default="", help="Shown until resume.")
def kill(mode: str | None, reason: str) -> int:
    """Cancel the entries, close every position, nothing new until resume. Latched across restarts."""
    return _command(mode, "kill", {"reason": one_line(reason)})


@cli.command()
@mode_option
def reload(mode: str | None) -> int:
    """Read the settings again; wrong ones are refused and the old go on."""
    return _command(mode, "reload", {})


def _command(mode: str | None, kind: str, args: dict[str, str]) -> int:
    from trader.commands.control import command

    loaded, trouble = settings_for_emergencies(mode)
    return command(loaded, kind, args, say=click.echo, trouble=trouble)


# ---- forecasters ----


@cli.group(invoke_without_command=True)
@mode_option
@json_option
@click.pass_context
def backends(context: click.Context, mode: str | None, as_json: bool) -> None:
    """Which forecasters there are, what each lacks here, and what the daemon last said of the compiled ones."""
    from trader.commands import backend_menu

    if context.invoked_subcommand is None:
        backend_menu.show(mode, as_json)


@backends.command("warm-up")
@mode_option
@click.option("--forecaster", "--backend", help="Default: FORECASTER.")
def backends_warm_up(mode: str | None, forecaster: str | None) -> int:
    """Load and compile the forecaster as the daemon would, say how long it took, and end. Exit 1: eager would serve."""
    from trader.commands import backend_menu

    return backend_menu.warm_up(mode, forecaster)


@backends.command("make-checkpoint")
@click.argument("family", type=click.Choice(["kronos", "toto"]))
@click.option(
    "--size",
    default="tiny",
    show_default=True,
    help="kronos: tiny, nano, mini, small or base; toto: tiny, 4m, 22m, tiny-1.0 or base-1.0.",
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Of its random weights.")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def make_checkpoint(family: str, size: str, seed: int, folder: Path) -> None:
    """Write a checkpoint with seeded weights into FOLDER: of the right shape, and trained on nothing."""
    from trader.daemon.forecaster import seeded_checkpoint

    click.echo(f"seeded {family} {size} in {seeded_checkpoint(family, size, folder, seed)}: it knows nothing")


@cli.command()
@mode_option
@click.argument("symbol")
@click.option("--forecaster", "--backend", help="Default: FORECASTER.")
@click.option("--timeframe", help="Default: TIMEFRAME.")
@click.option("--horizon", type=click.IntRange(1, 256), help="Bars ahead (default: HORIZON).")
@click.option(
    "--data",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Forecast the bars after the last one of this file.",
)
@click.option("--plot/--no-plot", default=None, help="A fan chart above the table (default: in a terminal).")
@json_option
def forecast(
    mode: str | None,
    symbol: str,
    forecaster: str | None,
    timeframe: str | None,
    horizon: int | None,
    data: Path | None,
    plot: bool | None,
    as_json: bool,
) -> None:
    """One forecast of SYMBOL: a fan chart, a table, or JSON."""
    from trader.commands import one_forecast

    loaded = loaded_settings(mode, symbols=symbol, forecaster=forecaster, timeframe=timeframe, horizon=horizon)
    one_forecast.show(loaded, file=data, plot=sys.stdout.isatty() if plot is None else plot, as_json=as_json)


# ---- tools ----


@cli.command()
@mode_option
@click.argument("cycle")
@json_option
def replay(mode: str | None, cycle: str, as_json: bool) -> int:
    """Decide CYCLE (an id, or `last`) again from its record; the same bytes must come out."""
    from trader.commands.replay import replay_cycle as again

    return again(loaded_settings(mode), cycle, as_json, say=click.echo)


backends.add_command(verify)
for upkeep in (config, db, service, bench):
    cli.add_command(upkeep)
_attach_exchange()
