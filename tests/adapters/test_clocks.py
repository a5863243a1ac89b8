"""Both clocks keep the same promises; the simulated one moves only as its exchange does."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from tests.adapters.wire import reply, wire
from tests.exchange.api.running import running
from tests.waiting import let_pass
from trader.adapters.clock import RealClock, SimClock
from trader.errors import VenueUnreachable


def test_the_real_clock_waits_until_the_moment() -> None:
    clock = RealClock()
    due = clock.now() + timedelta(seconds=0.05)
    assert clock.wait_until(due) >= due
    assert clock.wait_until(due - timedelta(days=1)) >= due  # the past returns at once
    assert not clock.ended


def test_a_wake_up_ends_the_running_wait_or_the_next() -> None:
    clock = RealClock()
    far = clock.now() + timedelta(hours=1)
    clock.wake()
    assert clock.wait_until(far) < far
    timer = threading.Timer(0.05, clock.wake)
    timer.start()
    assert clock.wait_until(far) < far
    timer.join()


def test_at_full_speed_time_stands_still_until_someone_waits() -> None:
    with running(["--bars", "80", "--timeframe", "1Hour"]) as venue:
        clock = SimClock(venue.url)
        start = clock.now()
        assert clock.speed is None
        let_pass(0.02)
        assert clock.now() == start
        due = start + timedelta(hours=2)
        assert clock.wait_until(due) == due == clock.now()
        assert clock.wait_until(start) == due  # never back
        clock.wake()
        assert clock.wait_until(due + timedelta(hours=1)) == due
        assert clock.wait_until(due + timedelta(hours=1)) == due + timedelta(hours=1)
        assert clock.wait_until(start + timedelta(days=900)) < start + timedelta(days=900)
        assert clock.ended
        clock.close()


def test_a_fill_ends_the_wait() -> None:
    with running(["--symbol", "BTC/USD", "--timeframe", "1Hour"]) as venue:
        clock = SimClock(venue.url)
        start = clock.now()
        price = venue.get("/v1beta3/crypto/us/latest/quotes", symbols="BTC/USD").json()["quotes"]["BTC/USD"]["bp"]
        venue.order(type="limit", limit_price=round(price * 0.999, 2))
        far = start + timedelta(days=30)
        assert clock.wait_until(far) < far
        assert len(venue.ledger()["executions"]) == 1
        clock.close()


def test_at_a_finite_speed_time_runs_by_itself_and_forwards_only() -> None:
    with running(["--symbol", "BTC/USD"], speed="3600") as venue:
        clock = SimClock(venue.url)
        assert clock.speed == 3600
        start = clock.now()
        due = start + timedelta(minutes=20)
        assert clock.wait_until(due) >= due
        seen = [clock.now() for _ in range(50)]
        assert seen == sorted(seen)
        assert clock.now() > start
        timer = threading.Timer(0.05, clock.wake)
        timer.start()
        far = clock.now() + timedelta(days=20)
        assert clock.wait_until(far) < far  # within the exchange's longest wait
        timer.join()
        clock.close()


def test_something_else_on_that_address_is_told() -> None:
    with wire(reply(200, {"hello": "world"})) as other, pytest.raises(VenueUnreachable, match="not a simulated"):
        SimClock(other.url)
