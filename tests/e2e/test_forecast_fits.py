"""`trader forecast` in terminals of several widths: wrapped, a chart is no picture and a table no table."""

from __future__ import annotations

import pytest

from tests.forecasters.support import context
from tests.research.backtest.material import baseline
from trader.commands.one_forecast import WHOLE_TABLE, fan_chart, table
from trader.core.market import Bars
from trader.core.types import Symbol, Timeframe


@pytest.mark.parametrize(("columns", "horizon"), [(40, 4), (60, 24), (80, 64), (80, 256), (120, 4)])
def test_the_chart_and_the_table_fit(columns: int, horizon: int) -> None:
    asked = context(horizon=horizon)
    forecast = baseline().forecast([asked])["BTC/USD"]
    hour = Timeframe.parse("1Hour")
    bars = Bars(symbol=Symbol("BTC/USD"), timeframe=hour, times=asked.times, values=asked.values)
    chart = fan_chart(bars, forecast, columns).splitlines()[1:]
    assert max(map(len, chart)) <= columns
    assert all(sign in "".join(chart) for sign in "•─░")
    if columns >= 80:
        head, *rows = table(forecast, columns).splitlines()[1:]
        assert {len(line) for line in (head, *rows)} == {WHOLE_TABLE if columns >= WHOLE_TABLE else 79}
        assert len(rows) == horizon
        assert "close 10% / 50% / 90%" in head
