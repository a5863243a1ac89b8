"""Once a day both twins are asked the same, and it is on record how far apart and how fast they are."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install the extra `models`")

from forecasters.compiled.guard import DAY_S, FALLBACK
from forecasters.compiled.pace import Pace
from tests.forecasters.compiled.test_guard import CONTEXTS, Bench, scaled


def test_a_day_after_the_last_time_all_symbols_are_compared_and_the_speed_is_said() -> None:
    bench = Bench(every=1000)
    bench.guard.warm_up()
    bench.modes()
    assert bench.guard.state().times_as_fast is not None  # of the first forecast
    bench.guard.notices()
    asked = []
    for hour in range(1, 50):
        bench.now, before = hour * DAY_S / 24, bench.eager.asked
        bench.modes()
        asked.append(bench.eager.asked - before)
    assert [hour for hour, count in enumerate(asked, start=1) if count] == [24, 48]
    assert set(asked) == {0, len(CONTEXTS)}
    told = bench.guard.notices()
    assert [notice.severity for notice in told] == ["info", "info"]
    assert re.fullmatch(
        r"twin-compiled: as eager: quantiles at most 0\.0e\+00 of the forecast's width apart, 320 of 320 sampled steps "
        r"the same; .* ms where eager takes .* ms, .* times as fast \(median of 3\)",
        told[1].text,
    )


def test_what_has_come_to_differ_is_found_within_a_day_and_no_speed_is_told_of_it() -> None:
    bench = Bench(every=1000)
    bench.guard.warm_up()
    bench.modes()
    scaled(1.05)(bench.twin)
    bench.guard.notices()
    bench.now = DAY_S
    assert bench.modes() == {FALLBACK}
    assert not any("times as fast" in notice.text for notice in bench.guard.notices())


def test_never_where_no_comparison_is_asked_for() -> None:
    bench = Bench(every=0)
    bench.guard.warm_up()
    before = bench.eager.asked
    bench.now = 3 * DAY_S
    bench.modes()
    assert bench.eager.asked == before
    assert bench.guard.state().times_as_fast is None


def test_the_pace_is_the_median_of_the_last_days() -> None:
    pace = Pace()
    assert (pace.times_as_fast, pace.summary) == (None, "")
    for compiled_s, eager_s in [(0.045, 0.09)] * 5 + [(0.045, 0.0675)] * 31:
        pace.compared(compiled_s, eager_s)
    assert pace.times_as_fast == pytest.approx(1.5)
    assert pace.summary == "45 ms where eager takes 67.5 ms, 1.50 times as fast (median of 31)"
