"""Files of bars: which column is what, which rows are none, and that none is lost in silence."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.research.data.made import columns_of, csv_of, good_lines
from trader.core.types import Symbol, Timeframe
from trader.errors import ConfigurationError
from trader.exchange.market.files import from_micros
from trader.research.data.importing import Judged, judge, merged
from trader.research.data.table_reading import FIELDS, guess, read_raw

BTC, SPY = Symbol("BTC/USD"), Symbol("SPY")


def judged(path: Path, symbol: Symbol = BTC, timeframe: str | None = None, **how: object) -> Judged:
    raw = read_raw(path, names={}, **how)  # type: ignore[arg-type]
    return judge(raw, symbol, None if timeframe is None else Timeframe.parse(timeframe))


def hours(found: Judged) -> list[int]:
    return [from_micros(int(micros)).hour for micros in found.columns.times]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("2024-01-01T03:00:00Z,nan,12,9,11,1", "open is missing"),
        ("2024-01-01T03:00:00Z,10,12,9,,1", "close is missing"),
        ("2024-01-01T03:00:00Z,10,inf,9,11,1", "high is missing"),
        ("2024-01-01T03:00:00Z,10,12,9,eleven,1", "close is missing"),
        ("2024-01-01T03:00:00Z,10,12,9,11,", "volume is missing"),
        ("2024-01-01T03:00:00Z,10,8,9,11,1", "high below low"),
        ("2024-01-01T03:00:00Z,10,10.5,9,11,1", "high below open or close"),
        ("2024-01-01T03:00:00Z,10,12,10.5,11,1", "low above open or close"),
        ("2024-01-01T03:00:00Z,-10,12,-10,11,1", "a price of zero or less"),
        ("2024-01-01T03:00:00Z,0,12,0,11,1", "a price of zero or less"),
        ("2024-01-01T03:00:00Z,10,12,9,11,-1", "a negative volume"),
        ("2024-01-01T03:20:00Z,10,12,9,11,1", "not at a 1Hour step"),
        ("2024-01-01T02:00:00Z,10,12,9,11,9", "the same time as an earlier row, with other figures"),
        ("2024-01-01T02:00:00Z,10,12,9,11,3", "a repeated row"),
        ("2023-12-31T22:00:00Z,10,12,9,11,1", "earlier than the row before"),
        ("2101-01-01T03:00:00Z,10,12,9,11,1", "has not closed yet"),
        ("yesterday,10,12,9,11,1", "a time that can't be read"),
        (",10,12,9,11,1", "a time that can't be read"),
    ],
)
def test_each_kind_of_bad_row_is_listed_with_its_place(tmp_path: Path, line: str, reason: str) -> None:
    lines = good_lines()
    lines[3] = line
    found = judged(csv_of(tmp_path / "bars.csv", lines))
    (bad,) = found.bad
    assert bad.row == 4
    assert bad.reason.startswith(reason)
    assert bad.time == line.partition(",")[0]
    sorted_in = [22] if reason.startswith("earlier") else []  # good but for its place
    assert hours(found) == [*sorted_in, 0, 1, 2, 4, 5]


def test_a_good_row_is_no_duplicate_of_a_bad_one(tmp_path: Path) -> None:
    lines = [*good_lines(3), "2024-01-01T03:00:00Z,10,8,9,11,1", *good_lines(6)[3:]]
    found = judged(csv_of(tmp_path / "bars.csv", lines))
    assert [bad.row for bad in found.bad] == [4]
    assert hours(found) == [0, 1, 2, 3, 4, 5]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_row_is_lost(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Whatever is in the file, each row is a bar or is listed."""
    cell = st.sampled_from(["10", "9", "12", "-1", "0", "nan", "", "x", "1e400", "11.5"])
    stamp = st.sampled_from(["2024-01-01T0{}:00:00Z", "2024-01-01 0{}:30", "170406720{}", "bad{}"])
    # more good bars than others, so that there is always a step, and one way in which times are written
    extra = data.draw(st.lists(st.tuples(stamp, st.integers(0, 9), *[cell] * 5), max_size=8))
    lines = [*good_lines(20), *(",".join([time.format(digit), *cells]) for time, digit, *cells in extra)]
    found = judged(csv_of(tmp_path_factory.mktemp("rows") / "bars.csv", lines))
    reordered = [bad for bad in found.bad if bad.reason.startswith("earlier")]
    assert len(found.columns) + len(found.bad) - len(reordered) == len(lines)
    assert (np.diff(found.columns.times) > 0).all()
    for name in FIELDS:
        assert np.isfinite(getattr(found.columns, name)).all()


