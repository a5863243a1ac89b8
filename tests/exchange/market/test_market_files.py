from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from tests.counting import calls_in
from trader.core.types import Symbol, Timeframe
from trader.exchange.market.files import MarketError, load_bars
from trader.exchange.market.market import MarketOptions, open_market

from .support import BTC, ETH, HOUR, HOUR_US, at, played, quote_rows, random_bars, replay, write

Bars = dict[str, np.ndarray]


def shown(times: np.ndarray, unit: str) -> list[str]:
    return [str(int(value)) for value in times.astype(f"datetime64[{unit}]").astype(np.int64)]


WRITERS: dict[str, Callable[[np.ndarray], list[str]]] = {
    "iso naive": lambda times: [str(value).replace("T", " ")[:19] for value in times],
    "iso Z": lambda times: [f"{str(value)[:19]}Z" for value in times],
    "iso offset": lambda times: [f"{str(value + np.timedelta64(2, 'h'))[:19]}+02:00" for value in times],
    "epoch s": lambda times: shown(times, "s"),
    "epoch ms": lambda times: shown(times, "ms"),
    "epoch us": lambda times: shown(times, "us"),
    "epoch ns": lambda times: shown(times, "ns"),
}


@pytest.mark.parametrize("form", WRITERS)
@pytest.mark.parametrize(
    "names", [("timestamp", "open", "high", "low", "close", "volume"), ("Open_Time", "O", "H", "L", "C", "Vol")]
)
def test_every_usual_form_of_csv_says_the_same_as_parquet(tmp_path: Path, form: str, names: tuple[str, ...]) -> None:
    bars = random_bars(10)
    times = WRITERS[form](bars["timestamp"])
    lines = [",".join(names)]
    figures = zip(*(bars[name].tolist() for name in ("open", "high", "low", "close", "volume")), strict=True)
    lines += [",".join([stamp, *map(repr, row)]) for stamp, row in zip(times, figures, strict=True)]
    path = tmp_path / "bars.csv"
    path.write_text("\n".join(lines) + "\n")
    read, spacing, notes = load_bars(path)
    same, *_ = load_bars(write(tmp_path / "bars.parquet", bars))
    assert spacing == HOUR_US
    assert notes == ()
    for name in ("times", "open", "high", "low", "close", "volume"):
        assert np.array_equal(getattr(read, name), getattr(same, name)), name


def test_a_file_that_lists_the_newest_first_is_turned_round_and_noted(tmp_path: Path) -> None:
    bars = random_bars(10)
    backwards = {name: values[::-1] for name, values in bars.items()}
    read, _, notes = load_bars(write(tmp_path / "b.parquet", backwards))
    assert np.array_equal(read.close, bars["close"])
    assert "turned round" in notes[0]


def test_identical_rows_are_dropped_and_noted(tmp_path: Path) -> None:
    bars = {name: np.repeat(values, [1, 1, 3, 1, 1]) for name, values in random_bars(5).items()}
    market = replay(write(tmp_path / "b.parquet", bars))
    assert "2 repeated rows dropped" in market.notes[0]
    assert len(played(market, 100)) == 3 * 4


def changed(column: str, row: int, value: float) -> Callable[[Bars], Bars]:
    def change(bars: Bars) -> Bars:
        bars[column][row] = value
        return bars

    return change


def swapped(bars: Bars) -> Bars:
    bars["timestamp"][[3, 4]] = bars["timestamp"][[4, 3]]
    return bars


def stamped_twice(bars: Bars) -> Bars:
    bars["timestamp"][4] = bars["timestamp"][3]
    return bars


def without(*columns: str) -> Callable[[Bars], Bars]:
    return lambda bars: {name: values for name, values in bars.items() if name not in columns}


def weekly(bars: Bars) -> Bars:
    return random_bars(10, step_us=7 * 24 * HOUR_US)


def secondly(bars: Bars) -> Bars:
    return random_bars(10, step_us=1_000_000)


def irregular(bars: Bars) -> Bars:
    bars["timestamp"] = bars["timestamp"] + (np.arange(10) ** 2).astype("timedelta64[m]")
    return bars


