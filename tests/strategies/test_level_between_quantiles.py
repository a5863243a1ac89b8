"""A level between two quantiles is numpy's, to the last bit."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trader.strategies._levels import interpolated

LEVELS = st.lists(st.floats(0.001, 0.999), min_size=1, max_size=12, unique=True).map(sorted)


@given(levels=LEVELS, seed=st.integers(0, 2**32 - 1), size=st.floats(1e-6, 1e6), data=st.data())
def test_all_steps_at_once_are_each_by_itself(levels: list[float], seed: int, size: float, data: st.DataObject) -> None:
    grid = np.array(levels)
    table = np.sort(np.random.default_rng(seed).random((len(levels), 4)) * size, axis=0)
    wanted = data.draw(st.floats(0, 1) | st.sampled_from(levels))
    expected = [np.interp(wanted, grid, table[:, step]) for step in range(4)]
    assert interpolated(wanted, levels, table) == expected