def test_a_file_that_is_newest_first_is_turned_round(tmp_path: Path) -> None:
    found = judged(csv_of(tmp_path / "bars.csv", good_lines()[::-1]))
    assert hours(found) == [0, 1, 2, 3, 4, 5]
    assert found.bad == ()
    assert any("newest first" in note for note in found.notes)


@pytest.mark.parametrize(("minute", "named"), [("00", False), ("30", True)])
def test_hours_that_nobody_could_trade_are_stored_and_said(tmp_path: Path, minute: str, named: bool) -> None:
    lines = [line.replace(":00:00Z", f":{minute}:00Z") for line in good_lines()]
    found = judged(csv_of(tmp_path / "bars.csv", lines))
    assert len(found.columns) == 6
    assert any("nothing would ever be traded" in note for note in found.notes) is named


# ---- columns ----


@pytest.mark.parametrize(
    "header",
    [
        "Date,Open,High,Low,Close,Volume",
        "open_time,o,h,l,c,v",
        "Timestamp,Open Price,High Price,Low Price,Close Price,Vol",
        "unix,open,high,low,close,Volume BTC",
    ],
)
def test_usual_names_are_guessed(tmp_path: Path, header: str) -> None:
    raw = read_raw(csv_of(tmp_path / "bars.csv", good_lines(), header), names={})
    assert list(raw.names.values()) == header.split(",")
    assert raw.fields["close"].tolist() == [11.0] * 6


def test_a_wrong_guess_can_be_set_right(tmp_path: Path) -> None:
    lines = [f"{line},99" for line in good_lines()]
    path = csv_of(tmp_path / "bars.csv", lines, "time,open,high,low,close,volume,settle")
    assert read_raw(path, names={}).fields["close"][0] == 11.0
    assert read_raw(path, names={"close": "settle"}).fields["close"][0] == 99.0


def test_what_cannot_be_guessed_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"which column is the close\? Say it with --column close=NAME"):
        guess(tmp_path, ["time", "open", "high", "low", "settle"], {})
    with pytest.raises(ConfigurationError, match="has time, open"):
        guess(tmp_path, ["time", "open"], {"close": "settle"})
    with pytest.raises(ConfigurationError, match="the fields are time, open"):
        guess(tmp_path, ["time", "open"], {"cloze": "open"})


def test_missing_volumes_are_zero_and_said(tmp_path: Path) -> None:
    lines = [line.rpartition(",")[0] for line in good_lines()]
    raw = read_raw(csv_of(tmp_path / "bars.csv", lines, "time,open,high,low,close"), names={})
    assert raw.fields["volume"].tolist() == [0.0] * 6
    assert "no column of volumes: all are 0" in raw.notes


# ---- times ----


def test_times_without_a_zone_are_utc_and_said_or_of_the_zone_that_was_given(tmp_path: Path) -> None:
    lines = [line.replace("T", " ").replace("Z", "") for line in good_lines()]
    path = csv_of(tmp_path / "bars.csv", lines)
    plain = judged(path)
    assert hours(plain)[0] == 0
    assert any("taken for UTC" in note for note in plain.notes)
    zoned = judged(path, zone=ZoneInfo("America/New_York"))
    assert hours(zoned)[0] == 5
    assert any("America/New_York" in note for note in zoned.notes)
    assert judged(csv_of(tmp_path / "zoned.csv", good_lines())).notes == ()


def test_an_hour_that_the_clocks_skip_or_pass_twice_is_no_time(tmp_path: Path) -> None:
    lines = [f"2024-11-03 {hour:02d}:00,10,12,9,11,1" for hour in range(6)]
    found = judged(csv_of(tmp_path / "bars.csv", lines), zone=ZoneInfo("America/New_York"))
    assert [bad.time for bad in found.bad] == ["2024-11-03 01:00"]
    lines = [f"2024-03-10 {hour:02d}:00,10,12,9,11,1" for hour in range(6)]
    found = judged(csv_of(tmp_path / "spring.csv", lines), zone=ZoneInfo("America/New_York"))
    assert [bad.time for bad in found.bad] == ["2024-03-10 02:00"]


