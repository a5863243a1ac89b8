"""Whatever the stream's other side sends, updates are heard again afterwards."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from tests.waiting import eventually
from trader.adapters.alpaca import stream
from trader.adapters.alpaca.clients import AlpacaEndpoints
from trader.adapters.alpaca.stream import TradeUpdates

UPDATE = json.dumps({"stream": "trade_updates", "data": {"event": "fill"}})
AUTHORIZED = json.dumps({"stream": "authorization", "data": {"status": "authorized"}})


@contextmanager
def venue(*first: str | bytes, sign_in: str | bytes = AUTHORIZED) -> Iterator[tuple[AlpacaEndpoints, list[int]]]:
    """On the first connection it sends all of `first`, then an update; on the others an update. Lists connections."""
    connections: list[int] = []

    def talk(connection: ServerConnection) -> None:
        is_first = not connections
        connections.append(1)
        try:
            connection.recv()
            connection.send(sign_in if is_first else AUTHORIZED)
            connection.recv()
            for message in (*(first if is_first else ()), UPDATE):
                connection.send(message)
            connection.recv()  # until it has gone
        except ConnectionClosed:
            return

    with serve(talk, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        yield AlpacaEndpoints(key="k", secret="s", trading_url="", data_url="", trade_stream_url=address), connections
        server.shutdown()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_FIRST_BACKOFF_S", 0.01)


def heard(endpoints: AlpacaEndpoints, on_event: Callable[[], None] = lambda: None) -> list[str]:
    """The problems told, once an update has been read."""
    problems: list[str] = []
    updates = TradeUpdates(endpoints, on_event, lambda kind, detail: problems.append(detail))
    updates.start()
    eventually(lambda: updates.connected and updates.last_event_at is not None)
    updates.stop()
    return problems


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"data":' * 300 + "1" + "}" * 300, "nested too deeply"),
        ("[" + "[]," * 80_000 + "0]", "no object"),
        (b"\xff\xfe", "no JSON"),
        ('{"data": {"event": "\\ud800"}}', "no JSON"),
    ],
    ids=["deep", "less deep", "lists", "no text", "half a character"],
)
def test_a_hostile_message_is_told_and_the_stream_goes_on(message: str | bytes, why: str) -> None:
    with venue(message) as (endpoints, connections):
        problems = heard(endpoints)
        assert len(connections) == 1
    assert why in problems[0]


def test_a_message_of_megabytes_ends_the_connection_and_another_is_made() -> None:
    with venue(" " * (stream._MOST_BYTES + 1)) as (endpoints, connections):
        assert heard(endpoints) == []
        eventually(lambda: len(connections) >= 2)


def test_a_hostile_answer_to_the_keys_is_tried_again() -> None:
    with venue(sign_in="[" * 100_000) as (endpoints, connections):
        assert heard(endpoints) == []
        assert len(connections) == 2


def test_whatever_an_update_brings_about_the_next_are_heard() -> None:
    raised: list[int] = []

    def on_event() -> None:
        if not raised:
            raised.append(1)
            raise RuntimeError("the disk is full")

    with venue() as (endpoints, connections):
        heard(endpoints, on_event)
        assert len(connections) == 2
