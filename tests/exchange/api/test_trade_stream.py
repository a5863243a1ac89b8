"""Trade updates through the published stream client, and what the stream's faults do to them."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from alpaca.trading.stream import TradingStream
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.exchange.api.running import Running

WAIT_S = 10


@contextmanager
def listening(exchange: Running) -> Iterator[ClientConnection]:
    with connect(exchange.ready["trade_stream_url"], open_timeout=WAIT_S) as socket:
        socket.send(json.dumps({"action": "authenticate", "data": {"key_id": "k", "secret_key": "s"}}))
        assert said(socket)["data"]["status"] == "authorized"
        socket.send(json.dumps({"action": "listen", "data": {"streams": ["trade_updates"]}}))
        assert said(socket)["data"]["streams"] == ["trade_updates"]
        yield socket


def said(socket: ClientConnection) -> dict[str, Any]:
    raw = socket.recv(timeout=WAIT_S)
    assert isinstance(raw, bytes)
    return json.loads(raw)


def events(socket: ClientConnection, count: int) -> list[str]:
    return [said(socket)["data"]["event"] for _ in range(count)]


@pytest.fixture(autouse=True)
def calm(exchange: Running) -> Iterator[None]:
    yield
    exchange.faults()
    exchange.trading.close_all_positions(cancel_orders=True)


def test_published_client_receives_an_order_and_its_fill(exchange: Running) -> None:
    stream = TradingStream("key", "secret", url_override=exchange.ready["trade_stream_url"])
    heard: queue.Queue[Any] = queue.Queue()

    async def hear(update: Any) -> None:
        heard.put(update)

    stream.subscribe_trade_updates(hear)
    thread = threading.Thread(target=stream.run, daemon=True)
    thread.start()
    deadline = threading.Event()
    for _ in range(100):
        if exchange.ledger()["stream_listeners"]:
            break
        deadline.wait(0.05)
    exchange.order(client_order_id="streamed")
    updates = [heard.get(timeout=WAIT_S) for _ in range(2)]
    assert [u.event for u in updates] == ["new", "fill"]
    assert {u.order.client_order_id for u in updates} == {"streamed"}
    truth = exchange.ledger()["executions"][-1]
    assert str(updates[1].execution_id) == truth["id"]
    assert updates[1].price == float(truth["price"])
    assert updates[1].position_qty == pytest.approx(0.09975)
    stream.stop()
    exchange.order()  # it notices only when something arrives, or after five seconds
    thread.join(WAIT_S)


def test_stream_wants_authentication_first(exchange: Running) -> None:
    with connect(exchange.ready["trade_stream_url"]) as socket:
        socket.send(json.dumps({"action": "listen", "data": {"streams": ["trade_updates"]}}))
        assert said(socket)["data"]["status"] == "unauthorized"
        socket.send(b"\xff not json")
        assert said(socket)["stream"] == "error"


def test_market_data_stream_says_that_there_is_none(exchange: Running) -> None:
    url = exchange.ready["trade_stream_url"].replace("/stream", "/v1beta3/crypto/us")
    with connect(url) as socket:
        assert json.loads(socket.recv(timeout=WAIT_S))[0]["T"] == "error"
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=WAIT_S)


def test_dropped_event_never_comes_and_the_next_does(exchange: Running) -> None:
    exchange.faults({"on": {"event": "new", "nth": 1}, "do": {"stream": "drop"}})
    with listening(exchange) as socket:
        exchange.order()
        exchange.order()
        assert events(socket, 3) == ["fill", "new", "fill"]


def test_duplicated_event_has_one_execution_id(exchange: Running) -> None:
    exchange.faults({"on": {"event": "fill"}, "do": {"stream": "duplicate"}})
    with listening(exchange) as socket:
        exchange.order()
        assert events(socket, 1) == ["new"]
        first, second = said(socket), said(socket)
        assert first == second
        assert first["data"]["event"] == "fill"


def test_reordered_event_comes_after_the_next(exchange: Running) -> None:
    exchange.faults({"on": {"event": "new", "nth": 1}, "do": {"stream": "reorder"}})
    with listening(exchange) as socket:
        exchange.order()
        assert events(socket, 2) == ["fill", "new"]


def test_garbage_precedes_the_event(exchange: Running) -> None:
    exchange.faults({"on": {"event": "new", "nth": 1}, "do": {"stream": "garbage"}})
    with listening(exchange) as socket:
        exchange.order()
        with pytest.raises(ValueError):
            json.loads(socket.recv(timeout=WAIT_S))
        assert events(socket, 2) == ["new", "fill"]


def test_mute_socket_stays_open_and_silent_while_a_new_one_hears(exchange: Running) -> None:
    exchange.faults({"on": {"event": "new", "nth": 1}, "do": {"stream": "mute"}})
    with listening(exchange) as mute:
        exchange.order()
        with listening(exchange) as fresh:
            exchange.order()
            assert events(fresh, 2) == ["new", "fill"]
            with pytest.raises(TimeoutError):
                mute.recv(timeout=0.1)
            mute.ping().wait(WAIT_S)


def test_disconnect_ends_the_socket(exchange: Running) -> None:
    exchange.faults({"on": {"event": "fill", "symbol": "BTC/USD"}, "do": {"stream": "disconnect"}})
    with listening(exchange) as socket:
        exchange.order()
        assert events(socket, 1) == ["new"]
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=WAIT_S)
