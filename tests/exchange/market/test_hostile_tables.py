"""A file of rows that would take far more memory than its size lets expect is refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.costs import cost_of
from trader.exchange.market.tables import read_csv, read_parquet

MOST_MB = 100
BOTH = """
from pathlib import Path
import pandas, pyarrow, pyarrow.csv, pyarrow.parquet
from trader.errors import ConfigurationError
from trader.exchange.market.files import MarketError, load_bars
from trader.research.data.table_reading import read_raw
path = Path(sys.argv[1])
def attempt():
    try:
        load_bars(path)
    except MarketError as error:
        print(error)
    try:
        read_raw(path, names={})
    except ConfigurationError as error:
        print(error)
"""


def repeated(path: Path) -> Path:
    """Twenty million rows of one figure: a few KB a column."""
    rows = pa.array(np.zeros(20_000_000))
    pq.write_table(pa.table(dict.fromkeys(("time", "open", "high", "low", "close", "volume"), rows)), path)
    return path


def long_texts(path: Path) -> Path:
    """One text of a megabyte, in each of 4,000 rows."""
    text = pa.DictionaryArray.from_arrays(pa.array(np.zeros(4_000, np.int32)), pa.array(["x" * (1 << 20)]))
    pq.write_table(pa.table({"time": text, "open": np.ones(4_000)}), path, store_schema=False)
    return path


def lists(path: Path) -> Path:
    pq.write_table(pa.table({"time": [[1, 2]] * 1000}), path)
    return path


def wide_parquet(path: Path) -> Path:
    pq.write_table(pa.table({f"c{place}": [1.0] for place in range(3000)}), path)
    return path


def wide_csv(path: Path) -> Path:
    path = path.with_suffix(".csv")
    path.write_text(",".join(map(str, range(400_000))) + "\n")
    return path


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (repeated, "out of all proportion"),
        (long_texts, "out of all proportion"),
        (lists, "holds lists"),
        (wide_parquet, "3000 columns"),
        (wide_csv, "its first line is longer"),
    ],
)
def test_a_hostile_file_costs_little_and_is_refused(tmp_path: Path, made: Callable[[Path], Path], why: str) -> None:
    path = made(tmp_path / "bars.parquet")
    assert path.stat().st_size < 3 << 20
    cost = cost_of(BOTH, str(path))
    assert [why in line and line.startswith(f"{path}: ") for line in cost.said.splitlines()] == [True, True]
    assert cost.megabytes < MOST_MB


def test_a_table_in_earnest_is_read_as_it_is(tmp_path: Path) -> None:
    table = pa.table(
        {
            "time": pa.array(["2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z", None]),
            "at": pa.array([1, 2, 3], pa.timestamp("us", "UTC")),
            "open": [1.5, 2.5, float("nan")],
            "volume": pa.array([1, 2, None], pa.int32()),
        }
    )
    pq.write_table(table, tmp_path / "bars.parquet")
    assert read_parquet(tmp_path / "bars.parquet").to_pydict()["time"] == table.to_pydict()["time"]
    assert read_parquet(tmp_path / "bars.parquet").schema == table.schema
    (tmp_path / "bars.csv").write_text("time,open\n1,x\n")
    assert read_csv(tmp_path / "bars.csv", as_texts=True).to_pydict() == {"time": ["1"], "open": ["x"]}
