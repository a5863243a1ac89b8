"""Backtests as a person asks for them: bounds, finer bars, walk-forward windows, the folder, the command."""

from __future__ import annotations

import json
import os
import signal
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from multiprocessing import active_children
from multiprocessing.process import BaseProcess
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from forecasters.base import Forecaster
from settings.load import load
from tests.e2e.running import ask
from tests.research.backtest.material import HOUR, bars_of, baseline, settings_for, written
from tests.waiting import let_pass
from trader.commands.backtest import command, span
from trader.commands.backtest_table import show
from trader.core.types import Symbol, Timeframe
from trader.errors import ConfigurationError
from trader.exchange.market.files import load_bars
from trader.research.backtest.backtest import Backtest, Request, _elsewhere, run_backtest
from trader.research.backtest.result import BacktestResult
from trader.research.backtest.run_folder import TABLES, load_result, load_table, save
from trader.research.backtest.sources import finer_in_store, settled
from trader.research.backtest.walkforward import Walk, check, grid_of
from trader.research.data.store import FOLDER, BarStore
from trader.strategies import names

BTC = Symbol("BTC/USD")
CONTEXT = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def hourly(folder: Path) -> Path:
    return written(bars_of("BTC/USD", 400), folder / "hourly.parquet")


@pytest.fixture(scope="module")
def done(folder: Path, hourly: Path) -> Backtest:
    return run_backtest(Request(settings=settings_for({"BTC/USD": hourly}, folder), cycles=150), baseline())


def test_the_headline_has_its_bound_beside_it_and_sound_books(done: Backtest) -> None:
    result = done.result
    assert result.problems == ()
    assert (result.errors, result.cycles) == (0, 150)
    assert result.figures.fills > 0
    assert result.optimistic is not None
    assert result.optimistic.account.total_return != result.figures.account.total_return
    assert result.data[0].content


def test_a_limit_that_works_is_no_fault_of_the_books(folder: Path, hourly: Path) -> None:
    tight = settings_for({"BTC/USD": hourly}, folder, risk__max_daily_loss="0.0001")
    result = run_backtest(Request(settings=tight, cycles=150, bounds=False), baseline()).result
    assert result.denials["daily_loss"]
    assert result.problems == ()


def test_a_result_survives_its_journey_through_json(done: Backtest) -> None:
    assert BacktestResult.of_json(done.result.as_json()) == done.result


def test_a_run_is_a_pure_function_of_what_is_asked(done: Backtest, folder: Path, hourly: Path) -> None:
    again = run_backtest(Request(settings=settings_for({"BTC/USD": hourly}, folder), cycles=150, ahead=7), baseline())
    assert replace(again.result, pace=None) == replace(done.result, pace=None)


def test_the_folder_holds_what_its_description_says(done: Backtest, tmp_path: Path) -> None:
    save(tmp_path / "run", done.result, done.kept)
    assert load_result(tmp_path / "run") == done.result
    tables = {name: load_table(tmp_path / "run", name) for name in TABLES}
    assert all(table is not None for table in tables.values())
    found = {name: table.to_pandas() for name, table in tables.items() if table is not None}
    figures = done.result.figures
    assert len(found["executions"]) == figures.fills
    assert len(found["trades"]) == figures.trades
    assert found["trades"]["pnl"].sum() + float(figures.first_equity) == pytest.approx(
        float(figures.last_equity), abs=found["equity"]["exposure"].abs().iloc[-1] * 0.2 + 0.01
    )
    assert found["equity"]["equity"].iloc[-1] == pytest.approx(float(figures.last_equity))
    assert set(found["executions"]["purpose"]) <= {"entry", "target", "stop", "time", "protect", "flatten"}
    assert not found["forecasts"].empty
    within = found["bars"][found["bars"]["at"] >= pd.Timestamp(done.result.start)]
    assert len(within) >= done.result.cycles - 1


def test_a_folder_that_is_no_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is no run"):
        load_result(tmp_path)


def test_finer_bars_play_what_the_coarse_ones_only_sum_up(folder: Path) -> None:
    fine = bars_of("BTC/USD", 1200)
    fine["timestamp"] = fine["timestamp"].iloc[0] + pd.to_timedelta(range(len(fine)), unit="min") * 15
    grouped = fine.groupby(fine["timestamp"].dt.floor("h"))
    coarse = grouped.agg(
        open=("open", "first"),
        high=("high", "max"),
        low=("low", "min"),
        close=("close", "last"),
        volume=("volume", "sum"),
    ).reset_index()
    paths = written(coarse, folder / "coarse.parquet"), written(fine, folder / "fine.parquet")
    request = Request(
        settings=settings_for({"BTC/USD": paths[0]}, folder), cycles=100, bounds=False, finer={BTC: paths[1]}
    )
    found = run_backtest(request, baseline()).result
    assert found.finer is not None
    assert found.finer.timeframe == "15Min"
    assert (found.finer.start, found.finer.end) == (found.start, found.end)
    assert found.finer.figures.buy_and_hold == found.figures.buy_and_hold
    assert found.finer.figures.fills > 0


