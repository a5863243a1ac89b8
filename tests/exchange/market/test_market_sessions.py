from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from trader.core.types import Symbol
from trader.exchange.engine.events import Phase
from trader.exchange.market.files import from_micros, to_micros
from trader.exchange.market.grid import off_grid
from trader.exchange.market.market import Market, MarketOptions, open_market
from trader.exchange.market.sessions import Sessions

from .support import (
    AAPL,
    BTC,
    DAY,
    ETH,
    HOUR,
    HOUR_US,
    SPY,
    at,
    played,
    random_bars,
    real_data,
    replay,
    write,
)


@pytest.fixture(scope="module")
def crypto() -> Market:
    return open_market(MarketOptions())


@pytest.mark.parametrize(
    ("day", "opens", "closes"),
    [
        ("2024-03-08", "14:30", "21:00"),  # New York's winter
        ("2024-03-11", "13:30", "20:00"),  # the Monday after its clocks went forward
        ("2024-11-01", "13:30", "20:00"),
        ("2024-11-04", "14:30", "21:00"),
        ("2024-07-03", "13:30", "17:00"),  # half days
        ("2024-11-29", "14:30", "18:00"),
        ("1999-06-01", "13:30", "20:00"),  # before the library's own default range
        ("2055-06-01", "13:30", "20:00"),  # and long after it
    ],
)
def test_sessions_keep_new_yorks_clock(crypto: Market, day: str, opens: str, closes: str) -> None:
    assert crypto.sessions(at(day), at(day) + timedelta(days=1)) == [(at(f"{day} {opens}"), at(f"{day} {closes}"))]
    assert crypto.is_open(SPY, at(f"{day} {opens}"))
    assert not crypto.is_open(SPY, at(f"{day} {opens}") - timedelta(microseconds=1))
    assert crypto.is_open(SPY, at(f"{day} {closes}") - timedelta(microseconds=1))
    assert not crypto.is_open(SPY, at(f"{day} {closes}"))
    assert crypto.is_open(BTC, at(f"{day} {closes}"))


@pytest.mark.parametrize("day", ["2024-01-01", "2024-01-15", "2024-03-29", "2024-07-04", "2024-12-25", "2024-03-09"])
def test_guard_13_holidays_and_weekends_are_closed(crypto: Market, day: str) -> None:
    assert crypto.sessions(at(day), at(day) + timedelta(days=1)) == []
    assert not any(crypto.is_open(AAPL, at(day) + timedelta(hours=hour)) for hour in range(24))
    assert crypto.is_open(ETH, at(day))


def test_sessions_join_over_the_turn_of_a_decade(crypto: Market) -> None:
    days = [opens.date().isoformat() for opens, _ in crypto.sessions(at("2019-12-30"), at("2020-01-04"))]
    assert days == ["2019-12-30", "2019-12-31", "2020-01-02", "2020-01-03"]
    sessions = Sessions()
    close = to_micros(at("2019-12-31 21:00"))
    assert from_micros(sessions.next_change(close - 1)) == at("2019-12-31 21:00")
    assert from_micros(sessions.next_change(close)) == at("2020-01-02 14:30")


def stock_hours(tmp_path: Path, days: list[str], first_hour: int, count: int, minute: int = 0) -> Path:
    bars = random_bars(len(days) * count)
    starts = [np.datetime64(f"{day}T{first_hour:02}:{minute:02}", "us") for day in days]
    bars["timestamp"] = np.array([start + np.timedelta64(hour, "h") for start in starts for hour in range(count)])
    return write(tmp_path / "s.parquet", bars)


def moments_of(market: Market, start: datetime) -> list[datetime]:
    tapes = played(market, 10_000)
    return [tape.at for tape in tapes if tape.bar_start == start]


def test_hours_that_begin_before_the_open_play_after_it(tmp_path: Path) -> None:
    days = ["2024-03-04", "2024-03-05", "2024-03-06"]
    market = replay(stock_hours(tmp_path, days, 14, 7), SPY, context=7)
    moments = moments_of(market, at("2024-03-05 14:00"))
    assert moments[0] == at("2024-03-05 14:30")
    assert moments[-1] == at("2024-03-05 14:52:30")
    assert moments_of(market, at("2024-03-05 20:00"))[-1] == at("2024-03-05 20:45")
    assert all(market.is_open(SPY, tape.at) for tape in played(market, 10_000))