def as_text(bars: Bars) -> Bars:
    return {**bars, "close": np.array([f"about {price}" for price in bars["close"]])}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (swapped, r"1 row earlier than the row before; sort the file"),
        (stamped_twice, r"1 row at the same time as the row before, with other figures; the first is 2024-03-01 03:00"),
        (
            changed("close", 3, np.nan),
            r"1 row with a missing, NaN or infinite figure; the first is 2024-03-01 03:00:00Z",
        ),
        (changed("volume", 0, np.inf), r"1 row with a missing, NaN or infinite figure; the first is 2024-03-01 00:00"),
        (changed("low", 5, 0.0), r"1 row with a price of zero or less; the first is 2024-03-01 05:00"),
        (changed("high", 5, 1.0), r"1 row with high below low"),
        (changed("low", 5, 1e6), r"1 row with high below low"),
        (changed("open", 5, 1e6), r"1 row with high below open or close"),
        (changed("open", 5, 1e-6), r"1 row with low above open or close"),
        (changed("volume", 5, -1.0), r"1 row with a negative volume"),
        (
            without("volume"),
            r"no column for volume \(one of volume, vol, v\); it has: timestamp, open, high, low, close",
        ),
        (without("timestamp"), r"no column for the time"),
        (as_text, r"column close is not numeric"),
        (weekly, r"rows are 7 days, 0:00:00 apart; bars of 1Min to 59Min"),
        (secondly, r"rows are 0:00:01 apart; bars of 1Min"),
        (irregular, r"rows keep no usual distance"),
        (lambda bars: {name: values[:0] for name, values in bars.items()}, r"has no rows"),
        (lambda bars: {name: values[:1] for name, values in bars.items()}, r"one row is too few"),
        (
            lambda bars: {name: values[:2] for name, values in bars.items()},
            r"has 2 bars of 1Hour; a context of 2 needs",
        ),
    ],
)
def test_a_bad_file_is_refused_with_one_line_that_names_it(
    tmp_path: Path, spoil: Callable[[Bars], Bars], message: str
) -> None:
    path = write(tmp_path / "spoiled.parquet", spoil(random_bars(10)))
    with pytest.raises(MarketError, match=message) as caught:
        replay(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.csv", None, "no such file"),
        ("bars.xlsx", b"x", "unknown kind of file '.xlsx'; use .parquet or .csv"),
        ("bars.parquet", b"not parquet", "can't be read as parquet"),
        ("empty.csv", b"", "can't be read as csv"),
        ("bars.csv", b"time,o,h,l,c,v\nyesterday,1,1,1,1,1\ntoday,1,1,1,1,1\n", "times are neither ISO 8601 nor epoch"),
        ("blank.csv", b"time,o,h,l,c,v\n2024-01-01,1,1,1,1,1\n,1,1,1,1,1\n", "1 of the rows have no time"),
    ],
)
def test_what_is_no_bar_file_is_refused(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MarketError, match=message) as caught:
        replay(path)
    assert "\n" not in str(caught.value)


def test_float_noise_in_the_extremes_is_forgiven(tmp_path: Path) -> None:
    bars = random_bars(6)
    bars["high"] = np.maximum(bars["open"], bars["close"]) * (1 - 1e-12)
    market = replay(write(tmp_path / "b.parquet", bars))
    assert all(
        row.high >= max(row.open, row.close)
        for row in market.bars(BTC, HOUR, start=None, end=at("2024-04-01"), limit=9)
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"start": at("2024-03-01 01:00")},
            r"must lie from 2024-03-01 02:00Z \(with 2 bars before it\) to 2024-03-01 10:00Z",
        ),
        ({"start": at("2024-03-01 10:00")}, r"must lie from"),
        ({"start": at("2024-03-01 05:00").replace(tzinfo=None)}, r"has no time zone"),
        ({"timeframe": Timeframe.parse("5Min")}, r"has 1Hour bars, of which no 5Min bars can be made"),
        ({"timeframe": Timeframe.parse("1Day")}, r"has 0 bars of 1Day; a context of 2 needs at least 3"),
        ({"context": 0}, r"at least 1"),
        ({"spread_bps": Decimal(-1)}, r"below 0 bps"),
    ],
)
def test_options_that_do_not_fit_the_file_are_refused(tmp_path: Path, options: dict[str, object], message: str) -> None:
    base = MarketOptions(data={BTC: write(tmp_path / "b.parquet", random_bars(10))}, context=2)
    with pytest.raises(MarketError, match=message):
        open_market(replace(base, **options))


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    bars = write(tmp_path / "b.parquet", random_bars(10))
    later = write(tmp_path / "later.parquet", random_bars(10, start="2025-01-01"))
    with pytest.raises(MarketError, match=r"later.parquet: lies from 2025-01-01 .* but the clock .* runs from"):
        open_market(MarketOptions(data={BTC: bars, ETH: later}, context=2))
    coarse = write(tmp_path / "coarse.parquet", random_bars(10, step_us=4 * HOUR_US))
    with pytest.raises(MarketError, match=r"has 4Hour bars, of which no 1Hour bars can be made .*coarsest file first"):
        open_market(MarketOptions(data={BTC: bars, ETH: coarse}, context=2))
    times = [f"2024-03-01 {hour:02}:00" for hour in range(5)]
    with pytest.raises(MarketError, match="quotes without bars for ETH/USD"):
        open_market(MarketOptions(data={BTC: bars}, quotes={ETH: bars}, context=2))
    old = write(
        tmp_path / "old.parquet",
        quote_rows([stamp.replace("2024", "2020") for stamp in times], [999.0] * 5, [1001.0] * 5),
    )
    with pytest.raises(MarketError, match="no two-sided quote lies in the time of"):
        replay(bars, quotes=old)


