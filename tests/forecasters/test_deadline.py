"""What takes too long ends when it was told to, and nothing else does."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import suppress

import pytest

from forecasters.compiled.pace import ALLOWANCE, REPLY_S, Pace
from forecasters.deadline import OutOfTime, answering, cut_short, hurry, leisure, time_left
from tests.waiting import eventually, let_pass


def test_what_waits_is_left_after_its_time() -> None:
    started = time.monotonic()
    with pytest.raises(OutOfTime), cut_short(0.1):
        threading.Event().wait()
    assert time.monotonic() - started >= 0.1


def test_what_computes_is_left_too_and_no_except_exception_keeps_it() -> None:
    def stubborn() -> None:
        while True:
            with suppress(Exception):  # as compilers do
                sum(range(1000))

    with pytest.raises(OutOfTime), cut_short(0.1):
        stubborn()


def test_what_is_quick_enough_is_never_disturbed() -> None:
    before = set(threading.enumerate())
    for _ in range(20):
        with cut_short(60):
            pass
    eventually(lambda: set(threading.enumerate()) <= before, "the end of every alarm")
    signal.raise_signal(signal.SIGUSR2)  # nor by a bell that was on its way
    with cut_short(None):
        signal.raise_signal(signal.SIGUSR2)


def test_at_leisure_it_ends_so_long_before_an_answer_is_wanted_as_is_reserved() -> None:
    with leisure():
        started = time.monotonic()
        threading.Timer(0.05, hurry, (started + 1.0,)).start()
        with pytest.raises(OutOfTime), cut_short(None, reserve_s=0.7):
            threading.Event().wait()
        assert time.monotonic() - started >= 0.3
        with pytest.raises(OutOfTime), cut_short(None, reserve_s=0.7):
            pytest.fail("there is no time left")
    with leisure(), cut_short(None):
        let_pass(0.01)


def test_what_ends_while_the_answer_can_still_wait_is_not_disturbed() -> None:
    with leisure():
        hurry(time.monotonic() + 60)
        with cut_short(None, reserve_s=1.0):
            let_pass(0.02)


def test_nobody_is_hurried_who_is_not_at_leisure() -> None:
    hurry(time.monotonic())
    with cut_short(60):
        hurry(time.monotonic())
        let_pass(0.01)


def test_only_the_main_thread_is_ever_left() -> None:
    ended: list[bool] = []

    def work() -> None:
        with cut_short(0.01):
            let_pass(0.05)
        ended.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ended == [True]


def test_the_time_left_is_known_only_where_somebody_waits() -> None:
    assert time_left() is None
    with answering(time.monotonic() + 1000):
        left = time_left()
        assert left is not None
        assert 900 < left <= 1000
    assert time_left() is None


# ---- what two twins take: figures so large that a busy machine changes nothing about them ----


def paced(eager_s: float, series: int) -> Pace:
    pace = Pace()
    pace._eager_s, pace._series = eager_s, series
    return pace


def test_the_eager_twin_is_measured() -> None:
    pace = Pace()
    with pace.eager(2):
        let_pass(0.02)
    assert pace.reserve_s(2) >= 0.02 * ALLOWANCE + REPLY_S
    assert pace.reserve_s(8) - REPLY_S == pytest.approx(4 * (pace.reserve_s(2) - REPLY_S))  # four times as many


def test_the_compiled_twin_may_take_what_the_eager_one_leaves() -> None:
    pace = paced(100, series=2)
    assert pace.limit_s(2) is None  # nobody waits
    with answering(time.monotonic() + 10_000):
        assert pace.limit_s(2) == pytest.approx(10_000 - 150, abs=50)
        assert pace.limit_s(8) == pytest.approx(10_000 - 600, abs=50)  # four times as many, four times as long
        assert Pace().limit_s(2) is None  # nothing is known of eager


def test_a_limit_below_what_the_compiled_twin_takes_anyway_is_none() -> None:
    pace = paced(100, series=2)
    pace.compiled_s = 5000
    with answering(time.monotonic() + 10_000):
        assert pace.limit_s(2) is None
    with answering(time.monotonic() + 120):
        assert paced(100, series=2).limit_s(2) is None  # not even without the compiled twin


def test_fewer_series_at_once_teach_nothing_about_all() -> None:
    pace = paced(200, series=8)
    with pace.eager(1):
        pass
    with answering(time.monotonic() + 280):
        assert not pace.allows_eager(8)
        assert not pace.is_hopeless(8)
    with answering(time.monotonic() + 150):
        assert pace.is_hopeless(8)
    assert pace.allows_eager(8)
    assert not pace.is_hopeless(8)