def test_hours_that_end_after_the_close_play_before_it(tmp_path: Path) -> None:
    days = ["2024-03-04", "2024-03-05", "2024-03-06"]
    market = replay(stock_hours(tmp_path, days, 14, 7, minute=30), SPY, context=7)
    assert moments_of(market, at("2024-03-05 20:30"))[-1] == at("2024-03-05 20:52:30")
    # and no phase of the next session comes before its bell
    assert market.next_time(at("2024-03-05 20:52:30")) == at("2024-03-05 21:00")
    assert market.next_time(at("2024-03-05 21:00")) == at("2024-03-06 14:30")


def test_a_daily_stock_bar_plays_in_its_session(tmp_path: Path) -> None:
    days = ["2024-07-01", "2024-07-02", "2024-07-03", "2024-07-05", "2024-07-08"]
    bars = random_bars(len(days))
    bars["timestamp"] = np.array(days, dtype="datetime64[us]")
    market = replay(write(tmp_path / "d.parquet", bars), AAPL, context=2)
    assert market.timeframe == DAY
    half_day = [tape for tape in played(market, 100) if tape.bar_start == at("2024-07-03")]
    assert [tape.at for tape in half_day] == [
        at("2024-07-03 13:30") + timedelta(minutes=52.5 * phase) for phase in Phase
    ]
    # it is told only when its day is over in every zone that a client may think in
    assert market.bars(AAPL, DAY, start=None, end=at("2024-07-03 23:59"), limit=9)[-1].start == at("2024-07-02")
    assert market.bars(AAPL, DAY, start=None, end=at("2024-07-04"), limit=9)[-1].start == at("2024-07-03")


@pytest.mark.parametrize("clock", ["T00:00", "T05:00", "T14:30"])
def test_a_daily_stock_bar_plays_in_its_session_however_it_is_stamped(tmp_path: Path, clock: str) -> None:
    days = ["2024-03-05", "2024-03-06", "2024-03-07", "2024-03-08"]
    bars = random_bars(len(days))
    bars["timestamp"] = np.array([day + clock for day in days], dtype="datetime64[us]")
    market = replay(write(tmp_path / "d.parquet", bars), AAPL, context=1)
    thursday = moments_of(market, at(f"2024-03-07{clock}"))
    assert thursday == [at("2024-03-07 14:30") + timedelta(minutes=97.5 * phase) for phase in Phase]
    # at its open the newest that is told is the session before
    told = market.bars(AAPL, DAY, start=None, end=at("2024-03-08 14:30"), limit=9)
    assert told[-1].start == at(f"2024-03-07{clock}")


def test_generated_days_of_stocks_are_stamped_at_new_yorks_midnight() -> None:
    options = MarketOptions(symbols=(SPY,), timeframe=DAY, start=at("2024-02-20"), context=20, bars=30)
    market = open_market(options)
    told = market.bars(SPY, DAY, start=at("2024-03-07"), end=at("2024-03-20"), limit=6)
    assert [f"{row.start:%m-%d %H:%M}" for row in told] == [
        "03-07 05:00", "03-08 05:00", "03-11 04:00", "03-12 04:00", "03-13 04:00", "03-14 04:00",
    ]  # fmt: skip
    assert all(market.is_open(SPY, tape.at) for tape in played(market, 100))


@pytest.mark.parametrize(("first_hour", "count"), [(14, 7), (9, 16)])
def test_days_made_of_finer_bars_are_those_of_new_york(tmp_path: Path, first_hour: int, count: int) -> None:
    """With extended hours too: in winter the evening's last hour begins at midnight UTC."""
    days = ["2024-03-04", "2024-03-05", "2024-03-06"]
    market = replay(stock_hours(tmp_path, days, first_hour, count), SPY, context=count)
    told = market.bars(SPY, DAY, start=None, end=at("2024-03-09"), limit=9)
    assert [row.start for row in told] == [at(f"{day} 05:00") for day in days]
    finest = market.bars(SPY, HOUR, start=None, end=at("2024-03-09"), limit=99)
    assert [row.open for row in told] == [row.open for row in finest[::count]]
    assert [row.close for row in told] == [row.close for row in finest[count - 1 :: count]]


