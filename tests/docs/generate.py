"""Makes what the documentation repeats from the code: `python -m tests.docs.generate` writes it anew.

A page holds it between `<!-- generated: NAME -->` and `<!-- end -->`; .env.example is made whole. A test fails where
what stands there is not what this makes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from enum import EnumMeta
from inspect import cleandoc
from pathlib import Path
from typing import get_type_hints

import click

from settings.example import PLACES, render
from settings.load import text_of
from settings.names import right, table
from settings.schema import Settings
from tests.docs.pages import ROOT, pages
from trader.cli import cli
from trader.exchange.api import fault_script as faults
from trader.strategies import Strategy, find, names

PART = re.compile(r"(<!-- generated: ([a-z-]+)[^>]*-->\n).*?(<!-- end -->)", re.DOTALL)


def settings_tables() -> str:
    """A table for each group: name, default, what is right, meaning."""
    parts = []
    for group in Settings.groups:
        model = Settings.model_fields[group].annotation
        parts.append(f"### {group}\n\n{_joined(model.__doc__ or '')}\n")
        parts.append(_table(("Setting", "Default", "Right", "Meaning"), _settings(group)))
    return "\n".join(parts)


def _settings(group: str) -> Iterator[tuple[str, ...]]:
    for entry in table().values():
        if entry.group == group:
            default = "" if entry.name in PLACES else text_of(entry.info.get_default())
            yield f"`{entry.name}`", f"`{default}`" if default else "empty", right(entry), entry.description


def strategy_tables() -> str:
    """A table of parameters for each strategy that has any."""
    parts = []
    for name in names():
        strategy = find(name)
        if fields(strategy.kind):
            parts.append(f"### {name}\n\n{_introduction(strategy)}\n")
            parts.append(_table(("Setting", "Default", "Meaning"), _parameters(strategy)))
    return "\n".join(parts)


def _introduction(strategy: Strategy) -> str:
    first = (strategy.kind.__doc__ or "").strip().split("\n\n")[0]
    return _joined(first) if first.endswith(".") or "   " not in first else ""


def _parameters(strategy: Strategy) -> Iterator[tuple[str, ...]]:
    meanings = meanings_of(strategy)
    usual, hints = strategy.params({}), get_type_hints(strategy.kind)
    for field in fields(strategy.kind):
        kind = hints[field.name]
        meaning = meanings[field.name][:1].upper() + meanings[field.name][1:]
        named = isinstance(kind, EnumMeta) and set(map(str, kind)) <= set(re.findall(r"\w+", meaning.lower()))
        choices = f" One of {', '.join(map(str, kind))}." if isinstance(kind, EnumMeta) and not named else ""
        yield (
            f"`{strategy.name.upper()}__{field.name.upper()}`",
            f"`{getattr(usual, field.name)}`",
            f"{meaning}.{choices}",
        )


def meanings_of(strategy: Strategy) -> dict[str, str]:
    """The lines `name   meaning` of the docstring of Params, and of those that it goes on from."""
    kinds = [kind for kind in reversed(strategy.kind.__mro__) if is_dataclass(kind)]
    # Python 3.13 takes the indentation away itself, those before do not
    text = "\n".join(cleandoc(kind.__doc__ or "") for kind in kinds)
    return dict(re.findall(r"^ *(\w+) {2,}(.+)$", text, re.MULTILINE))


def commands(group: click.Group = cli, path: tuple[str, ...] = ("trader",)) -> Iterator[tuple[str, click.Command]]:
    """(`trader data import`, the command), groups before what is in them; hidden ones are left out."""
    for name in group.list_commands(click.Context(group)):
        command = _real((*path, name), group.get_command(click.Context(group), name))
        if command.hidden:
            continue
        yield " ".join((*path, name)), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def _real(path: tuple[str, ...], command: click.Command | None) -> click.Command:
    """`bench backtest` hands its arguments on to a command that is only loaded when asked for."""
    assert command is not None
    if path[1:] == ("bench", "backtest"):
        from trader.commands.bench_backtest import bench_backtest

        return bench_backtest
    return command


def command_tables() -> str:
    """Each command with its help and a table of its arguments and options."""
    parts = []
    for name, command in commands():
        context = click.Context(command, info_name=name)
        parts.append(f"### {name}\n\n{_help(command)}\n\n`{_usage(command, context)}`\n")
        rows = list(options(command, context))
        if rows:
            parts.append(_table(("Option", "Meaning"), rows))
    return "\n".join(parts)


def options(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    """(`--cycles INTEGER`, meaning) of each that is shown; not --help, which all have."""
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            spelled, meaning = parameter.get_help_record(context) or ("", "")
            yield f"`{spelled}`", _joined(meaning)


def _usage(command: click.Command, context: click.Context) -> str:
    return f"{context.command_path} {' '.join(command.collect_usage_pieces(context))}"


def _help(command: click.Command) -> str:
    return "\n\n".join(_joined(paragraph) for paragraph in (command.help or "").split("\n\n"))


def fault_script() -> str:
    """What the module says that reads a script."""
    words = (faults.__doc__ or "").strip().partition("\n\n")[2]
    return f"```text\n{words}\n```\n"


def _joined(text: str) -> str:
    return " ".join(text.split())


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]] | list[tuple[str, str]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


PARTS: dict[str, Callable[[], str]] = {
    "settings": settings_tables,
    "strategy-parameters": strategy_tables,
    "commands": command_tables,
    "faults": fault_script,
}


def made() -> dict[Path, str]:
    """Every file that has something made in it, as it ought to be."""
    found = {ROOT / ".env.example": render()}
    for page in pages():
        text = page.read_text(encoding="utf-8")
        anew = PART.sub(lambda part: f"{part[1]}\n{PARTS[part[2]]()}\n{part[3]}", text)
        if PART.search(text):
            found[page] = anew
    return found


def main() -> None:
    for path, text in made().items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"written: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