def test_guard_29_quotes_of_another_symbol_are_told_by_their_scale(tmp_path: Path) -> None:
    bars = write(tmp_path / "b.parquet", random_bars(10))
    times = [f"2024-03-01 {hour:02}:00" for hour in range(5)]
    wrong = write(tmp_path / "wrong.parquet", quote_rows(times, [20.0] * 5, [20.1] * 5))
    with pytest.raises(MarketError, match=r"its prices are 0.0\d+ times those of .*another symbol's quotes"):
        replay(bars, quotes=wrong)


def test_the_fingerprint_is_of_what_is_played_and_not_of_where_it_lies(tmp_path: Path) -> None:
    bars = random_bars(10)
    path = write(tmp_path / "a.parquet", bars)
    base = MarketOptions(data={BTC: path}, context=2)
    one = open_market(base).fingerprint
    moved = replace(base, data={BTC: write(tmp_path / "moved.parquet", bars)})
    assert open_market(moved).fingerprint == one
    assert open_market(replace(base, start=at("2024-03-01 02:00"))).fingerprint == one  # said rather than inferred
    bars["close"][7] = bars["low"][7]
    others = [
        replace(base, data={BTC: write(tmp_path / "changed.parquet", bars)}),
        replace(base, data={Symbol("LTC/USD"): path}),
        replace(base, context=3),
        replace(base, spread_bps=Decimal(21)),
    ]
    assert len({one, *(open_market(other).fingerprint for other in others)}) == 5


def test_a_file_is_read_column_by_column_however_many_rows_it_has(tmp_path: Path) -> None:
    few, many = (write(tmp_path / f"{rows}.parquet", random_bars(rows, step_us=60_000_000)) for rows in (10, 10_000))
    replay(few)  # what importing the reader costs is not the point
    assert calls_in(lambda: replay(many)) <= calls_in(lambda: replay(few)) + 100


def test_a_tape_costs_as_little_late_in_a_long_replay_as_early(tmp_path: Path) -> None:
    def calls_a_tape(hours: int) -> float:
        data = {
            BTC: write(tmp_path / "b.parquet", random_bars(hours + 10)),
            ETH: write(tmp_path / "e.parquet", random_bars(hours + 10, seed=1)),
        }
        market = open_market(MarketOptions(data=data, context=10))
        tapes: list[object] = []
        calls = calls_in(lambda: tapes.extend(played(market, 10**9)))
        assert len(tapes) == hours * 4 * 2
        return calls / len(tapes)

    short, long = calls_a_tape(100), calls_a_tape(1000)
    assert long <= 1.1 * short
    assert long <= 80  # about 39


def test_the_default_start_leaves_the_context_before_it(tmp_path: Path) -> None:
    path = write(tmp_path / "b.parquet", random_bars(400, step_us=300_000_000))
    market = open_market(MarketOptions(data={BTC: path}, context=24, timeframe=HOUR))
    assert market.timeframe == Timeframe.parse("5Min")
    assert market.start == at("2024-03-01") + timedelta(hours=24)
    assert len(market.bars(BTC, HOUR, start=None, end=market.start, limit=100)) == 24
