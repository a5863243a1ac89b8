"""`trader report` on a backtest's folder and on a daemon's journal."""

from __future__ import annotations

from pathlib import Path

import pytest

from forecasters import registry
from settings.load import load
from tests.e2e.running import ask
from tests.research.report.test_report_page import checked
from trader.adapters.journal.trades import round_trips
from trader.daemon.forecaster import backend_options
from trader.errors import ConfigurationError
from trader.research.backtest.backtest import Request, run_backtest
from trader.research.backtest.run_folder import save
from trader.research.report.load import run_of_folder
from trader.strategies import names


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short backtest on a generated market, as `trader backtest --out` leaves it."""
    state = tmp_path_factory.mktemp("report")
    flags = {
        "trading_mode": "sim",
        "symbols": "BTC/USD,ETH/USD",
        "context": 60,
        "state_dir": str(state),
        "sim__seed": 4,
    }
    settings = load(flags, environ={}, folder=state, strategies=names()).settings
    backend = registry.build("baseline", backend_options(settings))
    done = run_backtest(Request(settings=settings, cycles=60), backend)
    save(state / "run", done.result, done.kept)
    assert done.result.figures.trades > 0
    return state / "run"


def test_a_folder_gives_back_the_run_that_was_saved(folder: Path) -> None:
    run = run_of_folder(folder)
    assert run.title == "maxdiff on BTC/USD, ETH/USD"
    assert len(run.trades) == run.figures.trades
    assert [(t.symbol, t.opened_at, t.closed_at) for t in run.trades] == [
        (t.symbol, t.opened_at, t.closed_at) for t in round_trips(run.history.fills)
    ]
    assert run.history.worth.equity[-1] == pytest.approx(float(run.figures.last_equity))
    assert set(run.fans) == set(run.history.bars) == set(run.history.symbols)
    for fans in run.fans.values():
        for fan in fans:
            assert fan.closes.shape == (len(fan.levels), len(fan.times))
            assert fan.times[0] >= fan.asof
            assert (fan.closes[1:] >= fan.closes[:-1]).all()
    assert {each.is_target for exits in run.exits.values() for each in exits} == {True, False}
    assert [name for name, _ in run.beside] == ["Optimistic bound"]


def test_the_command_writes_the_page_beside_the_run_or_where_it_is_told(folder: Path, tmp_path: Path) -> None:
    beside = ask(tmp_path, "report", str(folder))
    assert (beside.code, beside.err) == (0, "")
    assert beside.out.startswith(str(folder / "report.html"))
    page = (folder / "report.html").read_text(encoding="utf-8")
    checker = checked(page)
    assert checker.loads == []
    assert page.count("<figure>") >= 2
    assert 'class="fan wide"' in page
    elsewhere = ask(tmp_path, "report", str(folder), "--out", str(tmp_path / "deep" / "page.html"))
    assert elsewhere.code == 0
    assert (tmp_path / "deep" / "page.html").read_text(encoding="utf-8") == page


def test_what_is_no_run_is_said_in_one_line(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigurationError, match="is no run of `trader backtest`"):
        run_of_folder(tmp_path / "empty")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "result.json").write_text((folder / "result.json").read_text())
    (broken / "equity.parquet").write_bytes(b"no table")
    with pytest.raises(ConfigurationError, match="a table of this run can't be read"):
        run_of_folder(broken)
    answer = ask(tmp_path, "report", str(tmp_path / "empty"))
    assert answer.code == 78
    assert len(answer.err.strip().splitlines()) == 1


def test_a_daemons_journal_is_a_run_too(tmp_path: Path) -> None:
    ran = ask(tmp_path, "run", "--mode", "sim", "--speed", "max", "--plain", "--cycles", "30", CONTEXT="60")
    assert ran.code == 0, ran.err
    answer = ask(tmp_path, "report", "--mode", "sim")
    assert answer.code == 0, answer.err
    page = (tmp_path / "report-sim.html").read_text(encoding="utf-8")
    assert checked(page).loads == []
    assert "maxdiff on BTC/USD, ETH/USD, sim" in page
    assert "buy and hold" in page
    empty = ask(tmp_path / "other", "report", "--mode", "sim")
    assert empty.code != 0
    assert "Traceback" not in empty.err
