"""The commands. Thin: each reads the settings, calls one function, shows what it gave. Imports wait until needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from settings.load import Loaded

Command = TypeVar("Command", bound=Callable[..., Any])
MODES = click.Choice(["sim", "paper", "live"])


class Group(click.Group):
    """Lists the commands in the order of a day's work, not of the alphabet."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="trader")
def cli() -> None:
    """A live trading daemon with pluggable forecasters, and the simulated Alpaca that it is tested against.

    Without keys and network: `trader run`. Settings: `trader config show`, .env.example.
    """


def loaded_settings(mode: str | None = None, **flags: object) -> Loaded:
    """The settings with these flags on top. Raises ConfigurationError (78)."""
    return settings_of({"trading_mode": mode, **flags})


def settings_of(flags: Mapping[str, object]) -> Loaded:
    """The settings with these flags on top, by the settings' names. Raises ConfigurationError (78)."""
    from settings.load import SettingsError, load
    from trader.errors import ConfigurationError
    from trader.strategies import names

    try:
        return load(flags, strategies=names())
    except SettingsError as error:
        raise ConfigurationError(str(error)) from None


def mode_option(command: Command) -> Command:
    return click.option("--mode", type=MODES, help="sim, paper or live (default: TRADING_MODE).")(command)


def json_option(command: Command) -> Command:
    return click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")(command)


# ---- run ----


@cli.command()
@mode_option
@click.option("--cycles", type=click.IntRange(min=1), help="Stop after this many cycles.")
@click.option("--symbols", help="Comma list, for example BTC/USD,AAPL.")
@click.option("--timeframe", help="1Min, 5Min, 1Hour, 1Day ...")
@click.option("--forecaster", help="baseline, kronos, kronos-compiled, toto, toto-compiled, or an installed one.")
@click.option("--strategy", help="maxdiff or flat.")
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
    from trader.runner import run_daemon

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
    from trader.doctor import examine, show

    return show(examine(loaded_settings(mode)), as_json)


# ---- reading ----


@cli.command()
@mode_option
@json_option
def status(mode: str | None, as_json: bool) -> None:
    """What the daemon did last, and whether it runs."""
    from trader import show

    show.status(loaded_settings(mode), as_json)


@cli.command()
@mode_option
@json_option
def positions(mode: str | None, as_json: bool) -> None:
    """What is held, by the journal's executions, with its exit levels."""
    from trader import show

    show.positions(loaded_settings(mode), as_json)


@cli.command()
@mode_option
@click.option("--limit", default=50, show_default=True, type=click.IntRange(min=1), help="At most so many.")
@click.option("--open", "open_only", is_flag=True, help="Open ones only.")
@json_option
def orders(mode: str | None, limit: int, open_only: bool, as_json: bool) -> None:
    """Orders, newest first, each with why it was placed."""
    from trader import show

    show.orders(loaded_settings(mode), limit, open_only, as_json)


@cli.command()
@mode_option
@click.option("--limit", default=50, show_default=True, type=click.IntRange(min=1), help="At most so many.")
@json_option
def trades(mode: str | None, limit: int, as_json: bool) -> None:
    """Round trips, newest last."""
    from trader import show

    show.trades(loaded_settings(mode), limit, as_json)


@cli.command()
@mode_option
@json_option
def performance(mode: str | None, as_json: bool) -> None:
    """Return, drawdown, Sharpe, fees and turnover, by symbol, against buy and hold."""
    from trader import show

    show.performance(loaded_settings(mode), as_json)


# ---- control ----


@cli.command()
@mode_option
@click.option("--reason", default="", help="Shown until resume.")
def pause(mode: str | None, reason: str) -> int:
    """No new entries; exits go on."""
    return _command(mode, "pause", {"reason": reason})


@cli.command()
@mode_option
def resume(mode: str | None) -> int:
    """Allow entries again, after a pause, a halt or a kill."""
    return _command(mode, "resume", {})


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
    return _command(mode, "kill", {"reason": reason})


@cli.command()
@mode_option
def reload(mode: str | None) -> int:
    """Read the settings again; wrong ones are refused and the old go on."""
    return _command(mode, "reload", {})


def _command(mode: str | None, kind: str, args: dict[str, str]) -> int:
    from trader.control import command

    return command(loaded_settings(mode), kind, args, say=click.echo)


# ---- forecasters ----


