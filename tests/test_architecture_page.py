"""docs/architecture.md against the code: the rooms and their arrows, the files and the tests that it names."""

from __future__ import annotations

import ast
import re

import pytest

from tests.test_layering import ALLOWED, HOUSE, ROOT, TABLE

PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
TESTS = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)
FILES = re.findall(r"`((?:trader|forecasters|settings|tests)/[\w/]+\.py)`", PAGE)
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, flags=re.DOTALL)


def test_it_shows_the_table_of_rooms_as_it_is() -> None:
    shown = [body for language, body in BLOCKS if language == "text"]
    assert [body.strip() for body in shown] == [HOUSE.strip()]


def test_its_picture_draws_no_arrow_that_the_table_does_not_have() -> None:
    picture = next(body for language, body in BLOCKS if language == "mermaid" and "flowchart TD" in body)
    arrows = re.findall(r"^\s*(\w+) --> (\w+)$", picture, flags=re.MULTILINE)
    allowed = {(room.partition("/")[0], to.partition("/")[0]) for room, targets in ALLOWED.items() for to in targets}
    assert [f"{room} -> {to}" for room, to in arrows if (room, to) not in allowed] == []
    ground = {"errors", "bounded", "printable", "log", "folders", "shipped", "__init__"}
    assert {name for arrow in arrows for name in arrow} == {room.partition("/")[0] for room in TABLE} - ground


def test_every_file_that_it_names_exists() -> None:
    assert FILES
    assert [name for name in FILES if not (ROOT / name).is_file()] == []


@pytest.mark.parametrize(("file", "name"), TESTS, ids=[name for _, name in TESTS])
def test_every_test_that_it_names_exists(file: str, name: str) -> None:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, (
        "docs/architecture.md names a test that is gone: name the one that tests this rule now"
    )


def test_every_rule_names_the_code_and_a_test() -> None:
    section = PAGE.partition("## What always holds")[2].partition("## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][2:]
    assert len(rows) >= 20
    assert [row for row in rows if row.count(".py`") < 1 or "::" not in row] == []
