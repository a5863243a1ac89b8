"""What is noticed in a series: splits, other scales, bad ticks, frozen feeds, gaps against the calendar."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.research.data.made import columns_of
from trader.core.market import Bars
from trader.core.types import Symbol, Timeframe
from trader.exchange.market.files import Columns
from trader.research.data.checks import Kind, examine, scale_against
from trader.research.data.store import bars_of, bars_of_file

BTC, SPY = Symbol("BTC/USD"), Symbol("SPY")
HOUR, DAY = Timeframe.parse("1Hour"), Timeframe.parse("1Day")


def crypto(columns: Columns) -> Bars:
    return bars_of(BTC, HOUR, columns)


def days(columns: Columns) -> Bars:
    """The sessions of spring 2024, as daily bars of a stock."""
    dates = np.arange("2024-01-02", "2024-03-20", dtype="datetime64[D]")
    closed = {"2024-01-15", "2024-02-19"}
    open_days = np.array([day for day in dates if np.is_busday(day) and str(day) not in closed], dtype="datetime64[us]")
    count = len(open_days)
    cut = {name: getattr(columns, name)[:count] for name in ("open", "high", "low", "close", "volume")}
    return bars_of(SPY, DAY, Columns(times=open_days.astype(np.int64), **cut))


def scaled(columns: Columns, at: int, factor: float) -> Columns:
    parts = {name: getattr(columns, name).copy() for name in ("open", "high", "low", "close")}
    for values in parts.values():
        values[at:] *= factor
    return replace(columns, **parts)


def without(columns: Columns, *rows: int) -> Columns:
    keep = np.ones(len(columns), dtype=bool)
    keep[list(rows)] = False
    return Columns(
        **{name: getattr(columns, name)[keep] for name in ("times", "open", "high", "low", "close", "volume")}
    )


def test_a_clean_series_has_nothing_to_say() -> None:
    for bars in (crypto(columns_of(200)), days(columns_of(60))):
        health = examine(bars)
        assert health.findings == ()
        assert (health.missing, health.gaps, health.longest_gap) == (0, 0, 0)
        assert health.is_sound


@pytest.mark.parametrize(
    ("factor", "name"),
    [
        (1 / 2, "2:1 split"),
        (1 / 3, "3:1 split"),
        (2 / 3, "1.5:1 split"),
        (1 / 20, "20:1 split"),
        (10.0, "1:10 reverse split"),
        (4.0, "1:4 reverse split"),
    ],
)
def test_splits_are_named(factor: float, name: str) -> None:
    (found,) = examine(days(scaled(columns_of(60), 25, factor * 1.01))).findings
    assert found.kind is Kind.SPLIT
    assert name in found.text
    assert found.at.date().isoformat() == "2024-02-07"


def test_a_coin_does_not_split_and_cents_are_no_split() -> None:
    (jump,) = examine(crypto(scaled(columns_of(60), 25, 0.5))).findings
    assert jump.kind is Kind.JUMP
    (unit,) = examine(days(scaled(columns_of(60), 25, 100.0))).findings
    assert unit.kind is Kind.SCALE
    assert "cents" in unit.text


def test_a_usual_move_is_none() -> None:
    assert examine(days(scaled(columns_of(60), 25, 0.75))).findings == ()


def test_two_series_of_one_symbol_must_be_of_one_scale() -> None:
    stored = crypto(columns_of(300))
    assert scale_against(crypto(columns_of(300)), stored) is None
    other = scale_against(crypto(columns_of(300, level=10_000.0)), stored)
    assert other is not None
    assert other.kind is Kind.SCALE
    assert "near 100" in other.text
    assert scale_against(crypto(columns_of(300, start="2030-01-01")), stored) is None, "they share no day"


def test_a_price_that_no_bar_beside_it_reaches_is_a_bad_tick() -> None:
    columns = columns_of(60)
    high = columns.high.copy()
    high[30] *= 3
    (found,) = examine(crypto(replace(columns, high=high))).findings
    assert found.kind is Kind.TICK
    assert found.at.isoformat() == "2024-01-02T06:00:00+00:00"


def test_a_feed_that_repeats_itself_is_frozen() -> None:
    columns = columns_of(60)
    parts = {name: getattr(columns, name).copy() for name in ("open", "high", "low", "close")}
    for values in parts.values():
        values[20:40] = values[20]
    kinds = [finding.kind for finding in examine(crypto(replace(columns, **parts))).findings]
    assert Kind.FROZEN in kinds


def test_gaps_of_a_coin_are_all_hours() -> None:
    health = examine(crypto(without(columns_of(60), 10, 11, 12, 40)))
    assert (health.missing, health.gaps, health.longest_gap) == (4, 2, 3)
    assert health.is_sound
    assert [finding.kind for finding in health.findings] == [Kind.GAP, Kind.GAP]


def test_gaps_of_a_stock_are_sessions_without_bars() -> None:
    whole = days(columns_of(60))
    keep = np.ones(len(whole), dtype=bool)
    keep[[9, 10, 30]] = False
    thinned = Bars(symbol=SPY, timeframe=DAY, times=whole.times[keep], values=whole.values[keep])
    health = examine(thinned)
    assert (health.missing, health.gaps, health.longest_gap) == (3, 2, 2)


@pytest.mark.parametrize(
    ("name", "symbol", "kinds"),
    [
        ("BTCUSDT__binance-spot__1h", "BTC/USD", {Kind.GAP}),
        ("SPY__lean-rth__1h", "SPY", set()),
        ("IWM__lean__1d", "IWM", {Kind.TICK}),
        ("BTCUSD__coinbase__1d", "BTC/USD", {Kind.TICK}),
    ],
)
def test_what_recorded_series_are_known_to_have(
    real_data: Callable[[str], Path], name: str, symbol: str, kinds: set[Kind]
) -> None:
    health = examine(bars_of_file(Symbol(symbol), real_data(f"bars/{name}.parquet")))
    assert {finding.kind for finding in health.findings} == kinds
    assert health.missing == (20 if "BTCUSDT" in name else 0), "as its provenance says"
