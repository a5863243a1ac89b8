"""A year of a stock's days: what a person who trades them by the predicted low and high would expect."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from tests.e2e.running import ask, trouble_in
from tests.research.backtest.material import Decisions, bars_of, run, settings_for, written
from trader.core.ids import purpose_of
from trader.core.types import Purpose, TimeInForce
from trader.errors import ConfigurationError
from trader.research.backtest.simulate import Recording
from trader.trading.ports import Session

BARS, CONTEXT = 220, 60


@pytest.fixture(scope="module")
def traded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recording, Decisions]:
    return year_of(tmp_path_factory.mktemp("daily"))


@pytest.fixture(scope="module")
def overnight(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recording, Decisions]:
    return year_of(tmp_path_factory.mktemp("overnight"), exits__stocks_overnight=True)


def year_of(folder: Path, **flags: object) -> tuple[Recording, Decisions]:
    file = written(bars_of("SPY", BARS, timeframe="1Day"), folder / "spy.parquet")
    return run(settings_for({"SPY": file}, folder, timeframe="1Day", context=CONTEXT, **flags))


def sessions_of(recording: Recording) -> list[Session]:
    spans = recording.venue.market.sessions(recording.start, recording.end)
    return [Session(open=open_, close=close) for open_, close in spans]


def test_each_session_has_one_decision_just_after_its_open(traded: tuple[Recording, Decisions]) -> None:
    recording, decisions = traded
    sessions = sessions_of(recording)
    delay = timedelta(seconds=5)
    assert [each.now for each in decisions.inputs.values()] == [session.open + delay for session in sessions]
    assert recording.cycles == len(sessions) == BARS - CONTEXT
    assert recording.errors == 0


def test_it_is_made_on_the_session_before_and_for_the_one_that_opens(traded: tuple[Recording, Decisions]) -> None:
    recording, decisions = traded
    series = recording.venue.market.series(recording.rules.symbols[0])
    assert series is not None
    times = series.columns.times.view("datetime64[us]")
    for place, inputs in enumerate(decisions.inputs.values(), start=CONTEXT):
        (forecast,) = inputs.forecasts.values()
        assert forecast.last_close == series.columns.close[place - 1]
        ahead = times[place : place + recording.rules.horizon]
        assert (forecast.times[: len(ahead)] == ahead).all()
        (quote,) = inputs.quotes.values()
        assert quote.bid <= round(float(series.columns.open[place]), 2) <= quote.ask


def test_it_enters_by_the_day_and_is_flat_at_the_close(traded: tuple[Recording, Decisions]) -> None:
    recording, _ = traded
    sessions, orders, fills = sessions_of(recording), recording.journal.orders.values(), recording.journal.fills
    assert len(fills) > 40
    entries = [order for order in orders if purpose_of(order) is Purpose.ENTRY]
    assert {order.tif for order in entries} == {TimeInForce.DAY}
    held = 0.0
    for session in sessions:
        todays = [fill for fill in fills if session.open <= fill.at < session.close]
        held += float(sum(fill.side.sign * fill.qty for fill in todays))
        assert held == 0
    assert sum(session.open <= fill.at < session.close for fill in fills for session in sessions) == len(fills)


def test_overnight_positions_are_kept_where_that_is_asked_for(overnight: tuple[Recording, Decisions]) -> None:
    recording, _ = overnight
    sessions, fills = sessions_of(recording), recording.journal.fills
    held = np.cumsum([float(sum(f.side.sign * f.qty for f in fills if s.open <= f.at < s.close)) for s in sessions])
    assert (held != 0).sum() > 10
    assert recording.errors == 0


def test_what_a_position_loses_until_the_open_counts_to_the_days_loss(overnight: tuple[Recording, Decisions]) -> None:
    """The only decision of a day is at the open: a day that began there would have lost nothing, ever."""
    recording, decisions = overnight
    gaps = 0
    for inputs in decisions.inputs.values():
        before = [point.equity for point in recording.journal.points if point.at.date() < inputs.now.date()]
        if before:
            assert inputs.risk.day_start_equity == before[-1]
            gaps += inputs.risk.day_start_equity != inputs.portfolio.account.equity
    assert gaps > 10


def test_the_bar_is_left_at_its_own_close_even_where_nights_are_allowed(tmp_path: Path) -> None:
    recording, _ = year_of(tmp_path, exits__stocks_overnight=True, exits__hold="bar")
    fills = recording.journal.fills
    assert len(fills) > 40
    for session in sessions_of(recording):
        todays = [fill for fill in fills if session.open <= fill.at < session.close]
        assert sum(fill.side.sign * fill.qty for fill in todays) == 0


def test_hours_of_a_stock_are_flat_before_the_close_as_well(tmp_path: Path) -> None:
    """Between two looks a quarter of an hour apart: the last minutes of a session have one of their own."""
    file = written(bars_of("SPY", 7 * 37), tmp_path / "spy.parquet")
    recording, _ = run(settings_for({"SPY": file}, tmp_path, context=CONTEXT))
    fills = recording.journal.fills
    assert len(fills) > 10
    for session in sessions_of(recording):
        todays = [fill for fill in fills if session.open <= fill.at < session.close]
        assert sum(fill.side.sign * fill.qty for fill in todays) == 0


def test_days_can_be_traded_on_finer_bars_with_a_context_of_days(tmp_path: Path) -> None:
    from trader.research.backtest.backtest import Request, run_backtest

    from .material import baseline

    file = written(bars_of("SPY", 8 * 80), tmp_path / "hours.parquet")
    settings = settings_for({"SPY": file}, tmp_path, timeframe="1Day", context=CONTEXT)
    result = run_backtest(Request(settings=settings, bounds=False), baseline()).result
    assert result.cycles > 10
    assert result.errors == result.alerts == 0
    assert result.figures.orders > 0


def test_hours_from_half_past_on_are_refused_with_what_to_do(tmp_path: Path) -> None:
    bars = bars_of("SPY", 7 * 70)
    bars["timestamp"] += timedelta(minutes=30)
    file = written(bars, tmp_path / "half.parquet")
    with pytest.raises(ConfigurationError, match=r"SPY: its 1Hour bars begin 0:30:00 later .* Give finer bars"):
        run(settings_for({"SPY": file}, tmp_path, context=CONTEXT))
    arguments = ("run", "--plain", "--speed", "max", "--cycles", "3", "--data", f"SPY={file}")
    refused = ask(tmp_path / "hours", *arguments, CONTEXT=str(CONTEXT))
    assert (refused.code, refused.err.count("\n")) == (78, 1)
    assert "begin 0:30:00 later" in refused.err
    taken = ask(tmp_path / "days", *arguments, "--timeframe", "1Day", CONTEXT=str(CONTEXT))
    assert taken.code == 0, taken.err
    assert not trouble_in(taken.out + taken.err)
