"""Every command: what it prints, as JSON too, and how it fails: one line, the right exit code, what to do."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import click
import pytest

from tests.e2e.running import COMMAND, Answer, ask, environment, exchange
from trader.__main__ import main
from trader.adapters.journal import Journal
from trader.cli import cli

READERS = (
    ("status",), ("positions",), ("orders",), ("trades",), ("performance",), ("backends",), ("check",),
    ("config", "show"), ("replay", "last"),
)  # fmt: skip
PAPER = {"ALPACA_API_KEY_ID": "PKTEST", "ALPACA_API_SECRET_KEY": "planted-secret", "STRATEGY": "maxdiff"}


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a run that traded."""
    folder = tmp_path_factory.mktemp("state")
    done = ask(folder, "run", "--plain", "--speed", "max", "--cycles", "20")
    assert done.code == 0, done.err
    return folder


Here = Callable[..., Answer]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Here:
    """A command in this process, for those that only read: a new interpreter costs more than all they do."""

    def call(state: Path, *arguments: str, **more: str) -> Answer:
        state.mkdir(parents=True, exist_ok=True)
        monkeypatch.chdir(state)
        for name in set(os.environ) - set(environment(state)):
            monkeypatch.delenv(name)
        for name, value in environment(state, **more).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["trader", *arguments])
        capfd.readouterr()
        code = main()
        out, err = capfd.readouterr()
        return Answer(code=code, out=out, err=err)

    return call


def refused(answer: Answer, code: int, *words: str) -> None:
    """One line on stderr, no traceback, with these words."""
    assert answer.code == code, answer
    lines = answer.err.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("trader: ")
    for word in words:
        assert word in lines[0], lines[0]
    assert "Traceback" not in answer.out + answer.err


@pytest.mark.parametrize("command", READERS, ids=" ".join)
def test_readers_print_for_people_and_for_programs(state: Path, here: Here, command: tuple[str, ...]) -> None:
    shown, plain = here(state, *command), here(state, *command, "--json")
    assert (shown.code, plain.code) == (0, 0), (shown, plain)
    assert isinstance(json.loads(plain.out), list | dict)
    assert shown.out.strip()
    assert not shown.out.startswith(("{", "["))
    assert (shown.err, plain.err) == ("", "")


def test_json_has_what_the_tables_have(state: Path, here: Here) -> None:
    orders = json.loads(here(state, "orders", "--json").out)
    assert {"submitted", "symbol", "purpose", "side", "type", "qty", "filled", "limit", "stop", "status"} <= set(
        orders[0]
    )
    assert all(order["reason"] for order in orders), "each is ours, and says why"
    status = json.loads(here(state, "status", "--json").out)
    assert status["cycles"] == 20
    assert status["running"] is False
    performance = json.loads(here(state, "performance", "--json").out)
    assert {"total_return", "max_drawdown", "sharpe", "fees", "turnover", "buy_and_hold", "symbols"} <= set(performance)


@pytest.mark.parametrize("command", [r for r in READERS if r[0] not in ("backends", "check", "config")], ids=" ".join)
def test_without_a_journal_readers_say_how_to_get_one(tmp_path: Path, here: Here, command: tuple[str, ...]) -> None:
    refused(here(tmp_path, *command), 74, "no journal", "trader run")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("run", "--symbols", "FOO/BAR"), 78, ("FOO/BAR", "BTC/USD")),
        (("run", "--symbols", "BTC/USDT"), 78, ("BTC/USDT", "quoted in USD")),
        (("run", "--data", "BTC/USD=/nowhere.parquet"), 78, ("/nowhere.parquet", "no such file")),
        (("run", "--data", "BTC"), 78, ("SIM__BARS='BTC'", "SYMBOL=FILE")),
        (("run", "--strategy", "maxdif"), 78, ("maxdiff",)),
        (("run", "--forecaster", "baselin"), 78, ("did you mean 'baseline'",)),
        (("run", "--timeframe", "7Fortnights"), 78, ("7Fortnights", "1Hour")),
        (("run", "--timeframe", "7Min", "--speed", "max"), 78, ("7Min", "15Min")),
        (("run", "--mode", "paper"), 78, ("ALPACA_API_KEY_ID",)),
        (("run", "--mode", "live"), 78, ("LIVE_ACCOUNT",)),
        (("forecast", "BTC/USD,ETH/USD"), 78, ("BTC/USD,ETH/USD", "one symbol at a time")),
        (("forecast", "BTC/USD", "--forecaster", "nonesuch"), 78, ("nonesuch", "trader backends")),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else str(value),
)
def test_a_wrong_start_is_one_line(
    tmp_path: Path, arguments: tuple[str, ...], code: int, words: tuple[str, ...]
) -> None:
    plain = ("--plain",) if arguments[0] == "run" else ()
    refused(ask(tmp_path, *arguments, *plain, LOG_LEVEL="ERROR"), code, *words)


