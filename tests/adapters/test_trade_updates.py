"""The stream is a hint: it says when to look, survives what it is sent, and stops when told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.exchange.api.running import Running, running
from tests.waiting import GENEROUS_S, eventually
from trader.adapters.alpaca.clients import AlpacaEndpoints
from trader.adapters.alpaca.stream import TradeUpdates


@pytest.fixture(scope="module")
def venue() -> Iterator[Running]:
    with running(["--symbol", "BTC/USD"]) as found:
        yield found


def endpoints(venue: Running) -> AlpacaEndpoints:
    return AlpacaEndpoints(
        key="key",
        secret="secret",
        trading_url=venue.url,
        data_url=venue.url,
        trade_stream_url=venue.ready["trade_stream_url"],
    )


class Heard:
    """Counts what it is called for, and lets a test wait for the next."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.events = 0
        self.problems: list[str] = []

    def event(self) -> None:
        with self.changed:
            self.events += 1
            self.changed.notify_all()

    def problem(self, kind: str, detail: str) -> None:
        self.problems.append(detail)

    def wait_for(self, condition: Callable[[], bool], seconds: float = GENEROUS_S) -> bool:
        with self.changed:
            return self.changed.wait_for(condition, seconds)


@pytest.fixture
def heard(venue: Running) -> Iterator[tuple[Heard, TradeUpdates]]:
    ears = Heard()
    updates = TradeUpdates(endpoints(venue), ears.event, ears.problem)
    updates.start()
    assert ears.wait_for(lambda: ears.events >= 1)
    eventually(lambda: venue.ledger()["stream_listeners"] == 1)
    yield ears, updates
    updates.stop()
    venue.faults()


def test_each_update_is_a_reason_to_look(venue: Running, heard: tuple[Heard, TradeUpdates]) -> None:
    ears, updates = heard
    assert updates.last_event_at is None
    before = ears.events
    venue.order()
    assert ears.wait_for(lambda: ears.events > before)
    assert updates.last_event_at is not None
    eventually(lambda: updates.connected)
    assert not ears.problems


def test_garbage_is_dropped_and_the_stream_goes_on(venue: Running, heard: tuple[Heard, TradeUpdates]) -> None:
    ears, _ = heard
    before = ears.events
    venue.faults({"on": {"event": "fill"}, "do": {"stream": "garbage"}})
    venue.order()
    assert ears.wait_for(lambda: ears.events > before)


def test_a_lost_connection_comes_back_and_is_a_reason_to_look(
    venue: Running, heard: tuple[Heard, TradeUpdates]
) -> None:
    ears, updates = heard
    before = ears.events
    venue.faults({"on": {"event": "new", "nth": 1}, "do": {"stream": "disconnect"}})
    venue.order()
    assert ears.wait_for(lambda: ears.events > before)
    eventually(lambda: updates.connected)


def test_guard_31_a_connected_but_silent_stream_is_noticed(venue: Running, heard: tuple[Heard, TradeUpdates]) -> None:
    _, updates = heard
    eventually(lambda: updates.connected)
    venue.faults({"on": {}, "do": {"stream": "mute"}})
    venue.order()
    assert not updates.mute(timedelta(0))  # nobody knows yet that it owes anything
    updates.filled_elsewhere(datetime.now(UTC))
    assert not updates.mute(timedelta(seconds=60))
    eventually(lambda: updates.mute(timedelta(seconds=0.05)))


def test_it_can_be_stopped_before_it_starts_and_while_nobody_answers(venue: Running) -> None:
    ears = Heard()
    idle = TradeUpdates(endpoints(venue), ears.event)
    idle.stop()
    assert not idle.connected
    lonely = TradeUpdates(
        AlpacaEndpoints(key="k", secret="s", trading_url="", data_url="", trade_stream_url="ws://127.0.0.1:1/stream"),
        ears.event,
    )
    lonely.start()
    (thread,) = (each for each in threading.enumerate() if each.name == "trade-updates")
    lonely.stop()
    lonely.stop()
    assert not thread.is_alive()
    assert ears.events == 0
