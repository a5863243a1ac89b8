"""A file of rows, Parquet or CSV, as a table: read only where that stays in proportion to the file.

A Parquet file of 1.6 MB can stand for 4.9 GB: one figure repeated, one long text in each row. What it would take is
counted from what it says of itself before a row is read.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

MOST_COLUMNS = 1000
_ALWAYS_BYTES = 32 << 20  # that any file may become, however small it is: 700,000 bars
_MOST_TIMES = 30  # its own size, beyond that; bars of a real market are squeezed to a fifth
_LONGEST_HEAD = 64 << 10
_FOOTER_ENTRIES = 100_000


class TableError(ValueError):
    """The file is no table of rows. One line, which begins with the file's name."""


class OutOfProportion(ValueError):
    """The file would take far more memory than its size lets expect. One line, without the file's name."""


def read_table(path: Path, *, as_texts: bool = False) -> pa.Table:
    """By the name's ending; at least one row. `as_texts`: a CSV's cells as they stand in it. Raises TableError."""
    import pyarrow as pa

    kind = path.suffix.lower()
    if kind not in (".parquet", ".pq", ".csv", ".txt"):
        raise TableError(f"{path}: unknown kind of file {kind or '(no ending)'!r}; use .parquet or .csv")
    try:
        table = read_csv(path, as_texts=as_texts) if kind in (".csv", ".txt") else read_parquet(path)
    except FileNotFoundError:
        raise TableError(f"{path}: no such file") from None
    except OutOfProportion as problem:
        raise TableError(f"{path}: {problem}") from problem
    except (OSError, pa.ArrowException) as problem:
        reason = str(problem).splitlines()[0]
        raise TableError(f"{path}: can't be read as {kind.removeprefix('.')}: {reason}") from problem
    if table.num_rows == 0:
        raise TableError(f"{path}: has no rows")
    return table


def read_parquet(path: Path) -> pa.Table:
    """Raises OutOfProportion, OSError, pyarrow.ArrowException."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    budget = max(_ALWAYS_BYTES, _MOST_TIMES * path.stat().st_size)
    with pq.ParquetFile(path, thrift_container_size_limit=_FOOTER_ENTRIES) as file:
        schema = file.schema_arrow
        _refuse_columns(len(schema))
        nested = next((field.name for field in schema if pa.types.is_nested(field.type)), None)
        if nested is not None:
            raise OutOfProportion(f"column {nested[:40]} holds lists; a cell must be a number, a time or a text")
        texts = [field.name for field in schema if _is_text(field.type)]
        widths = sum(8 if field.name in texts else _width(field.type) for field in schema)
        told = file.metadata
        groups = (told.row_group(place).total_byte_size for place in range(told.num_row_groups))
        _refuse_bytes(max(told.num_rows * widths, sum(groups)), budget)
    # a text that stands in each row is read once, and only written out where there is room for it
    with pq.ParquetFile(path, read_dictionary=texts) as file:
        table = file.read()
    _refuse_bytes(sum(_written_out(table.column(place)) for place in range(table.num_columns)), budget)
    return table.cast(schema.remove_metadata())


def read_csv(path: Path, *, as_texts: bool = False) -> pa.Table:
    """`as_texts`: each cell as it stands in the file. Raises OutOfProportion, OSError, pyarrow.ArrowException."""
    import pyarrow as pa
    import pyarrow.csv

    with path.open("rb") as file:
        head = file.read(_LONGEST_HEAD)
    lines = head.splitlines() or [b""]
    if len(lines) == 1 and len(head) == _LONGEST_HEAD:
        raise OutOfProportion(f"its first line is longer than {_LONGEST_HEAD} bytes")
    _refuse_columns(lines[0].count(b",") + 1)
    if not as_texts:
        return pa.csv.read_csv(path)
    names = pa.csv.open_csv(path).schema.names
    return pa.csv.read_csv(path, convert_options=pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())))


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    is_one_of = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    return any(test(kind) for test in is_one_of)


def _width(kind: pa.DataType) -> int:
    """Bytes of a cell, at least those that a number takes once it is read."""
    try:
        return max(8, int(kind.bit_width) // 8)
    except ValueError:  # of a kind whose cells have no one width
        return 16


def _written_out(column: pa.ChunkedArray) -> int:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(column.type):
        return int(column.nbytes)
    longest = (pc.max(pc.binary_length(chunk.dictionary)).as_py() or 0 for chunk in column.chunks)
    return sum(len(chunk) * (8 + each) for chunk, each in zip(column.chunks, longest, strict=True))


def _refuse_columns(count: int) -> None:
    if count > MOST_COLUMNS:
        raise OutOfProportion(f"{count} columns; at most {MOST_COLUMNS} are read")


def _refuse_bytes(count: int, budget: int) -> None:
    if count > budget:
        raise OutOfProportion(f"it would take {count >> 20} MB, out of all proportion to the file; cut it by time")
