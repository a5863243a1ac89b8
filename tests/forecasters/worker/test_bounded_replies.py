"""Whatever a worker sends costs the trading process at most 100 MB, and is a ForecastError."""

from __future__ import annotations

import contextlib
import json
import math
import socket
import struct
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from forecasters.worker import wire
from forecasters.worker.wire import Frame
from tests.costs import cost_of
from tests.forecasters.support import context

MOST_MB = 100
THE_DAEMON = """
import json
from pathlib import Path
from forecasters.base import ForecastError
from forecasters.worker.client import Worker, WorkerSettings
from tests.forecasters.support import context
worker = Worker(WorkerSettings(backend="theirs", socket_path=Path(sys.argv[1]), deadline_s=60.0))
asked = [context(horizon=24), context("ETH/USD", horizon=24)]
def attempt():
    try:
        worker.warm_up()
        worker.forecast(asked)
    except ForecastError as error:
        print(error.reason)
    print(len(worker.notices()))
"""
Reply = Callable[[socket.socket, int], None]


@contextmanager
def worker(at_forecast: Reply) -> Iterator[str]:
    """A service that is warm at once, and answers a forecast with what it likes."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(f"{folder}/s")
        listener.listen()
        threading.Thread(target=_accept, args=(listener, at_forecast), daemon=True).start()
        yield str(Path(folder) / "s")


def _accept(listener: socket.socket, at_forecast: Reply) -> None:
    try:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_talk, args=(connection, at_forecast), daemon=True).start()
    except OSError:
        return  # the test is over


def _talk(connection: socket.socket, at_forecast: Reply) -> None:
    with connection, contextlib.suppress(wire.WireError, OSError):
        while True:
            request = wire.receive(connection, math.inf)
            number = request.header["id"]
            if request.header["kind"] == "forecast":
                at_forecast(connection, number)
            else:
                wire.send(connection, Frame({"id": number, "kind": "ok"}), math.inf)


def frame(header: bytes, *, body: int = 0) -> Reply:
    def reply(connection: socket.socket, number: int) -> None:
        connection.sendall(struct.pack("<4sIQ", b"FCW1", len(header), body) + header)
        for _ in range(body >> 20):
            connection.sendall(b"x" * (1 << 20))

    return reply


def header(**fields: object) -> bytes:
    return json.dumps({"id": 2, "kind": "ok", "arrays": [], **fields}).encode()


HOSTILE = {
    "a body of 400 MB": (frame(header(), body=400 << 20), "garbage on the socket: a frame"),
    "7 MB of notices": (frame(header(notices=[["info", "x" * 100]] * 60_000)), "garbage on the socket: a frame"),
    "lists": (frame(header(x=[[]] * 2_700_000)), "garbage on the socket: a frame"),
    "nested": (frame(header()[:-1] + b', "x": ' + b"[" * 90_000 + b"]" * 90_000 + b"}"), "garbage on the socket"),
    "a nest as a notice": (
        frame(header()[:-1] + b', "notices": [' + b"[" * 900 + b"]" * 900 + b"]}"),
        "garbage on the socket",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_reply_costs_little_and_one_forecast(name: str) -> None:
    reply, why = HOSTILE[name]
    with worker(reply) as path:
        cost = cost_of(THE_DAEMON, path)
    assert why in cost.said
    assert cost.megabytes < MOST_MB


def test_what_is_kept_of_notices_is_bounded() -> None:
    heard = wire.unpack_notices({"notices": [["info", "x" * 15_000]] * 130})
    assert len(heard) == wire.MOST_NOTICES
    assert {len(each.text) for each in heard} == {wire.LONGEST_TEXT}


def test_what_a_backend_may_send_in_earnest_is_within_the_bound() -> None:
    """So many paths as the options ask for, of each bar that was asked for."""
    most = wire.most_for([context(horizon=24)] * 30, paths=8192)
    assert most.body_bytes >= 30 * 24 * 4 * 8 * 8192
    assert wire.most_for([context(horizon=24)] * 30, paths=1024).body_bytes < MOST_MB << 20
