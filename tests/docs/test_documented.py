"""What there is, is written down: commands, options, settings, parameters, exit codes, alerts, ways to extend."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import click
import pytest

from settings.names import table
from tests.docs.generate import commands, made, meanings_of
from tests.docs.pages import ROOT, name_of, pages, prose
from trader import __main__ as program
from trader.core.risk import CAPS, GATES
from trader.errors import TraderError
from trader.strategies import find, names

DOCS = ROOT / "docs"
USAGE = 2  # click's


@pytest.mark.parametrize("path", made(), ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_made_from_the_code_is_made_from_the_code_as_it_is(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == made()[path], "run: python -m tests.docs.generate"


@pytest.mark.parametrize(
    ("page", "part"),
    [
        ("configuration", "settings"),
        ("configuration", "strategy-parameters"),
        ("commands", "commands"),
        ("exchange", "faults"),
    ],
)
def test_the_pages_still_have_their_made_parts(page: str, part: str) -> None:
    assert f"<!-- generated: {part}" in prose(DOCS / f"{page}.md")


def test_every_command_and_option_says_what_it_does() -> None:
    silent = []
    for name, command in commands():
        if not command.help:
            silent.append(name)
        silent += [
            f"{name} {parameter.opts[0]}"
            for parameter in command.params
            if isinstance(parameter, click.Option) and not parameter.hidden and not parameter.help
        ]
    assert not silent


def test_every_setting_says_what_it_means() -> None:
    assert [entry.name for entry in table().values() if not entry.description] == []


@pytest.mark.parametrize("name", names())
def test_every_parameter_of_a_strategy_says_what_it_means(name: str) -> None:
    strategy = find(name)
    assert {field.name for field in fields(strategy.kind)} <= set(meanings_of(strategy))


def test_every_strategy_and_backend_has_its_line() -> None:
    strategies, forecasters = prose(DOCS / "strategies.md"), prose(DOCS / "forecasters.md")
    backends = [path.stem for path in (ROOT / "forecasters" / "backends").glob("[a-z]*.py")]
    assert [name for name in names() if f"`{name}`" not in strategies] == []
    assert [name for name in backends if f"`{name}`" not in forecasters] == []


def exit_codes() -> set[int]:
    """Those of the errors that end a command, those of __main__, and click's."""

    def below(kind: type[TraderError]) -> Iterator[int]:
        yield kind.exit_code
        for other in kind.__subclasses__():
            yield from below(other)

    return {0, USAGE, *below(TraderError), program._STOPPED, program._UNREAD, program._UNUSABLE, program._MISCONFIGURED}


def test_every_exit_code_has_its_line() -> None:
    told = re.findall(r"^\| (\d+) \|", prose(DOCS / "runbook.md"), re.MULTILINE)
    assert sorted(map(int, told)) == sorted(exit_codes())


def alert_kinds() -> set[str]:
    """The first argument of every call of `alert` in the program, and the names of doubts, which become alerts."""
    found = set()
    for path in (ROOT / "trader").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        found |= set(re.findall(r'doubts\["(\w+)"\] = ', text))
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "alert":
                kind = node.args[0]
                if isinstance(kind, ast.Constant) and isinstance(kind.value, str):
                    found.add(kind.value)
    return found


def test_every_alert_has_its_line_and_none_is_of_an_alert_that_is_gone() -> None:
    section = prose(DOCS / "runbook.md").partition("## What each alert means")[2].partition("\n## ")[0]
    told = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "trader").rglob("*.py"))
    assert sorted(alert_kinds() - told) == []
    assert [kind for kind in told if f'"{kind}"' not in code] == []


def test_every_rule_that_may_refuse_an_entry_has_its_line() -> None:
    told = prose(DOCS / "faq.md")
    assert [rule for rule, _ in (*GATES, *CAPS) if f"`{rule}`" not in told] == []


def extension_points() -> set[str]:
    """The entry point groups that the program looks for."""
    found = set()
    for package in ("trader", "forecasters"):
        for path in (ROOT / package).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            if "entry_points" in text:
                found |= set(re.findall(r'"((?:trader|forecasters)\.[a-z]+)"', text))
    return found


def test_every_way_to_extend_the_program_is_written_down() -> None:
    told = "".join(prose(page) for page in pages())
    assert extension_points()
    assert [group for group in extension_points() if f"`{group}`" not in told] == []
    assert "OPTIONS__" in told


def test_no_page_names_what_is_gone() -> None:
    """Files of the repository that a page speaks of in backquotes are there."""
    gone = []
    for page in pages():
        if page.name == "CHANGELOG.md":
            continue
        for path in re.findall(r"`((?:trader|forecasters|settings|tests|docs|systemd)/[\w./-]+)`", prose(page)):
            if not (ROOT / path).exists() and f"<!-- file: {path} -->" not in prose(page):
                gone.append(f"{name_of(page)}: {path}")
    assert not gone
