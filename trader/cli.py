"""The commands. Thin: each reads the settings, calls one function, shows what it gave. Imports wait until needed."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import click

from settings import children
from trader.commands.backend_check import command as backend_check
from trader.commands.options import (
    json_option,
    loaded_settings,
    mode_option,
    one_line,
    say,
    settings_for_emergencies,
    settings_of,
)
from trader.commands.upkeep import bench, config, db, service
from trader.commands.verify_kronos import command as verify

MANY = click.IntRange(1, 1_000_000)  # what a database takes as a limit
# Commands of their own modules, each `command` there, loaded when asked for: a quick one pays for none of them.
ELSEWHERE = ("strategies", "data", "backtest", "evaluate", "compare", "report", "lookahead", "finetune", "completion")


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


def _say_version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:  # which is what completion does
        from trader.version import described

        click.echo(f"trader {described()}")
        context.exit()


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_say_version, help="Say which one this is."
)
@click.option(
    "--umask",
    default="077",
    show_default=True,
    metavar="OCTAL",
    help="What is written stays the owner's alone; 027 lets the group read it.",
)
def cli(umask: str) -> None:
    """A trading daemon with exchangeable forecasters, and a simulated Alpaca to run it against.

    `trader run` starts it in the simulation, without keys and without network. `trader config show` lists the
    settings, .env.example explains them.
    """
    if not re.fullmatch(r"0?[0-7]{3}", umask) or int(umask, 8) & 0o022 != 0o022:
        raise click.BadParameter(f"{umask!r}; right: 077, 027, 022 or another that lets nobody else write")
    children.set_umask(int(umask, 8))


# ---- run ----


@cli.command()
@mode_option
@click.option("--cycles", type=click.IntRange(min=1), help="Stop after this many cycles.")
@click.option("--symbols", help="What to trade: a comma list, for example BTC/USD,AAPL.")
@click.option("--timeframe", help="The length of a bar: 1Min, 5Min, 1Hour, 1Day ...")
@click.option("--forecaster", help="baseline, kronos, kronos-compiled, toto, toto-compiled, or an installed one.")
@click.option("--strategy", help="One of `trader strategies`, or the path of a file of your own.")
@click.option("--data", multiple=True, metavar="SYM=FILE", help="sim: replay these bars (repeatable).")
@click.option("--quotes", multiple=True, metavar="SYM=FILE", help="sim: replay these quotes with them (repeatable).")
@click.option("--speed", help="sim: how many market seconds pass in one second, or max.")
@click.option("--seed", type=int, help="sim: the seed of the generated market.")
@click.option("--start", help="sim: the time at which the replay starts.")
@click.option("--faults", type=click.Path(exists=True, dir_okay=False), help="sim: a file of scripted faults.")
@click.option(
    "--fresh", is_flag=True, help="sim: start anew, even if the last run was cut off. What it left is put aside."
)
@click.option("--state-dir", type=click.Path(file_okay=False), help="The folder of the journal and the ledger.")
@click.option("--plain", is_flag=True, help="Write log lines instead of the live view.")
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
    """Run the daemon. The default is the simulation, which needs no keys and no network."""
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
    """Look for what a start would fail on: settings, keys, clock, disk, database, forecaster, compile cache."""
    from trader.commands.doctor import examine, show

    return show(examine(loaded_settings(mode)), as_json)


# ---- reading ----


@cli.command()
@mode_option
@json_option
def status(mode: str | None, as_json: bool) -> None:
    """Show whether the daemon runs, and what it did last."""
    from trader.commands import show

    show.status(loaded_settings(mode), as_json)


@cli.command()
@mode_option
@json_option
def positions(mode: str | None, as_json: bool) -> None:
    """Show what is held, by the executions in the journal, with its target and stop."""
    from trader.commands import show

    show.positions(loaded_settings(mode), as_json)


@cli.command()
@mode_option
@click.option("--limit", default=50, show_default=True, type=MANY, help="Show at most this many.")
@click.option("--open", "open_only", is_flag=True, help="Show open orders only.")
@json_option
def orders(mode: str | None, limit: int, open_only: bool, as_json: bool) -> None:
    """Show the orders, newest first, each with the reason for it."""
    from trader.commands import show

    show.orders(loaded_settings(mode), limit, open_only, as_json)


@cli.command()
@mode_option
@click.option("--limit", default=50, show_default=True, type=MANY, help="Show at most this many.")
@json_option
def trades(mode: str | None, limit: int, as_json: bool) -> None:
    """Show the round trips (an entry with its exit), newest last."""
    from trader.commands import show

    show.trades(loaded_settings(mode), limit, as_json)


@cli.command()
@mode_option
@json_option
def performance(mode: str | None, as_json: bool) -> None:
    """Show return, drawdown, Sharpe ratio, fees and turnover for each symbol, beside buy and hold."""
    from trader.commands import show

    show.performance(loaded_settings(mode), as_json)


# ---- control ----

no_wait_option = click.option(
    "--no-wait", "wait", flag_value=False, default=True, help="Do not wait: the daemon's word is enough."
)


@cli.command()
@mode_option
@click.option("--reason", default="", help="A note that `status` shows until `resume`.")
def pause(mode: str | None, reason: str) -> int:
    """Stop new entries. Exits go on."""
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
@no_wait_option
def flatten(mode: str | None, symbol: str | None, wait: bool) -> int:
    """Close the position in SYMBOL. Without SYMBOL: close every position, and pause.

    Waits until it is sold, and says what it sees; exit code 0 only then.
    """
    return _command(mode, "flatten", {"symbol": symbol or "all"}, wait=wait)


@cli.command()
@mode_option
@click.option("--reason", default="", help="A note that `status` shows until `resume`.")
@no_wait_option
def kill(mode: str | None, reason: str, wait: bool) -> int:
    """Cancel the entries, close every position, and enter nothing until `resume`. Holds across restarts.

    Waits until it is done, and says what it sees; exit code 0 only then. Works without a journal, too.
    """
    return _command(mode, "kill", {"reason": one_line(reason)}, wait=wait)


@cli.command()
@mode_option
@click.argument("symbol")
@click.option("--stop", default="", metavar="PRICE", help="Where it is to be left at a loss.")
@click.option("--target", default="", metavar="PRICE", help="Where it is to be left with a profit.")
@click.option("--leave", is_flag=True, help="Leave an order by hand alone, and what it fills.")
def adopt(mode: str | None, symbol: str, stop: str, target: str, leave: bool) -> int:
    """Look after what was there in SYMBOL before the first start. Without --stop the fallback stop rests."""
    return _command(mode, "adopt", {"symbol": symbol, "stop": stop, "target": target, "leave": "1" if leave else ""})


@cli.command()
@mode_option
def reload(mode: str | None) -> int:
    """Make the daemon read its settings again. If they are wrong it keeps the old ones."""
    return _command(mode, "reload", {})


def _command(mode: str | None, kind: str, args: dict[str, str], *, wait: bool = True) -> int:
    from trader.commands.control import command

    loaded, trouble = settings_for_emergencies(mode)
    return command(loaded, kind, args, say=say, trouble=trouble, wait=wait)


@cli.command()
@mode_option
@click.option("--watch", is_flag=True, help="Go on looking: alerts, and may latch a halt or a kill.")
@json_option
def audit(mode: str | None, watch: bool, as_json: bool) -> int:
    """Recompute the account from the venue alone and hold the journal against it. Exit 1 where they differ."""
    from trader.commands.second_opinion import run as audit_account

    return audit_account(loaded_settings(mode), watch=watch, as_json=as_json, say=say)


# ---- forecasters ----


@cli.group(invoke_without_command=True)
@mode_option
@json_option
@click.pass_context
def backends(context: click.Context, mode: str | None, as_json: bool) -> None:
    """List the forecasters, what each lacks on this machine, and what the daemon last said of the compiled ones."""
    from trader.commands import backend_menu

    if context.invoked_subcommand is None:
        backend_menu.show(mode, as_json)


@backends.command("warm-up")
@mode_option
@click.option("--forecaster", "--backend", help="Default: FORECASTER.")
def backends_warm_up(mode: str | None, forecaster: str | None) -> int:
    """Load and compile the forecaster as the daemon would, and say how long it took.

    Exit 1 if the uncompiled (eager) model would serve.
    """
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
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(min=0), help="The seed of its random weights."
)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def make_checkpoint(family: str, size: str, seed: int, folder: Path) -> None:
    """Write a checkpoint with random weights into FOLDER. It has the right shape and was never trained."""
    from trader.commands.options import need_models
    from trader.daemon.forecaster import seeded_checkpoint

    need_models("making a checkpoint")
    click.echo(f"seeded {family} {size} in {seeded_checkpoint(family, size, folder, seed)}: it knows nothing")


@cli.command()
@mode_option
@click.argument("symbol")
@click.option("--forecaster", "--backend", help="Default: FORECASTER.")
@click.option("--timeframe", help="Default: TIMEFRAME.")
@click.option("--horizon", type=click.IntRange(1, 256), help="How many bars to forecast (default: HORIZON).")
@click.option(
    "--data",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Forecast the bars after the last one of this file.",
)
@click.option("--plot/--no-plot", default=None, help="Show a fan chart above the table (default: in a terminal).")
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
    """Make one forecast of SYMBOL and show it as a fan chart and a table, or as JSON."""
    from trader.commands import one_forecast

    loaded = loaded_settings(mode, symbols=symbol, forecaster=forecaster, timeframe=timeframe, horizon=horizon)
    one_forecast.show(loaded, file=data, plot=sys.stdout.isatty() if plot is None else plot, as_json=as_json)


# ---- tools ----


@cli.command()
@mode_option
@click.argument("cycle")
@json_option
def replay(mode: str | None, cycle: str, as_json: bool) -> int:
    """Decide CYCLE (an id, or `last`) again from its record, and compare. The same bytes must come out."""
    from trader.commands.replay import replay_cycle as again

    return again(loaded_settings(mode), cycle, as_json, say=click.echo)


backends.add_command(verify)
backends.add_command(backend_check)
for upkeep in (config, db, service, bench):
    cli.add_command(upkeep)
_attach_exchange()
