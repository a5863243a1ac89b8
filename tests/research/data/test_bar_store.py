"""Stored bars: what was written is read again, by us and by the exchange; what was altered is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.research.data.made import columns_of
from trader.core.types import Symbol, Timeframe
from trader.errors import ConfigurationError
from trader.exchange.market.files import load_bars, timeframe_of
from trader.research.data.store import BarStore, bars_of, bars_of_file, hash_of

BTC, SPY = Symbol("BTC/USD"), Symbol("SPY")
HOUR, DAY = Timeframe.parse("1Hour"), Timeframe.parse("1Day")
START = datetime(2024, 1, 1, tzinfo=UTC)


def test_what_was_written_is_read_again_to_the_last_bit(tmp_path: Path) -> None:
    store, columns = BarStore(tmp_path / "bars"), columns_of(50)
    entry = store.write(BTC, HOUR, columns, source="here")
    series = store.series(BTC, HOUR)
    assert np.array_equal(series.values[:, :4], bars_of(BTC, HOUR, columns).values[:, :4])
    assert series.times[0] == np.datetime64("2024-01-01T00:00")
    assert store.entries() == [entry]
    assert (entry.rows, entry.first, entry.last) == (50, START, START + timedelta(hours=49))
    assert entry.content_hash == hash_of(store.columns(BTC, HOUR))


def test_the_exchange_reads_the_same_file(tmp_path: Path) -> None:
    store = BarStore(tmp_path)
    store.write(BTC, HOUR, columns_of(30), source="here")
    path = store.path(BTC, HOUR)
    assert path is not None
    columns, spacing_us, notes = load_bars(path)
    assert timeframe_of(path, spacing_us) == HOUR
    assert notes == ()
    assert hash_of(columns) == hash_of(columns_of(30))


def test_a_span_holds_the_bars_that_had_closed_by_its_end(tmp_path: Path) -> None:
    store = BarStore(tmp_path)
    store.write(BTC, HOUR, columns_of(50), source="here")
    found = store.series(BTC, HOUR, start=START + timedelta(hours=5), end=START + timedelta(hours=8, minutes=59))
    assert [str(time)[11:13] for time in found.times] == ["05", "06", "07"]
    with pytest.raises(ConfigurationError, match="none in that span"):
        store.series(BTC, HOUR, start=START + timedelta(days=30))


def test_what_is_not_there_is_said_with_what_brings_it(tmp_path: Path) -> None:
    store = BarStore(tmp_path / "nothing")
    assert store.path(BTC, HOUR) is None
    assert store.entry(BTC, HOUR) is None
    assert store.entries() == []
    with pytest.raises(ConfigurationError, match="trader data import"):
        store.series(BTC, HOUR)


def test_series_are_apart_by_symbol_and_length(tmp_path: Path) -> None:
    store = BarStore(tmp_path)
    store.write(SPY, HOUR, columns_of(20), source="a")
    store.write(BTC, DAY, columns_of(20, step_s=86_400), source="b")
    store.write(BTC, HOUR, columns_of(20), source="c")
    assert [(str(e.symbol), str(e.timeframe)) for e in store.entries()] == [
        ("BTC/USD", "1Hour"), ("BTC/USD", "1Day"), ("SPY", "1Hour"),
    ]  # fmt: skip


def test_an_altered_figure_is_noticed(tmp_path: Path) -> None:
    store = BarStore(tmp_path)
    store.write(BTC, HOUR, columns_of(30), source="here")
    path = store.path(BTC, HOUR)
    assert path is not None
    table = pq.read_table(path, partitioning=None)
    closes = table.column("close").to_numpy().copy()
    closes[3] += 1e-9
    altered = table.set_column(table.schema.get_field_index("close"), "close", pa.array(closes))
    pq.write_table(altered, path)
    with pytest.raises(ConfigurationError, match="altered"):
        store.series(BTC, HOUR)


def test_a_file_that_is_none_of_ours_is_refused(tmp_path: Path) -> None:
    store = BarStore(tmp_path)
    pq.write_table(pa.table({"timestamp": [1, 2]}), tmp_path / "BTC-USD__1Hour.parquet")
    with pytest.raises(ConfigurationError, match="not written by"):
        store.entries()
    (tmp_path / "BTC-USD__1Hour.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(ConfigurationError, match="can't be read"):
        store.entries()


def test_a_rewrite_leaves_one_file_and_no_trace(tmp_path: Path) -> None:
    store = BarStore(tmp_path)
    store.write(BTC, HOUR, columns_of(30), source="one")
    store.write(BTC, HOUR, columns_of(40), source="two")
    assert [path.name for path in tmp_path.iterdir()] == ["BTC-USD__1Hour.parquet"]
    assert store.entries()[0].rows == 40


def test_what_a_killed_writer_left_is_no_series_and_is_removed(tmp_path: Path) -> None:
    store = BarStore(tmp_path)
    left = tmp_path / ".BTC-USD__1Hour.parquet.4194305"  # beyond the largest process number
    left.write_bytes(b"half a file")
    assert store.entries() == []
    store.write(BTC, HOUR, columns_of(30), source="here")
    assert not left.exists()


def test_what_is_no_series_is_not_written(tmp_path: Path) -> None:
    columns = columns_of(10)
    for wrong in (columns_of(1), replace(columns, times=columns.times[::-1])):
        with pytest.raises(ConfigurationError, match="two bars at least"):
            BarStore(tmp_path).write(BTC, HOUR, wrong, source="here")


def test_a_high_inside_its_body_by_a_rounding_error_does_not_break_the_hash(tmp_path: Path) -> None:
    columns = columns_of(10)
    high = np.maximum(columns.open, columns.close) * (1 - 1e-12)
    store = BarStore(tmp_path)
    store.write(BTC, HOUR, replace(columns, high=high), source="here")
    assert len(store.series(BTC, HOUR)) == 10


def test_bars_of_a_file_must_be_of_the_length_that_was_asked_for(tmp_path: Path) -> None:
    store = BarStore(tmp_path)
    store.write(BTC, HOUR, columns_of(10), source="here")
    path = store.path(BTC, HOUR)
    assert path is not None
    assert bars_of_file(BTC, path).timeframe == HOUR
    with pytest.raises(ConfigurationError, match="are of 1Hour, not of 1Day"):
        bars_of_file(BTC, path, DAY)