def test_where_orders_go_to_alpaca_the_strategy_is_somebodys_choice(tmp_path: Path) -> None:
    keys = {name: value for name, value in PAPER.items() if name != "STRATEGY"}
    refused(ask(tmp_path, "run", "--plain", "--mode", "paper", **keys), 78, "STRATEGY is not set", "voltarget")
    assert "STRATEGY is not set" in ask(tmp_path, "check", "--mode", "paper", **keys).out


@pytest.mark.parametrize(
    "command",
    [
        ("cycle", "--symbols", "a"), ("cycle", "--symbols", "0"), ("toto", "--horizons", "64,,96"),
        ("toto", "--repeats", "0"), ("toto", "--threads", "-1"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_bench_of_no_number_is_a_wrong_command_line(tmp_path: Path, here: Here, command: tuple[str, ...]) -> None:
    answer = here(tmp_path, "bench", *command)
    assert answer.code == 2, answer
    assert f"Invalid value for '{command[1]}'" in answer.err


@pytest.mark.parametrize("folder", ["/proc/1/nothing", "file", "file/below"])
def test_a_state_folder_that_cannot_be_is_named_with_the_setting(tmp_path: Path, here: Here, folder: str) -> None:
    (tmp_path / "file").write_text("")
    refused(
        here(tmp_path, "run", "--plain", STATE_DIR=str(tmp_path / folder)), 78, "STATE_DIR=", folder, "right: a folder"
    )
    refused(
        here(tmp_path, "run", "--plain", "--state-dir", "/proc/1/nothing"), 78, "flag --state-dir", "/proc/1/nothing"
    )


def test_whatever_else_the_machine_refuses_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "journal-sim.db").mkdir()
    refused(ask(tmp_path, "run", "--plain", LOG_LEVEL="ERROR"), 74, "journal-sim.db", "Is a directory", "STATE_DIR")


def test_a_broken_ledger_of_the_simulation_says_how_to_go_on(tmp_path: Path) -> None:
    quick = ("run", "--plain", "--speed", "max", "--cycles", "1")
    assert ask(tmp_path, *quick).code == 0
    run = tmp_path / "sim/run.json"
    run.write_text(run.read_text().replace("true", "false"))  # as if it had been cut off
    (tmp_path / "sim/exchange.db").write_bytes(b"no ledger" * 1000)
    refused(ask(tmp_path, *quick, LOG_LEVEL="ERROR"), 78, "not usable as a ledger", "--fresh")
    assert ask(tmp_path, *quick, "--fresh").code == 0


def test_a_run_needs_no_standard_streams_and_survives_their_end(tmp_path: Path) -> None:
    environ, run = environment(tmp_path), f"{' '.join(COMMAND)} run --plain --speed max --cycles 2"
    for streams in ("<&- >&- 2>&-", ">/dev/full 2>/dev/full"):
        assert subprocess.run(["sh", "-c", f"exec {run} {streams}"], env=environ, check=False).returncode == 0, streams
    cut = subprocess.run(["bash", "-c", f"{run} | head -1; exit ${{PIPESTATUS[0]}}"], env=environ, check=False)
    assert cut.returncode == 0
    assert ask(tmp_path, "db", "check").code == 0


def test_a_limit_beyond_any_database_is_refused(state: Path, here: Here) -> None:
    answer = here(state, "orders", "--limit", "99999999999999999999")
    assert (answer.code, "Traceback" in answer.err) == (2, False)


def test_a_misspelt_setting_is_refused_with_the_nearest_name(tmp_path: Path, here: Here) -> None:
    refused(here(tmp_path, "status", RISK__MAX_DRAWDOWM="0.1"), 78, "RISK__MAX_DRAWDOWM", "RISK__MAX_DRAWDOWN")


def test_a_comparison_whose_evidence_has_no_place_is_not_begun(tmp_path: Path, here: Here) -> None:
    (tmp_path / "taken").touch()
    out = str(tmp_path / "taken" / "evidence.json")
    refused(here(tmp_path, "compare", "kronos", "kronos-compiled", "--out", out), 78, "the evidence can't be kept in")


def test_an_unreachable_venue_is_69(tmp_path: Path) -> None:
    nowhere = {"ALPACA_TRADING_URL": "http://127.0.0.1:9", "ALPACA_DATA_URL": "http://127.0.0.1:9"}
    refused(ask(tmp_path, "run", "--plain", "--mode", "paper", LOG_LEVEL="ERROR", **PAPER, **nowhere), 69)


def test_refused_keys_are_77_and_never_shown(tmp_path: Path) -> None:
    with exchange(tmp_path, EXCHANGE_KEY="PKOTHER", EXCHANGE_SECRET="other") as venue:
        answer = ask(tmp_path, "run", "--plain", "--mode", "paper", LOG_LEVEL="ERROR", **(venue | PAPER))
        refused(answer, 77)
        checked = ask(tmp_path, "check", "--mode", "paper", **(venue | PAPER))
    assert checked.code == 1
    assert "BAD" in checked.out
    assert "planted-secret" not in answer.out + answer.err + checked.out + checked.err


def test_a_corrupt_journal_is_74(tmp_path: Path, here: Here) -> None:
    (tmp_path / "journal-sim.db").write_bytes(b"no database at all" * 400)
    for command in (("status",), ("db", "check")):
        answer = here(tmp_path, *command)
        assert answer.code == 74, answer
        assert "Traceback" not in answer.out + answer.err


def test_a_journal_that_another_program_holds_is_75(tmp_path: Path, here: Here) -> None:
    Journal.open(f"sqlite:///{tmp_path}/journal-sim.db").close()
    with closing(sqlite3.connect(tmp_path / "journal-sim.db", isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        refused(here(tmp_path, "status"), 75, "locked", "Try again")
        checked = here(tmp_path, "check")
    assert checked.code == 1
    assert "BAD  journal" in checked.out


@pytest.mark.parametrize("command", [("config", "show"), ("orders", "--json"), ("--help",)], ids=" ".join)
def test_a_reader_that_has_had_enough_is_no_failure(state: Path, command: tuple[str, ...]) -> None:
    """As of any command before `| head`: nothing on stderr, and the shell's code of SIGPIPE."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [*COMMAND, *command], env=environment(state), cwd=state, stdout=writer, stderr=subprocess.PIPE, timeout=300,
            check=False,
        )  # fmt: skip
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_from_a_folder_that_is_gone_a_command_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setattr(sys, "argv", ["trader", "status"])
    code = main()
    refused(Answer(code=code, out="", err=capsys.readouterr().err), 78, "current folder is gone", "cd to one")


def test_an_interrupt_in_the_midst_of_imports_is_a_stop(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def importing() -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("trader.__main__._command", importing)
    assert (main(), capsys.readouterr().err) == (130, "trader: stopped\n")


def test_output_that_was_thrown_away_from_the_start_is_no_closed_pipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exchange ends by SystemExit, with a code of its own."""
    monkeypatch.setattr(sys, "argv", ["trader", "exchange"])
    null, kept = os.open(os.devnull, os.O_WRONLY), os.dup(1)
    monkeypatch.setattr("trader.__main__._command", lambda: sys.exit(1))
    os.dup2(null, 1)
    try:
        with pytest.raises(SystemExit, match="1"):
            main()
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(null)


def test_the_doctor_says_what_to_do_and_never_breaks(tmp_path: Path, here: Here) -> None:
    (tmp_path / "journal-sim.db").write_bytes(b"no database at all" * 400)
    answer = here(tmp_path, "check", FORECASTER="nonesuch")
    assert answer.code == 1
    assert "BAD  journal" in answer.out
    assert "BAD  forecaster" in answer.out
    assert answer.err == ""


def test_a_backup_is_sound_and_replay_of_an_unknown_cycle_says_so(state: Path, here: Here, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    assert here(state, "db", "backup", str(copy)).code == 0
    checked = here(state, "db", "check", DATABASE_URL=f"sqlite:///{copy}")
    assert (checked.code, checked.out) == (0, "sound: 20 decisions agree with the venue\n")
    refused(here(state, "replay", "20200101T000000Z-trade"), 78, "20200101T000000Z-trade")
    refused(here(state, "replay", "\udcff"), 78, "no decision of cycle")
    for nameless in ("", "/"):
        answer = here(state, "db", "backup", nameless)
        assert (answer.code, "Traceback" in answer.err) in ((74, False), (2, False)), answer
    assert here(state, "db", "upgrade").code == 0


def test_a_forecast_is_a_chart_a_table_or_json(tmp_path: Path) -> None:
    table = ask(tmp_path, "forecast", "BTC/USD", "--horizon", "2")
    assert table.code == 0, table.err
    assert "low 10% / 50% / 90%" in table.out
    assert "░" not in table.out  # nobody looks: not in a terminal
    assert max(map(len, table.out.splitlines()[1:])) <= 120
    told = json.loads(ask(tmp_path, "forecast", "AAPL", "--horizon", "3", "--json").out)
    assert len(told["times"]) == 3
    bars = tmp_path / "bars.csv"
    rows = [
        f"2024-01-{1 + i // 24:02d}T{i % 24:02d}:00:00Z,{100 + i % 7},{108},{99},{101 + i % 5},10" for i in range(300)
    ]
    bars.write_text("\n".join(["time,open,high,low,close,volume", *rows]))
    chart = ask(tmp_path, "forecast", "ETH/USD", "--data", str(bars), "--plot", COLUMNS="80")
    assert chart.code == 0, chart.err
    fan, _, below = chart.out.partition("\n\n")
    assert "2024-01-13 12:00 UTC" in fan  # after the last bar of the file
    assert max(map(len, fan.splitlines())) <= 80
    assert "close 10% / 50% / 90%" in below
    assert max(map(len, below.splitlines()[1:])) <= 80


def test_help_is_there_for_every_command() -> None:
    def walk(command: click.Command, name: str) -> None:
        assert command.help, name
        assert command.get_short_help_str(200), name
        for option in command.params:
            if isinstance(option, click.Option) and not option.hidden:
                assert option.help, f"{name} --{option.name}"
        if isinstance(command, click.Group):
            for each, sub in command.commands.items():
                walk(sub, f"{name} {each}")

    walk(cli, "trader")
