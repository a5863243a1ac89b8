"""`trader strategies`: which there are, and whether one holds to what the daemon relies on."""

from __future__ import annotations

import json
from pathlib import Path

import click

from settings.trust import distrust
from trader.commands.options import json_option, pairs
from trader.errors import ConfigurationError


@click.group("strategies", invoke_without_command=True)
@json_option
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """Which strategies there are: built in, and from installed packages. A file of your own is named by its path."""
    if context.invoked_subcommand is None:
        _list(as_json)


@command.command("check")
@click.argument("name")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="Of the strategy (repeatable).")
@json_option
def check(name: str, params: tuple[str, ...], as_json: bool) -> int:
    """Put the strategy NAME (or the file of that path) into made situations, and say what does not hold. Exit 1 where
    something does not."""
    from trader.commands.contract_table import show
    from trader.contracts.strategy import Subject, check_strategy, entries_of
    from trader.core.names import shown_strategy
    from trader.strategies import file_of, find

    if (file := file_of(name)) and (why := distrust(Path(file))):
        raise ConfigurationError(f"strategy {why}")
    choices = pairs(params)
    try:
        exit_code = show(shown_strategy(name), check_strategy(name, choices), as_json)
        if not exit_code and not as_json:
            subject = Subject(strategy=find(name), params=choices)
            click.echo(f"it enters in {entries_of(subject)} of {len(subject.situations)} made situations")
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
    return exit_code


def _list(as_json: bool) -> None:
    from trader.strategies import available

    try:
        menu = available()
    except ValueError as error:  # a name that two packages claim
        raise ConfigurationError(str(error)) from None
    if as_json:
        rows = [
            {"name": s.name, "source": s.source, "what": s.description, "params": list(s.params), "problem": s.problem}
            for s in menu
        ]
        click.echo(json.dumps(rows, indent=2))
        return
    for each in menu:
        click.echo(f"{each.name} ({each.source}): {each.problem or each.description}")
        if each.params:
            click.echo(f"  {', '.join(each.params)}")
