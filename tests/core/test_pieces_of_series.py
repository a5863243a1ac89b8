"""A piece of a series that was judged as a whole gets the verdict that it would get alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasters.base import InvalidContext
from forecasters.types import Context
from tests.core.make import HOUR, bars
from trader.core.bars import bars_problem
from trader.core.market import Bars, context_of, future_times, to_datetime, to_datetime64

COUNT = 90
FAULTS = st.sampled_from(["none", "nan", "negative", "jump", "crossed", "gap", "twice"])


def series(fault: str, row: int) -> Bars:
    made = bars(COUNT)
    times, values = made.times.copy(), made.values.copy()
    if fault in ("gap", "twice"):
        times[:row] += np.timedelta64(1, "h") * (-30 if fault == "gap" else 1)
    elif fault == "jump":
        values[row:, :4] *= 2
    elif fault != "none":
        values[row, 2 if fault == "crossed" else 3] = {"nan": np.nan, "negative": -1.0, "crossed": 1e6}[fault]
    return replace(made, times=times, values=values)


@given(fault=FAULTS, row=st.integers(1, COUNT - 1), first=st.integers(0, 40), length=st.integers(2, 50))
def test_fitness_is_that_of_the_piece_alone(fault: str, row: int, first: int, length: int) -> None:
    piece = series(fault, row).piece(first, first + length)
    alone = replace(piece, times=piece.times.copy(), values=piece.values.copy(), whole=None, place=0)
    for late in (0, 1):
        expected = piece.last_start + late * HOUR.duration
        mid = Decimal(100)
        assert bars_problem(piece, HOUR, expected, length, mid) == bars_problem(alone, HOUR, expected, length, mid)


@given(fault=FAULTS, row=st.integers(1, COUNT - 1), first=st.integers(0, 40), length=st.integers(1, 50))
def test_context_is_that_of_the_piece_alone(fault: str, row: int, first: int, length: int) -> None:
    piece = series(fault, row).piece(first, first + length)
    for after in (1, 0):
        future = future_times(piece.last_start + after * HOUR.duration, HOUR, 3)
        try:
            alone = Context(symbol="BTC/USD", times=piece.times, values=piece.values, future_times=future)
        except InvalidContext as error:
            with pytest.raises(InvalidContext, match="^" + str(error).split(":")[0]):
                context_of(piece, "BTC/USD", future)
            continue
        found = context_of(piece, "BTC/USD", future)
        for name in ("times", "values", "future_times"):
            ours, theirs = getattr(found, name), getattr(alone, name)
            assert (ours == theirs).all()
            assert ours.dtype == theirs.dtype
            assert not ours.flags.writeable
            assert ours.base is None  # nothing leads from it to what came later


def test_arrays_of_its_own_are_no_piece() -> None:
    piece = series("none", 1).piece(3, 60)
    with pytest.raises(ValueError, match="no piece"):
        replace(piece, values=piece.values * 2)


@given(st.integers(0, 4_102_444_800_000_000))
def test_moments_go_to_numpy_and_back(micros: int) -> None:
    moment = np.datetime64(micros, "us")
    assert to_datetime64(to_datetime(moment)) == moment
    assert to_datetime(np.datetime64(micros, "us").astype("datetime64[ns]")) == to_datetime(moment)


def test_future_times_without_sessions_are_a_bar_apart() -> None:
    start = to_datetime(np.datetime64("2025-03-12T14:00", "us"))
    found = [to_datetime(each) for each in future_times(start, HOUR, 4)]
    assert found == [start + timedelta(hours=n) for n in range(4)]
