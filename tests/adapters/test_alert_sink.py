"""Alerts leave the process over a real loopback server that answers, refuses, hangs or is not there at all."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.receiver import Receiver, receiving
from tests.waiting import GENEROUS_S
from trader.adapters.notify import AlertSink, Delivery
from trader.errors import ConfigurationError

AT = datetime(2026, 3, 1, 14, 0, 5, tzinfo=UTC)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def answers() -> list[int]:
    return []


@pytest.fixture
def receiver(answers: list[int]) -> Iterator[Receiver]:
    with receiving(answers) as found:
        yield found


@pytest.fixture
def mute_url() -> Iterator[str]:
    """A server that takes the connection and then says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/hook/s3cret-token"


@pytest.fixture
def dead_url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return f"http://127.0.0.1:{port}/hook/s3cret-token"


def test_an_alert_arrives_with_what_a_person_needs_to_read(receiver: Receiver) -> None:
    sink = AlertSink(receiver.url, source="trader@paper")
    sink.post("halt", "error", "equity fell 8,879 USD unexplained", AT)

    assert sink.flush(GENEROUS_S)
    assert [post.body for post in receiver.posts] == [
        {
            "text": "[trader@paper] ERROR halt: equity fell 8,879 USD unexplained",
            "severity": "error",
            "kind": "halt",
            "at": "2026-03-01T14:00:05+00:00",
            "source": "trader@paper",
            "lost_before": 0,
        }
    ]
    sink.close()


def test_a_passing_failure_of_the_receiver_is_tried_again(receiver: Receiver, answers: list[int]) -> None:
    answers += [503, 500]
    sink = AlertSink(receiver.url, pause_s=0.01)
    sink.post("order", "warning", "one", AT)

    assert sink.flush(GENEROUS_S)
    assert [post.kind for post in receiver.posts] == ["order"]
    assert sink.delivery == Delivery(delivered=1, failed=0, dropped=0)
    sink.close()


@pytest.mark.parametrize("status", [302, 303, 307, 308])
def test_a_redirect_is_no_delivery_and_is_not_followed(receiver: Receiver, answers: list[int], status: int) -> None:
    answers += [status]
    told: list[str] = []
    sink = AlertSink(receiver.url, attempts=1, on_failure=told.append)
    sink.post("order", "warning", "one", AT)

    assert sink.flush(GENEROUS_S)
    sink.close()
    assert sink.delivery == Delivery(delivered=0, failed=1, dropped=0)
    assert (receiver.posts, receiver.followed) == ([], 0)
    assert told == [f"the alert webhook answered {status}"]


def test_what_was_lost_is_told_with_the_next_alert_that_arrives(receiver: Receiver, answers: list[int]) -> None:
    answers += [500, 500]
    reasons: list[str] = []
    sink = AlertSink(receiver.url, attempts=2, pause_s=0.01, on_failure=reasons.append)
    sink.post("first", "warning", "lost", AT)
    assert sink.flush(GENEROUS_S)
    sink.post("second", "warning", "arrives", AT)

    assert sink.flush(GENEROUS_S)
    assert [(post.kind, post.body["lost_before"]) for post in receiver.posts] == [("second", 1)]
    assert sink.delivery.lost == 1
    sink.close()
    assert reasons == ["the alert webhook answered 500"]


def test_trading_is_unaffected_by_a_receiver_that_hangs(mute_url: str) -> None:
    sink = AlertSink(mute_url, capacity=10, timeout_s=30)
    for number in range(1000):
        sink.post("storm", "warning", str(number), AT)
    assert sink.delivery.dropped >= 989  # one under way, ten waiting: nothing was waited for

    sink.close(timeout_s=0.1)  # and the end of the daemon does not wait for it either
    assert (sink.delivery.delivered, sink.delivery.failed) == (0, 0)  # the first is still under way


def test_the_newest_alerts_are_the_ones_that_are_kept(receiver: Receiver, answers: list[int]) -> None:
    answers += [500]
    sink = AlertSink(receiver.url, capacity=3, attempts=2, pause_s=0.3)
    for number in range(8):  # the first is being tried again while the rest pile up
        sink.post("storm", "warning", str(number), AT)

    assert sink.flush(GENEROUS_S)
    details = [post.text.rpartition(" ")[2] for post in receiver.posts]
    assert details[-3:] == ["5", "6", "7"]
    assert len(details) + sink.delivery.dropped == 8
    sink.close()


def test_a_receiver_that_is_not_there_is_told_without_the_secret_in_its_address(dead_url: str) -> None:
    reasons: list[str] = []
    told = threading.Event()

    def listen(reason: str) -> None:
        reasons.append(reason)
        told.set()

    sink = AlertSink(dead_url, attempts=1, on_failure=listen)
    sink.post("halt", "error", "x", AT)
    assert told.wait(5)
    assert "s3cret" not in reasons[0]
    assert sink.delivery == Delivery(delivered=0, failed=1, dropped=0)
    sink.close()


def test_an_address_that_no_client_can_use_fails_in_the_sink_and_not_in_the_loop() -> None:
    reasons: list[str] = []
    sink = AlertSink("http://127.0.0.1:port/s3cret token", attempts=1, on_failure=reasons.append)
    sink.post("halt", "error", "x", AT)
    assert sink.flush(GENEROUS_S)
    sink.close()
    assert sink.delivery.failed == 1
    assert "s3cret" not in "".join(reasons)


def test_a_url_that_is_not_http_is_refused_at_the_start_without_being_quoted() -> None:
    with pytest.raises(ConfigurationError, match="ALERT_WEBHOOK_URL") as caught:
        AlertSink("file:///etc/s3cret")
    assert "s3cret" not in str(caught.value)


def test_without_a_url_nothing_is_started() -> None:
    before = threading.active_count()
    sink = AlertSink(None)
    sink.post("halt", "error", "x", AT)
    assert sink.flush(0)
    assert threading.active_count() == before
    sink.close()
