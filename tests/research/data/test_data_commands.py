"""`trader data` and `trader evaluate` as a person calls them: what they print, JSON, exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from tests.research.data.made import columns_of, csv_of, good_lines
from trader.cli import cli
from trader.core.types import Symbol, Timeframe
from trader.errors import ConfigurationError
from trader.research.data.store import BarStore

Call = Callable[..., Result]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """A command in this process, in a state folder of its own."""
    monkeypatch.setenv("STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(cli, list(arguments), standalone_mode=False)

    return run


def test_a_clean_file_is_stored_and_listed(call: Call, tmp_path: Path) -> None:
    path = csv_of(tmp_path / "bars.csv", good_lines())
    done = call("data", "import", str(path), "--symbol", "btc/usd", "--timeframe", "1Hour")
    assert done.return_value == 0
    assert "columns: time = 'time'" in done.output
    assert "stored BTC/USD 1Hour: 6 bars" in done.output
    listed = call("data", "list").output
    assert "BTC/USD 1Hour: 6 bars, 2024-01-01 00:00Z to 2024-01-01 05:00Z" in listed
    assert "no gaps; from bars.csv" in listed
    (plain,) = json.loads(call("data", "list", "--json").output)["bars"]
    assert (plain["symbol"], plain["rows"], plain["missing"], plain["findings"]) == ("BTC/USD", 6, 0, [])


def test_with_bad_rows_nothing_is_written_but_by_repair(call: Call, tmp_path: Path) -> None:
    lines = good_lines(8)
    lines[3] = "2024-01-01T03:00:00Z,10,8,9,11,1"
    lines[5], lines[6] = lines[6], lines[5]
    path = str(csv_of(tmp_path / "bars.csv", lines))
    refused = call("data", "import", path, "--symbol", "BTC/USD")
    assert refused.return_value == 1
    assert "bad row 4 (2024-01-01T03:00:00Z): high below low" in refused.output
    assert "bad row 7 (2024-01-01T05:00:00Z): earlier than the row before" in refused.output
    assert "nothing was written" in refused.output
    assert "nothing is stored" in call("data", "list").output
    repaired = call("data", "import", path, "--symbol", "BTC/USD", "--repair", "--json")
    assert repaired.return_value == 0
    plain = json.loads(repaired.output)
    assert plain["stored"]["rows"] == 7
    assert [bad["row"] for bad in plain["bad_rows"]] == [4, 7]


def test_a_second_file_extends_or_replaces_what_is_stored(call: Call, tmp_path: Path) -> None:
    first, second = csv_of(tmp_path / "a.csv", good_lines(6)), csv_of(tmp_path / "b.csv", good_lines(10)[4:])
    call("data", "import", str(first), "--symbol", "BTC/USD")
    assert "10 bars" in call("data", "import", str(second), "--symbol", "BTC/USD").output
    other = csv_of(tmp_path / "c.csv", [line.replace(",12,", ",13,") for line in good_lines(6)])
    refused = call("data", "import", str(other), "--symbol", "BTC/USD")
    assert isinstance(refused.exception, ConfigurationError)
    assert "--replace" in str(refused.exception)
    assert "6 bars" in call("data", "import", str(other), "--symbol", "BTC/USD", "--replace").output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--symbol", "btc usd"), "--symbol: not a symbol"),
        (("--symbol", "Ä/Ü"), "--symbol: not a symbol"),
        (("--symbol", "BTC/USD", "--timeframe", "1Week"), "--timeframe: not a timeframe"),
        (("--symbol", "BTC/USD", "--zone", "Mars/Olympus"), "--zone: no time zone"),
        (("--symbol", "BTC/USD", "--column", "close"), "--column: write FIELD=NAME"),
    ],
)
def test_wrong_words_are_refused_with_the_right_ones(
    call: Call, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    refused = call("data", "import", str(csv_of(tmp_path / "bars.csv", good_lines())), *arguments)
    assert isinstance(refused.exception, ConfigurationError)
    assert words in str(refused.exception)


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (("--from", "2024-02-01", "--to", "2024-01-01"), "2024-02-01 00:00Z is not before --to 2024-01-01 00:00Z"),
        (("--from", "2024-02-01", "--to", "2024-02-01"), "is not before --to"),
        (("--from", "2024-02-01T00:30+00:30", "--to", "2024-01-01 00:00Z"), "2024-02-01 00:00Z is not before --to"),
        (("--from", "2999-01-01"), "--from 2999-01-01 00:00Z is not before now"),
    ],
)
def test_a_download_of_no_time_is_refused(call: Call, span: tuple[str, ...], words: str) -> None:
    """It said that there was nothing new, as if all were well."""
    refused = call("data", "download", "--symbols", "BTC/USD", *span)
    assert isinstance(refused.exception, ConfigurationError), refused.output
    assert words in str(refused.exception)


def test_a_damaged_series_is_listed_with_what_is_wrong(call: Call, tmp_path: Path) -> None:
    store = BarStore(tmp_path / "state" / "bars")
    store.write(Symbol("BTC/USD"), Timeframe.parse("1Hour"), columns_of(30), source="here")
    path = store.path(Symbol("BTC/USD"), Timeframe.parse("1Hour"))
    assert path is not None
    table = pq.read_table(path, partitioning=None)
    volumes = pa.array(table.column("volume").to_numpy() + 1)
    pq.write_table(table.set_column(table.schema.get_field_index("volume"), "volume", volumes), path)
    (plain,) = json.loads(call("data", "list", "--json").output)["bars"]
    assert "altered" in plain["problem"]
    assert "altered" in call("data", "list").output


def test_evaluate_reads_stored_bars_and_its_exit_code_is_about_having_an_answer(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = BarStore(tmp_path / "state" / "bars")
    store.write(Symbol("BTC/USD"), Timeframe.parse("1Hour"), columns_of(300), source="here")
    monkeypatch.setenv("TOTO_MODEL_ID", str(tmp_path / "nowhere"))
    usual = ("evaluate", "--symbols", "BTC/USD", "--context", "60", "--origins", "10", "--no-timing")
    done = call(*usual, "--backends", "baseline,toto", "--json")
    assert done.return_value == 0
    plain = json.loads(done.stdout)
    assert {arm["name"]: bool(arm["problem"]) for arm in plain["arms"]} == {
        "random walk": False, "baseline": False, "toto": True,
    }  # fmt: skip
    assert call(*usual, "--backends", "toto").return_value == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--backends", ","), "--backends names none"),
        (("--from", "2024-03-01T12:00Z", "--to", "2024-02-01"), "2024-03-01 12:00Z is after --to 2024-02-01 00:00Z"),
    ],
)
def test_evaluate_of_nothing_is_refused(call: Call, arguments: tuple[str, ...], words: str) -> None:
    refused = call("evaluate", "--symbols", "BTC/USD", *arguments)
    assert isinstance(refused.exception, ConfigurationError), refused.output
    assert words in str(refused.exception)


def test_evaluate_takes_files_and_a_span(call: Call, tmp_path: Path) -> None:
    store = BarStore(tmp_path / "elsewhere")
    entry = store.write(Symbol("ETH/USD"), Timeframe.parse("1Hour"), columns_of(300), source="here")
    usual = (
        "evaluate",
        "--data",
        f"ETH/USD={entry.path}",
        "--context",
        "60",
        "--origins",
        "10",
        "--no-timing",
        "--json",
    )
    done = call(*usual, "--from", "2024-01-10", "--to", "2024-01-11")
    (symbol,) = json.loads(done.stdout)["symbols"]
    assert symbol["symbol"] == "ETH/USD"
    assert symbol["first"] >= "2024-01-10"
    assert symbol["last"] <= "2024-01-11T01"
    refused = call(*usual, "--from", "2025-01-10")
    assert isinstance(refused.exception, ConfigurationError)
    missing = call(*usual, "--symbols", "ETH/USD,SPY")
    assert "--data has no file for SPY" in str(missing.exception)


def test_a_report_is_written(call: Call, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    store = BarStore(tmp_path / "elsewhere")
    entry = store.write(Symbol("ETH/USD"), Timeframe.parse("1Hour"), columns_of(300), source="here")
    report = tmp_path / "report.html"
    done = call("evaluate", "--data", f"ETH/USD={entry.path}", "--context", "60", "--origins", "6", "--no-timing",
                "--report", str(report))  # fmt: skip
    assert done.return_value == 0
    assert f"report: {report}" in done.stdout
    assert report.read_text(encoding="utf-8").startswith("<!doctype html>")