def test_bars_that_begin_between_the_venues_are_named_and_days_of_them_are_not(tmp_path: Path) -> None:
    days = ["2024-03-04", "2024-03-05", "2024-03-06"]
    half_past = replay(stock_hours(tmp_path, days, 14, 7, minute=30), SPY, context=7)
    why = off_grid(half_past, [SPY], HOUR)["SPY"]
    assert "begin 0:30:00 later than the venue's" in why
    assert "--timeframe 1Hour" in why
    assert "--timeframe 1Day" in why
    assert off_grid(half_past, [SPY], DAY) == {}
    assert off_grid(half_past, [AAPL], HOUR) == {}  # it has no bars at all
    assert off_grid(replay(stock_hours(tmp_path, days, 14, 7), SPY, context=7), [SPY], HOUR) == {}
    coin = random_bars(9, start="2024-03-01T06:00", step_us=24 * HOUR_US)
    assert "full multiples of 1Day" in off_grid(replay(write(tmp_path / "c.parquet", coin), BTC), [BTC], DAY)["BTC/USD"]


def test_bars_of_extended_hours_play_while_the_market_is_closed(tmp_path: Path) -> None:
    bars = random_bars(16 * 12 * 2, start="2024-03-04T09:00", step_us=HOUR_US // 12)
    market = replay(write(tmp_path / "x.parquet", bars), SPY, context=12)
    tapes = played(market, 10_000)
    assert {market.is_open(SPY, tape.at) for tape in tapes} == {True, False}
    early = [tape for tape in tapes if tape.at < at("2024-03-04 14:30")]
    assert early
    assert not any(market.is_open(SPY, tape.at) for tape in early)


def test_opens_and_closes_are_moments_even_without_a_bar(tmp_path: Path) -> None:
    days = ["2024-03-04", "2024-03-05", "2024-03-07"]  # the file lacks Wednesday
    market = replay(stock_hours(tmp_path, days, 15, 6), SPY, context=6)
    moments = [market.start]
    while (following := market.next_time(moments[-1])) is not None:
        moments.append(following)
    wednesday = [moment for moment in moments if moment.date().isoformat() == "2024-03-06"]
    assert wednesday == [at("2024-03-06 14:30"), at("2024-03-06 21:00")]


def test_a_market_without_stocks_never_loads_the_calendar() -> None:
    script = (
        "import sys; from trader.exchange.market.market import *; m = open_market(MarketOptions());"
        "m.tapes(m.start, lambda s: True); m.next_time(m.start);"
        "assert not {'exchange_calendars', 'pandas', 'pyarrow', 'torch'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


@pytest.mark.parametrize("symbol", ["SPY", "AAPL"])
def test_recorded_five_minute_stocks_play_inside_their_sessions(symbol: str) -> None:
    market = replay(real_data(f"bars/{symbol}__yahoo-rth__5m.parquet"), Symbol(symbol), context=100)
    tapes = played(market, 10**6)
    rows = market.bars(Symbol(symbol), market.timeframe, start=market.start, end=at("2026-01-01"), limit=10**6)
    assert len(tapes) == 4 * len(rows) > 8000
    assert all(market.is_open(tape.symbol, tape.at) for tape in tapes)


def test_recorded_hours_of_ten_years_play_inside_their_sessions() -> None:
    market = replay(real_data("bars/SPY__lean-rth__1h.parquet"), SPY, context=100)
    tapes = played(market, 20_000)
    outside = {tape.at.date() for tape in tapes if not market.is_open(SPY, tape.at)}
    assert len(tapes) > 19_000
    # the file goes on after the early close of half days, and nowhere else
    closes = [close for _, close in market.sessions(at("2007-01-01"), at("2018-01-01"))]
    assert outside <= {close.date() for close in closes if close.hour < 20}
    assert market.timeframe == HOUR
