"""SECURITY.md: nine promises, and each names tests that are there."""

from __future__ import annotations

import re

import pytest

from tests.test_layering import ROOT

SECTION = (ROOT / "SECURITY.md").read_text(encoding="utf-8").partition("## What is promised")[2].partition("\n## ")[0]
PROMISES = dict(re.findall(r"^(\d+)\. (\*\*(?:.|\n(?!\d+\. ))+)", SECTION, flags=re.MULTILINE))


def test_there_are_nine() -> None:
    assert list(PROMISES) == [str(number) for number in range(1, 10)]


@pytest.mark.parametrize("number", PROMISES)
def test_each_promise_names_the_tests_that_hold_it(number: str) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)`", PROMISES[number])
    assert named
    assert [name for name in named if not (ROOT / name).is_file()] == []
