"""`trader lookahead RUN`: the forecasts that a finished backtest used, asked again alone."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from tests.research.forecasts.planted import REMEMBERS, WEIGHED, bars_file, plant
from trader.cli import cli
from trader.commands.lookahead import command
from trader.errors import ConfigurationError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    plant(tmp_path / "site", monkeypatch, remembers=REMEMBERS, weighed=WEIGHED)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONTEXT", "60")
    monkeypatch.setenv("STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "weights.txt").write_text("1.001")
    monkeypatch.setenv("OPTIONS__WEIGHED__WEIGHTS", str(tmp_path / "weights.txt"))
    bars_file(tmp_path / "bars.csv")
    return tmp_path


def run_of(backend: str) -> Path:
    words = ["backtest", "--data", "BTC/USD=bars.csv", "--backend", backend, "--no-bounds", "--cycles", "200"]
    given = CliRunner().invoke(cli, [*words, "--ask-again", "0", "--out", "RUN"])
    assert given.exit_code == 0, given.output
    assert "whether they depend on what else was asked is not known" in given.stdout
    return Path("RUN")


def looked(*words: str) -> tuple[int, Result]:
    """The exit code, and all that was said."""
    found = CliRunner().invoke(command, list(words), standalone_mode=False)
    if found.exception is not None:
        raise found.exception
    return found.return_value, found


def test_an_honest_run_is_the_same_to_the_last_bit(folder: Path) -> None:
    code, given = looked(str(run_of("baseline")), "--ask-again", "1")
    assert code == 0
    assert "the same to the last bit" in given.stdout
    assert "verdict: no look-ahead was found" in given.stdout


def test_a_run_of_a_backend_that_remembers_is_found(folder: Path) -> None:
    run = run_of("remembers")
    code, given = looked(str(run))
    assert code == 1
    assert "verdict: the run's forecasts are not of their contexts alone" in given.stdout
    code, given = looked(str(run), "--json")
    plain = json.loads(given.stdout)
    assert (code, plain["again"]["differing"] > 0, plain["changed"]) == (1, True, [])
    assert plain["again"]["worst"] > 0


def test_a_backend_that_is_another_one_since_then_is_told_apart(folder: Path) -> None:
    run = run_of("weighed")
    assert looked(str(run))[0] == 0
    (folder / "weights.txt").write_text("1.007")
    code, given = looked(str(run))
    assert code == 1
    assert "the backend is another one since then: files" in given.stdout


def test_where_nothing_is_asked_nothing_is_known(folder: Path) -> None:
    code, given = looked(str(run_of("baseline")), "--ask-again", "0")
    assert code == 1
    assert "nothing is known" in given.stdout


def test_what_is_no_run_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="is no run of"):
        looked("nowhere")
    run = run_of("baseline")
    bars = pq.read_table(run / "bars.parquet")
    pq.write_table(bars.slice(0, 0), run / "bars.parquet")
    with pytest.raises(ConfigurationError, match="no forecasts with their bars"):
        looked(str(run))
    pq.write_table(bars.slice(0, 80), run / "bars.parquet")
    with pytest.raises(ConfigurationError, match="are missing"):
        looked(str(run))
