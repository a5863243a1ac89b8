"""A backend that remembers what it was shown does not pass `trader backends check`, however it goes about it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.research.forecasts.planted import REMEMBERS, plant
from trader.cli import cli

IN_BATCHES = REMEMBERS.replace("self.bars = self.bars or {}", "self.bars = {}")


@pytest.mark.parametrize("source", [REMEMBERS, IN_BATCHES], ids=["for ever", "within a batch"])
def test_a_backend_that_remembers_bars_is_found(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path / "site", monkeypatch, remembers=source)
    monkeypatch.chdir(tmp_path)
    given = CliRunner().invoke(cli, ["backends", "check", "remembers", "--json"])
    problems = {each["check"]: each["problem"] for each in json.loads(given.stdout)["checks"] if not each["ok"]}
    assert "the bars that come, shown before it or beside it, change nothing" in problems
    fresh = problems["a fresh process says the same alone and in another order, whatever it was shown"]
    assert "alone and together, in another order, it answers differently: ETH/USD#0" in fresh


def test_both_are_backends_that_differ() -> None:
    assert IN_BATCHES != REMEMBERS