def test_bars_and_finer_ones_are_found_in_the_store(folder: Path, tmp_path: Path) -> None:
    store = BarStore(tmp_path / FOLDER)
    for name, timeframe in (("hourly", "1Hour"), ("fine", "15Min")):
        bars = bars_of("BTC/USD", 400)
        if timeframe == "15Min":
            bars["timestamp"] = bars["timestamp"].iloc[0] + pd.to_timedelta(range(400), unit="min") * 15
        columns, _, _ = load_bars(written(bars, tmp_path / f"{name}.parquet"))
        store.write(BTC, Timeframe.parse(timeframe), columns, source="a test")
    loaded = load({"symbols": "BTC/USD", "state_dir": str(tmp_path)}, environ={}, folder=tmp_path, strategies=names())
    settings = settled(loaded, generated=False)
    assert settings.sim.bars == (f"BTC/USD={store.path(BTC, Timeframe.parse('1Hour'))}",)
    assert finer_in_store(settings) == {BTC: store.path(BTC, Timeframe.parse("15Min"))}


# ---- walk-forward ----


def walked(folder: Path, bars: pd.DataFrame, name: str, cycles: int) -> Backtest:
    path = written(bars, folder / f"{name}.parquet")
    walk = Walk(grid={"entry_quantile": ("0.5", "0.3")}, window=60 * HOUR, step=40 * HOUR)
    settings = settings_for({"BTC/USD": path}, folder)
    return run_backtest(Request(settings=settings, cycles=cycles, bounds=False, walk=walk), baseline())


def test_each_window_lies_before_what_it_is_used_for_and_the_future_has_no_part_in_it(folder: Path) -> None:
    bars = bars_of("BTC/USD", 300)
    found = walked(folder, bars, "walked", 60).result.windows
    assert len(found) == 2
    for window in found:
        assert window.fitted_to - window.fitted_from == timedelta(hours=60)
        assert window.used_to - window.fitted_to == timedelta(hours=40)
        assert window.choices == 2
        assert window.worst_return <= window.best_return
    spoilt = bars.copy()
    later = bars["timestamp"] >= pd.Timestamp(found[1].fitted_to)
    spoilt.loc[later, ["open", "high", "low", "close"]] *= 1.3
    again = walked(folder, spoilt, "spoilt", 60).result.windows
    assert again[:2] == found[:2]


def hanging() -> Forecaster:
    """In the other process."""
    threading.Event().wait()
    raise AssertionError("nobody ended it")


def test_an_interrupt_ends_the_other_process_too_and_without_a_word(
    folder: Path, hourly: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    request = Request(settings=settings_for({"BTC/USD": hourly}, folder))
    children: list[BaseProcess] = []

    def interrupted() -> None:
        with _elsewhere(request, hanging):
            children.extend(active_children())
            (child,) = children
            assert child.pid is not None
            for _ in range(20):  # while it begins, imports and works
                os.kill(child.pid, signal.SIGINT)
                let_pass(0.1)
            assert child.is_alive()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not children[0].is_alive()
    assert capfd.readouterr().err == ""


def test_a_span_that_ends_before_it_begins_is_refused() -> None:
    assert span("2024-01-01", "2024-01-02")[1] == datetime(2024, 1, 2, tzinfo=UTC)
    with pytest.raises(ConfigurationError, match="--from 2024-02-01 is not before --to 2024-01-01"):
        span("2024-02-01", "2024-01-01")


def test_a_grid_is_read_and_nonsense_refused(folder: Path, hourly: Path) -> None:
    assert grid_of("entry_quantile=0.2, 0.3; steps=2") == {"entry_quantile": ("0.2", "0.3"), "steps": ("2",)}
    for wrong in ("", "entry_quantile", "a=1;a=2", "=3"):
        with pytest.raises(ConfigurationError):
            grid_of(wrong)
    walk = Walk(grid={"no_such": ("1",)}, window=HOUR, step=HOUR)
    with pytest.raises(ConfigurationError, match="no_such"):
        check(walk, settings_for({"BTC/USD": hourly}, folder))


# ---- the command ----


def test_the_command_from_a_file_to_json_and_a_folder(hourly: Path, tmp_path: Path) -> None:
    done = ask(
        tmp_path, "backtest", "--data", f"BTC/USD={hourly}", "--cycles", "30", "--json",
        "--out", "run", CONTEXT="60",
    )  # fmt: skip
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["cycles"] == 30
    assert found["problems"] == []
    assert found["optimistic"]["first_equity"] == found["figures"]["first_equity"]
    assert load_result(tmp_path / "run").as_plain() == found


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--symbols", "BTC/USD"], "trader data import"),
        (["--generated"], "--cycles"),
        (["--data", "BTC/USD=FILE", "--symbols", "ETH/USD"], "no bars of ETH/USD"),
        (["--data", "BTC/USD=FILE", "--from", "sometime"], "--from sometime"),
        (["--data", "BTC/USD=FILE", "--to", "1999-01-01"], "no bar closes in that time"),
        (["--data", "BTC/USD=FILE", "--fit", "x=1"], "no parameter 'x'"),
        (["--data", "BTC/USD=FILE", "--backend", "nonsense"], "nonsense"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    hourly: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)  # where no .env lies
    given = [each.replace("FILE", str(hourly)) for each in arguments]
    done = CliRunner().invoke(command, [*given, "--state-dir", str(tmp_path)], env={"CONTEXT": "60"})
    assert isinstance(done.exception, ConfigurationError), done.output
    assert says in str(done.exception)
    assert "\n" not in str(done.exception)


def test_the_table_says_what_the_figures_are_and_what_stopped_the_entries(done: Backtest) -> None:
    text = show(replace(done.result, since={"drawdown": done.result.start}))
    for word in ("pessimistic (headline)", "optimistic bound", "buy and hold", "flat", "books sound", "MAX_DRAWDOWN"):
        assert word in text
    assert "books: cash" in show(replace(done.result, problems=("cash: 1 in the journal, 2 at the venue",)))
