from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trader.core.types import Timeframe
from trader.exchange.market.files import Columns, to_micros
from trader.exchange.market.market import Market, MarketOptions, open_market
from trader.exchange.market.series import aggregated

from .support import BTC, ETH, FIVE, HOUR, HOUR_US, at, played, random_bars, replay, write

FIVE_US = HOUR_US // 12


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> Market:
    """Two days of 5-minute bars with holes, a whole hour among them."""
    bars = random_bars(576, step_us=FIVE_US)
    keep = np.ones(576, bool)
    keep[[0, 13, 14, 100]] = False
    keep[120:132] = False
    path = write(tmp_path_factory.mktemp("five") / "b.parquet", {name: values[keep] for name, values in bars.items()})
    return replay(path)


@given(
    minutes=st.lists(st.integers(min_value=0, max_value=600), min_size=1, max_size=60, unique=True),
    length=st.sampled_from([5, 15, 60, 1440]),
    seed=st.integers(min_value=0, max_value=9),
)
def test_coarser_bars_are_those_computed_by_hand(minutes: list[int], length: int, seed: int) -> None:
    bars = random_bars(len(minutes), seed=seed)
    times = np.array(sorted(minutes), dtype=np.int64) * 60_000_000
    prices = {name: bars[name] for name in ("open", "high", "low", "close", "volume")}
    coarse = aggregated(Columns(times=times, **prices), length * 60_000_000)
    expected: dict[int, list[int]] = {}
    for row, minute in enumerate(sorted(minutes)):
        expected.setdefault(minute // length * length, []).append(row)
    assert (coarse.times // 60_000_000).tolist() == list(expected)
    for place, rows in enumerate(expected.values()):
        assert coarse.open[place] == bars["open"][rows[0]]
        assert coarse.close[place] == bars["close"][rows[-1]]
        assert coarse.high[place] == max(bars["high"][rows])
        assert coarse.low[place] == min(bars["low"][rows])
        assert coarse.volume[place] == pytest.approx(sum(bars["volume"][rows]))


def test_hours_of_a_five_minute_file_hold_its_bars(five: Market) -> None:
    end = at("2024-03-03")
    fine = five.bars(BTC, FIVE, start=None, end=end, limit=10_000)
    hours = five.bars(BTC, HOUR, start=None, end=end, limit=10_000)
    assert len(hours) == 47  # one hour is missing altogether
    for hour in hours:
        inside = [bar for bar in fine if hour.start <= bar.start < hour.start + timedelta(hours=1)]
        assert (hour.open, hour.close) == (inside[0].open, inside[-1].close)
        assert (hour.high, hour.low) == (max(bar.high for bar in inside), min(bar.low for bar in inside))
        assert hour.volume == pytest.approx(sum(bar.volume for bar in inside))
        assert hour.low <= hour.vwap <= hour.high
        assert hour.trades > 0


@given(
    minute=st.integers(min_value=-10, max_value=3000),
    length=st.sampled_from([FIVE, Timeframe.parse("15Min"), HOUR, Timeframe.parse("1Day")]),
    newest=st.booleans(),
    limit=st.integers(min_value=1, max_value=30),
    since=st.one_of(st.none(), st.integers(min_value=-10, max_value=3000)),
)
def test_no_bar_is_visible_before_it_closed(
    five: Market, minute: int, length: Timeframe, newest: bool, limit: int, since: int | None
) -> None:
    now = at("2024-03-01") + timedelta(minutes=minute)
    start = None if since is None else at("2024-03-01") + timedelta(minutes=since)
    rows = five.bars(BTC, length, start=start, end=now, limit=limit, newest=newest)
    everything = five.bars(BTC, length, start=None, end=at("2025-01-01"), limit=10_000)
    visible = [
        row for row in everything if row.start + length.duration <= now and (start is None or row.start >= start)
    ]
    assert rows == (visible[-limit:] if newest else visible[:limit])


def test_no_finer_bars_are_invented(five: Market) -> None:
    for finer in ("1Min", "7Min"):
        with pytest.raises(ValueError, match=f"BTC/USD has 5Min bars: no {finer} bars"):
            five.bars(BTC, Timeframe.parse(finer), start=None, end=at("2024-03-02"), limit=1)


def test_history_and_tapes_tell_the_same_prices(tmp_path: Path) -> None:
    bars = random_bars(20)
    bars["close"] = bars["close"] + 0.0003  # off the tick, as adjusted prices are
    bars["high"] = np.maximum(bars["high"], bars["close"])
    market = replay(write(tmp_path / "b.parquet", bars))
    rows = {row.start: row for row in market.bars(BTC, HOUR, start=None, end=at("2024-04-01"), limit=100)}
    tapes = played(market, 1000)
    for tape in tapes[3::4]:
        assert float(tape.last) == rows[tape.bar_start].close


def test_the_quote_of_a_moment_is_known_without_playing_it(five: Market) -> None:
    first = five.quote(BTC, five.start)
    assert first is not None
    assert first == five.tapes(five.start, lambda _: True)[0].quote
    inside = five.quote(BTC, five.start + timedelta(minutes=2))  # which extreme came first is not in the data
    assert inside == first
    closing = five.start + timedelta(minutes=3, seconds=45)
    last = five.quote(BTC, closing)
    assert last is not None
    assert last.at == closing
    assert five.quote(BTC, at("2024-02-01")) is None


def test_symbols_may_have_bars_of_different_lengths(tmp_path: Path) -> None:
    data = {
        BTC: write(tmp_path / "b.parquet", random_bars(48)),
        ETH: write(tmp_path / "e.parquet", random_bars(576, step_us=FIVE_US)),
    }
    market = open_market(MarketOptions(data=data, context=10))
    assert market.timeframe == HOUR
    moments = [market.start]
    while (following := market.next_time(moments[-1])) is not None and len(moments) < 20:
        moments.append(following)
    assert moments[1] - moments[0] == timedelta(minutes=1, seconds=15)
    assert len(market.tapes(market.start, lambda _: True)) == 2
    assert len(market.bars(ETH, HOUR, start=None, end=market.start, limit=100)) == 10


def test_moments_only_go_forward(five: Market) -> None:
    moment: datetime | None = five.start
    seen = 0
    while moment is not None:
        following = five.next_time(moment)
        assert following is None or following > moment
        assert five.tapes(moment, lambda _: True)
        moment, seen = following, seen + 1
    assert seen > 4 * 500
    assert to_micros(five.start) % FIVE_US == 0
