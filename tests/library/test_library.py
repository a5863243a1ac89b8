"""What `import trader` gives: light until it is used, typed frames out, the commands' own figures."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import trader
from forecasters.contract import made_bars
from trader.cli import cli
from trader.core.types import Symbol
from trader.errors import ConfigurationError, DatabaseUnusable
from trader.research.backtest.result import BacktestResult

CHANGES = {"context": 60, "horizon": 2}


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "state"


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    table = pd.DataFrame(made_bars(300, seed=4), columns=["open", "high", "low", "close", "volume", "amount"])
    table.insert(0, "time", pd.date_range("2024-01-01", periods=300, freq="h", tz="UTC"))
    return table


def test_importing_it_loads_nothing_and_a_function_loads_what_it_needs() -> None:
    program = (
        "import sys, trader\n"
        "print(sorted({'pandas', 'numpy', 'torch', 'pydantic', 'settings'} & set(sys.modules)))\n"
        "trader.load_settings()\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "False"]


def test_what_it_has_is_what_it_lists() -> None:
    assert set(trader.__all__) <= set(dir(trader))
    assert all(callable(getattr(trader, name)) for name in trader.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'sell_everything'"):
        getattr(trader, "sell_everything")  # noqa: B009 - mypy knows that there is none


def test_a_misspelt_change_is_one_line() -> None:
    with pytest.raises(ConfigurationError, match="flag contxt: is not a setting"):
        trader.load_settings({"contxt": 5})


def test_a_backtest_from_a_frame_is_the_commands_backtest_of_the_file(tmp_path: Path, bars: pd.DataFrame) -> None:
    run = trader.backtest(CHANGES, data={"BTC/USD": bars}, params={"entry_quantile": 0.4}, cycles=20)
    file = tmp_path / "bars.csv"
    bars.to_csv(file, index=False)
    arguments = ["backtest", "--data", f"BTC/USD={file}", "--param", "entry_quantile=0.4", "--cycles", "20", "--json"]
    answer = CliRunner().invoke(cli, arguments, env={"CONTEXT": "60", "HORIZON": "2"}, standalone_mode=False)
    assert answer.exception is None
    told = BacktestResult.of_json(answer.stdout)
    assert told.figures == run.result.figures
    assert told.optimistic == run.result.optimistic
    assert run.equity["equity"].iloc[-1] == pytest.approx(float(told.figures.last_equity))
    assert len(run.executions) == told.figures.fills
    assert str(run.executions.dtypes["at"]).endswith("UTC]")


def test_an_evaluation_has_a_row_for_each_backend_and_each_pair(bars: pd.DataFrame) -> None:
    found = trader.evaluate(["baseline"], CHANGES, data={"BTC/USD": bars}, origins=20)
    assert list(found.scores["backend"]) == ["random walk", "baseline"]
    assert {"mae_close", "crps_close", "skill", "coverage_close", "direction"} <= set(found.scores)
    assert list(found.against[["backend", "other", "symbol"]].iloc[0]) == ["baseline", "random walk", "BTC/USD"]


def test_a_forecast_is_a_row_for_each_bar_and_level(bars: pd.DataFrame) -> None:
    indexed = bars.set_index("time").drop(columns="amount")
    found = trader.forecast("BTC/USD", indexed, CHANGES)
    levels, table = found.forecast.levels, found.quantiles
    assert len(table) == 2 * len(levels)
    assert table["time"].iloc[0] == bars["time"].iloc[-1] + pd.Timedelta(hours=1)
    first = table[table["time"] == table["time"].iloc[0]]
    assert np.array_equal(first["close"], found.forecast.quantiles[:, 0, 3])


def test_a_frame_without_what_is_needed_is_refused(bars: pd.DataFrame) -> None:
    with pytest.raises(ConfigurationError, match="bars of BTC/USD: no column volume; right: open"):
        trader.forecast("BTC/USD", bars.drop(columns="volume"))
    with pytest.raises(ConfigurationError, match="no column time, and the index holds no times"):
        trader.forecast("BTC/USD", bars.drop(columns="time"))


def test_where_nothing_ran_there_is_no_journal_to_read() -> None:
    with pytest.raises(DatabaseUnusable):
        trader.read_journal()


def test_an_option_that_is_misspelt_is_refused_here_too(bars: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTIONS__BASELINE__SAMPELS", "64")
    with pytest.raises(ConfigurationError, match=r"sampels.*did you mean 'samples'"):
        trader.evaluate(["baseline"], CHANGES, data={Symbol("BTC/USD").text: bars}, origins=5)


@pytest.mark.parametrize(
    "start", ["2024-01-05", "2024-01-05T01:00+01:00", pd.Timestamp("2024-01-05"), datetime(2024, 1, 5, tzinfo=UTC)]
)
def test_a_start_is_a_time_or_the_text_of_one(bars: pd.DataFrame, start: datetime | str) -> None:
    run = trader.backtest(CHANGES, data={"BTC/USD": bars}, start=start, cycles=2, bounds=False)
    assert run.result.start == datetime(2024, 1, 5, tzinfo=UTC)


@pytest.mark.parametrize("wrong", ["June", date(2024, 1, 5), 20240105])
def test_what_is_no_time_is_one_line(bars: pd.DataFrame, wrong: datetime) -> None:
    with pytest.raises(ConfigurationError, match=r"end=.*right: a datetime"):
        trader.backtest(CHANGES, data={"BTC/USD": bars}, end=wrong)


def test_a_strategy_that_raises_ends_a_backtest_in_one_line_that_says_where(tmp_path: Path, bars: pd.DataFrame) -> None:
    file = tmp_path / "boom.py"
    file.write_text(
        "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass Params:\n    steps: int = 1\n"
        "def decide(view, params):\n    raise RuntimeError('boom')\n"
    )
    with pytest.raises(ConfigurationError, match=r"boom.py.* failed at 2024.*Z: boom.py, line 6: RuntimeError: boom"):
        trader.backtest({**CHANGES, "strategy": str(file)}, data={"BTC/USD": bars}, cycles=2)