@pytest.mark.parametrize("scale", [1, 1_000, 1_000_000, 1_000_000_000])
def test_epoch_numbers_are_told_apart_by_their_size(tmp_path: Path, scale: int) -> None:
    lines = [f"{(1_704_067_200 + 3600 * n) * scale},10,12,9,11,1" for n in range(5)]
    found = judged(csv_of(tmp_path / "bars.csv", lines))
    assert from_micros(int(found.columns.times[0])) == datetime(2024, 1, 1, tzinfo=UTC)
    assert hours(found) == [0, 1, 2, 3, 4]


def test_other_times_are_read_by_the_format_that_is_given(tmp_path: Path) -> None:
    path = csv_of(tmp_path / "bars.csv", [f"03/01/2024 {hour:02d}:00,10,12,9,11,1" for hour in range(5)])
    with pytest.raises(ConfigurationError, match="--time-format"):
        judged(path)
    found = judged(path, time_format="%d/%m/%Y %H:%M")
    assert from_micros(int(found.columns.times[0])) == datetime(2024, 1, 3, tzinfo=UTC)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
def test_parquet_times_of_every_kind(tmp_path: Path, unit: str, zone: str | None) -> None:
    columns = columns_of(10)
    stamps = pa.array(columns.times, type=pa.timestamp("us", "UTC")).cast(pa.timestamp(unit, "UTC"))
    stamps = stamps.cast(pa.timestamp(unit, zone)) if zone else stamps.cast(pa.timestamp(unit))
    table = pa.table({"timestamp": stamps, **{name: getattr(columns, name) for name in FIELDS}})
    pq.write_table(table, tmp_path / "bars.parquet", version="2.6")
    found = judged(tmp_path / "bars.parquet")
    assert np.array_equal(found.columns.times, columns.times)
    assert bool(found.notes) == (zone is None)


def test_the_length_that_was_said_must_be_that_of_the_rows(tmp_path: Path) -> None:
    path = csv_of(tmp_path / "bars.csv", good_lines())
    assert str(judged(path).timeframe) == "1Hour"
    with pytest.raises(ConfigurationError, match="no bars of 1Day"):
        judged(path, timeframe="1Day")


def test_a_stocks_bars_may_lie_at_the_half_hour(tmp_path: Path) -> None:
    lines = [f"2024-01-02T{hour}:30:00Z,10,12,9,11,1" for hour in range(14, 21)]
    assert judged(csv_of(tmp_path / "bars.csv", lines), SPY).bad == ()


@pytest.mark.parametrize("name", ["none.csv", "bars.xlsx", "empty.csv", "torn.parquet"])
def test_what_is_no_file_of_bars_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty.csv").write_text("time,open,high,low,close\n")
    (tmp_path / "torn.parquet").write_bytes(b"PAR1")
    (tmp_path / "bars.xlsx").write_bytes(b"PK")
    with pytest.raises(ConfigurationError) as refused:
        read_raw(tmp_path / name, names={})
    assert "\n" not in str(refused.value)


# ---- joining what is stored ----


def test_what_both_have_must_agree() -> None:
    whole = columns_of(30)

    def part(first: int, last: int) -> object:
        from trader.exchange.market.files import Columns

        return Columns(**{name: getattr(whole, name)[first:last] for name in ("times", *FIELDS)})

    joined = merged(part(0, 20), part(15, 30))  # type: ignore[arg-type]
    assert np.array_equal(joined.times, whole.times)
    assert np.array_equal(joined.close, whole.close)
    earlier = merged(part(20, 30), part(0, 5))  # type: ignore[arg-type]
    assert np.array_equal(earlier.times, np.concatenate([whole.times[:5], whole.times[20:]]))
    other = columns_of(30, level=50.0)
    with pytest.raises(ConfigurationError, match="differs in 30 of 30 shared bars"):
        merged(whole, other)