@cli.group(invoke_without_command=True)
@json_option
@click.pass_context
def backends(context: click.Context, as_json: bool) -> None:
    """Which forecasters there are, and what each lacks here."""
    from trader import show

    if context.invoked_subcommand is None:
        show.backends(as_json)


@backends.command("make-checkpoint")
@click.argument("family", type=click.Choice(["toto"]))
@click.option("--size", default="tiny", show_default=True, help="tiny, 4m, 22m, tiny-1.0 or base-1.0.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Of its random weights.")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def make_checkpoint(family: str, size: str, seed: int, folder: Path) -> None:
    """Write a checkpoint with seeded weights into FOLDER: of the right shape, and trained on nothing."""
    from trader.backend import seeded_checkpoint

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
@click.option("--plot", is_flag=True, help="A fan chart in the terminal.")
@json_option
def forecast(
    mode: str | None,
    symbol: str,
    forecaster: str | None,
    timeframe: str | None,
    horizon: int | None,
    data: Path | None,
    plot: bool,
    as_json: bool,
) -> None:
    """One forecast of SYMBOL, as a table, JSON or a fan chart."""
    from trader import one_forecast

    loaded = loaded_settings(mode, symbols=symbol, forecaster=forecaster, timeframe=timeframe, horizon=horizon)
    one_forecast.show(loaded, file=data, plot=plot, as_json=as_json)


# ---- tools ----


@cli.command()
@mode_option
@click.argument("cycle")
@json_option
def replay(mode: str | None, cycle: str, as_json: bool) -> int:
    """Decide CYCLE (an id, or `last`) again from its record; the same bytes must come out."""
    from trader.replay import replay_cycle as again

    return again(loaded_settings(mode), cycle, as_json, say=click.echo)


@cli.group()
def config() -> None:
    """The settings."""


@config.command("show")
@mode_option
@json_option
def config_show(mode: str | None, as_json: bool) -> None:
    """Each value and where it came from; secrets masked."""
    from trader import show

    show.config(loaded_settings(mode), as_json)


@cli.group()
def db() -> None:
    """The journal's database."""


@db.command("upgrade")
@mode_option
def db_upgrade(mode: str | None) -> None:
    """Bring the schema up to this version."""
    from trader.adapters.journal import upgrade

    click.echo(f"schema is at {upgrade(loaded_settings(mode).settings.database_url)}")


@db.command("backup")
@mode_option
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
def db_backup(mode: str | None, path: Path) -> None:
    """A consistent copy, also while the daemon writes."""
    from trader.adapters.journal import backup

    backup(loaded_settings(mode).settings.database_url, path)
    click.echo(f"backup written to {path}")


@db.command("check")
@mode_option
def db_check(mode: str | None) -> int:
    """Look for damage, and whether executions and fees add up to the venue's figures. Exit 74 where not."""
    from trader.adapters.journal import Journal
    from trader.adapters.journal import check as examine
    from trader.audit import audit

    url = loaded_settings(mode).settings.database_url
    problems = examine(url)
    looked = 0
    if not problems:
        with Journal.open(url, create=False) as journal:
            looked, differences = audit(journal)
        problems = [
            f"{d.cycle_id}: {d.what} is {d.computed} by our executions, {d.reported} at the venue" for d in differences
        ]
    for problem in problems[:20]:
        click.echo(problem)
    click.echo(f"{len(problems)} problems" if problems else f"sound: {looked} decisions agree with the venue")
    return 74 if problems else 0


@cli.group()
def service() -> None:
    """The systemd service."""


@service.command("install")
@click.option("--mode", type=click.Choice(["paper", "live"]), required=True, help="Which instance of the unit.")
@click.option("--dry-run", is_flag=True, help="Say each step, change nothing.")
def service_install(mode: str, dry_run: bool) -> int:
    """Write the units, say where the keys go, enable them."""
    from trader.service import install

    install(mode, dry_run=dry_run, say=click.echo)
    return 0


@cli.group()
def bench() -> None:
    """Measurements; each prints figures of this machine."""


@bench.command("cycle")
@click.option("--symbols", default="1,100", show_default=True, help="Numbers of symbols, comma list.")
@click.option("--cycles", default=200, show_default=True, type=click.IntRange(min=20), help="Measured ones, each.")
@json_option
def bench_cycle(symbols: str, cycles: int, as_json: bool) -> None:
    """What a cycle costs outside inference: quote to POST, whole cycle, CPU, memory."""
    from trader.bench import bench_cycle as measure

    measure([int(text) for text in symbols.split(",")], cycles, as_json)


_attach_exchange()
