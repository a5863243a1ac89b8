"""Ticks, scales, months, chosen trades: each part against what is known."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.research.report.scene import BTC, SPY, START, fan_at, history, run
from trader.adapters.journal.trades import round_trips
from trader.research.report import charts
from trader.research.report import run_charts as report_charts
from trader.research.report.charts import Axis, axis_of, thinned, time_ticks, value_ticks
from trader.research.report.html import el, money, percent, raw
from trader.research.report.run import Resting
from trader.research.report.tables import monthly_returns, months, return_of

FINITE = st.floats(-1e9, 1e9, allow_nan=False)


@given(st.lists(FINITE, max_size=20))
def test_an_axis_holds_every_value_and_is_never_empty(values: list[float]) -> None:
    axis = axis_of(values)
    assert axis.low < axis.high
    for value in values:
        assert -1e-9 <= axis.share(value) <= 1 + 1e-9


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(2, 9))
def test_ticks_are_few_within_the_axis_and_evenly_spaced(low: float, span: float, most: int) -> None:
    axis = Axis(low=low, high=low + span)
    ticks = [tick.at for tick in value_ticks(axis, most=most)]
    assert len(ticks) <= most + 1
    slack = span * 1e-6 + abs(low) * 1e-9
    assert all(axis.low - slack <= at <= axis.high + slack for at in ticks)
    if len(ticks) > 2:
        assert np.diff(ticks) == pytest.approx(ticks[1] - ticks[0], rel=1e-3)


def test_tick_labels_have_the_digits_that_tell_them_apart() -> None:
    assert [t.label for t in value_ticks(Axis(low=-0.031, high=0.012), percent=True)] == [
        "−3%",
        "−2%",
        "−1%",
        "0%",
        "1%",
    ]
    small = [t.label for t in value_ticks(Axis(low=0.0, high=0.004), percent=True)]
    assert small == ["0.0%", "0.1%", "0.2%", "0.3%", "0.4%"]
    assert [t.label for t in value_ticks(Axis(low=61_900, high=70_100), most=5)] == [
        "62,000",
        "64,000",
        "66,000",
        "68,000",
        "70,000",
    ]


@pytest.mark.parametrize(
    ("start", "end", "labels"),
    [
        ("2024-01-30T00", "2024-01-30T05", ["30 Jan", "01:00", "02:00", "03:00", "04:00", "05:00"]),
        ("2024-01-30T07", "2024-02-02T00", ["12:00", "31 Jan", "12:00", "1 Feb", "12:00", "2 Feb"]),
        ("2024-01-15", "2024-07-02", ["Feb 2024", "Mar 2024", "Apr 2024", "May 2024", "Jun 2024", "Jul 2024"]),
        ("2019-06-01", "2024-07-02", ["2020", "2021", "2022", "2023", "2024"]),
    ],
)
def test_time_ticks_are_at_the_starts_of_things(start: str, end: str, labels: list[str]) -> None:
    found = time_ticks(np.datetime64(start), np.datetime64(end), most=6)
    assert [tick.label for tick in found] == labels


@given(st.integers(1, 5000), st.integers(0, 100))
def test_a_thinned_line_keeps_its_ends_and_its_extremes(count: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=count).cumsum()
    kept = thinned(values)
    assert len(kept) <= 702
    assert {0, count - 1} <= set(kept.tolist())
    assert values[kept].min() == values.min()
    assert values[kept].max() == values.max()
    assert (np.diff(kept) > 0).all()


def test_months_multiply_to_the_whole() -> None:
    events = history(count=2000)
    times = np.arange(
        START.replace(tzinfo=None), START.replace(tzinfo=None) + timedelta(hours=2001), timedelta(hours=1)
    )
    equity = events.worth.equity
    by_month = monthly_returns(times.astype("datetime64[us]"), equity)
    assert list(by_month) == [(2024, 1), (2024, 2), (2024, 3), (2024, 4)]
    assert np.prod([1 + value for value in by_month.values()]) == pytest.approx(equity[-1] / equity[0])
    february = int((np.datetime64("2024-03-01") - times[0].astype("datetime64[us]")) / np.timedelta64(1, "h"))
    january = 48  # hours of it: midnight closes the old month
    assert by_month[2024, 2] == pytest.approx(equity[february] / equity[january] - 1)
    assert months(times.astype("datetime64[us]"), equity).count("<tr>") == 2


def test_the_best_the_worst_and_the_last_trade_are_shown() -> None:
    trades = round_trips(history().fills)
    assert [trade.symbol for trade in trades] == [BTC, SPY, BTC]
    assert report_charts.trades_to_draw(trades) == trades
    many = [replace(trades[0], pnl=trades[0].pnl * n) for n in (1, 5, -3, 2, 4)]
    assert report_charts.trades_to_draw(many) == [many[1], many[2], many[4]]
    assert report_charts.trades_to_draw([]) == []


def test_the_return_of_a_trade_is_after_fees() -> None:
    long, short, _ = round_trips(history().fills)
    assert return_of(long) == pytest.approx((30 - 2) / 1000)
    assert return_of(short) == pytest.approx((-15 - 2) / 505)


def test_the_fan_is_the_newest_forecast_before_the_entry() -> None:
    trade = round_trips(history().fills)[0]
    fans = [fan_at(5), fan_at(20), fan_at(21), fan_at(200)]
    assert report_charts._fan_of(fans, trade) is fans[1]
    assert report_charts._fan_of(fans[3:], trade) is None


def test_every_picture_has_its_marks_and_the_fan_starts_at_the_close_before_the_entry() -> None:
    made = run()
    html = report_charts.trades_on_candles(made)
    assert html.count("<figure>") == 3
    assert html.count('class="mark buy"') == html.count('class="mark sell"') == 3
    assert html.count('class="fan wide"') == 3
    bars = made.history.bars[BTC]
    fan, interval = fan_at(20), timedelta(hours=1)
    shape = report_charts._fan_shape(fan, bars, 30, 80, interval)
    assert shape is not None
    xs, closes = shape
    assert xs.tolist() == [20, 21, 22, 23, 24]  # the bar that closes at hour 20 is the 19th of those shown
    assert (closes[:, 0] == bars.values[30 + 19, 3]).all()
    assert report_charts._fan_shape(fan, bars, 60, 80, interval) is None


def test_targets_and_stops_are_drawn_while_they_rested_and_only_within_the_trade() -> None:
    made = run()
    trade = made.trades[0]
    exits = [
        Resting(start=trade.opened_at, end=trade.closed_at, price=103.0, is_target=True),
        Resting(start=trade.opened_at, end=trade.closed_at + timedelta(days=9), price=99.0, is_target=False),
        Resting(start=trade.closed_at, end=trade.closed_at + timedelta(hours=1), price=99.0, is_target=False),
        Resting(start=trade.opened_at, end=trade.closed_at, price=10.0, is_target=False),  # far below the picture
    ]
    html = report_charts.trades_on_candles(run(trades=[trade], exits={BTC: exits}))
    assert html.count('class="aim"') == 1
    assert html.count('class="guard"') == 1
    ends = [re.search(rf'class="{kind}" d="M([0-9.]+) [0-9.]+H([0-9.]+)"', html) for kind in ("aim", "guard")]
    assert all(end is not None for end in ends)
    assert {end.groups() for end in ends if end} == {ends[0].groups()}  # type: ignore[union-attr]


def test_numbers_read_as_people_write_them() -> None:
    assert [percent(each) for each in (0.1234, -0.01234, 1.5, 0.0, -0.000001)] == [
        "+12.3%",
        "−1.23%",
        "+150%",
        "0.00%",
        "0.00%",
    ]
    assert percent(None) == percent(float("nan")) == "–"
    assert money(-1234.5) == "−1,234" or money(-1234.5) == "−1,235"
    assert el("td", "<b>", raw("<i></i>"), kind='x"y') == '<td class="x&quot;y">&lt;b&gt;<i></i></td>'


def test_labels_at_the_edges_do_not_stick_out() -> None:
    html = charts.plot([], label="x", x_ticks=[(0.0, "a"), (0.5, "b"), (1.0, "c")], y_ticks=[])
    assert 'class="x first" style="left:0.00%">a' in html
    assert 'class="x last" style="left:100.00%">c' in html
