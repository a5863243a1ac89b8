"""Whatever the venue sends costs at most 100 MB, and becomes one of the errors that the program knows."""

from __future__ import annotations

import gzip
import json
import socket
import zlib

import pytest
import requests

from tests.adapters.wire import Answer, Asked, raw, reply, trickle, wire
from tests.costs import cost_of
from tests.waiting import GENEROUS_S, let_pass
from trader.adapters.alpaca.clients import AlpacaClients, AlpacaEndpoints, build_clients
from trader.adapters.alpaca.direct import DirectSession
from trader.audit.venue import VenueReader
from trader.bounded import answers
from trader.errors import Transient

MOST_MB = 100
LARGE = 400 << 20  # unpacked

THE_DAEMON = """
from trader.adapters.alpaca.clients import AlpacaEndpoints, build_clients
from trader.errors import Transient
url = sys.argv[1]
venue = build_clients(AlpacaEndpoints(
    key="k", secret="s", trading_url=url, data_url=url, trade_stream_url=""), first_backoff_s=0.0)
def attempt():
    try:
        venue.trading("/account")
    except Transient as error:
        print(error)
"""
THE_AUDIT = """
from trader.audit.venue import VenueReader
from trader.errors import Transient
venue = VenueReader(sys.argv[1], "k", "s")
def attempt():
    try:
        venue.now()
    except Transient as error:
        print(error)
"""


def squeezed(size: int) -> bytes:
    """Gzip of that many spaces, made without having them."""
    packer, part = zlib.compressobj(9, wbits=31), b" " * (1 << 20)
    return b"".join(packer.compress(part) for _ in range(size >> 20)) + packer.flush()


def endless(connection: socket.socket, asked: Asked) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    for _ in range(LARGE >> 20):
        connection.sendall(b" " * (1 << 20))


def of(body: bytes, encoding: str = "identity", status: int = 200) -> Answer:
    return raw(f"Content-Encoding: {encoding}\r\nContent-Length: {len(body)}", body, status=status)


HOSTILE = {
    "unpacks to 400 MB": (lambda: of(squeezed(LARGE), "gzip"), "can't be read: an answer that unpacks"),
    "never ends": (lambda: endless, "can't be read: an answer of more than"),
    "3 million lists": (lambda: of(b"[" + b"[]," * 2_700_000 + b"0]"), "an answer of too many values"),
    "150,000 lists": (lambda: of(b"[" + b"[]," * 150_000 + b"0]"), "an answer of too many values"),
    "2 million numbers": (lambda: of(b"[" + b"1.5," * 2_000_000 + b"0]"), "an answer of too many values"),
    "nested deeply": (lambda: of(b"[" * 90_000 + b"]" * 90_000), "nested too deeply"),
    "nested less deeply": (lambda: of(b"[" * 400 + b"]" * 400), "nested too deeply"),
    "half a character": (lambda: of(b'{"id": "\\ud800"}'), "no JSON"),
    "of an encoding not asked for": (lambda: of(squeezed(1 << 20), "br"), "not asked for"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_answer_costs_the_daemon_little_and_is_a_failed_read(name: str) -> None:
    made, why = HOSTILE[name]
    with wire(made()) as venue:
        cost = cost_of(THE_DAEMON, venue.url)
    assert why in cost.said
    assert cost.megabytes < MOST_MB


@pytest.mark.parametrize("name", ["unpacks to 400 MB", "never ends", "3 million lists", "nested deeply"])
def test_the_audit_is_bound_the_same_way(name: str) -> None:
    with wire(HOSTILE[name][0]()) as venue:
        cost = cost_of(THE_AUDIT, venue.url)
    assert cost.said.startswith("/v2/clock: ")
    assert cost.megabytes < MOST_MB


@pytest.mark.parametrize("body", [b"[" * 90_000, b'{"message": "' + b"x" * (300 << 10) + b'"}'])
def test_a_refusal_that_is_no_refusal_is_trouble(body: bytes) -> None:
    with wire(of(body, status=422)) as venue, pytest.raises(Transient):
        clients(venue.url).trading("/account")


def drip(connection: socket.socket, asked: Asked) -> None:
    """A head that never ends, each byte of it in time."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while True:  # until the other side has hung up
        connection.sendall(b"x")
        let_pass(0.02)


def test_a_head_that_trickles_ends_at_the_deadline() -> None:
    with wire(drip) as venue:
        session = DirectSession(venue.url, 0.3)
        session._read_s = GENEROUS_S  # each byte comes in time
        with pytest.raises(requests.ReadTimeout):
            session.request("GET", f"{venue.url}/v2/account", headers={})


@pytest.mark.parametrize("answer", [trickle, drip, raw("Content-Length: 100", b"")])
def test_the_audit_does_not_wait_for_ever(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trader.audit.venue.DEADLINE_S", 1.5)
    with wire(answer) as venue, pytest.raises(Transient):
        VenueReader(venue.url, "k", "s").now()


def test_a_connection_that_was_kept_has_its_whole_time_again() -> None:
    with wire(reply(200, {}), reply(200, {})) as venue:
        session = DirectSession(venue.url, 5.0)
        for _ in range(2):
            assert session.request("GET", f"{venue.url}/v2/account", headers={}).json() == {}
            assert session._connection.sock.gettimeout() > 1.0
            session._connection.sock.settimeout(0.001)  # as a long answer leaves it
        session.close()


def test_the_largest_answers_in_earnest_are_read() -> None:
    bar = {"t": "2026-01-01T00:00:00Z", "o": 1.5, "h": 1.5, "l": 1.5, "c": 1.5, "v": 0.5, "n": 3, "vw": 1.5}
    body = {"bars": {"BTC/USD": [bar] * 10_000}, "next_page_token": None}
    assert answers.read_json(json.dumps(body)) == body
    packed = gzip.compress(json.dumps(body).encode())
    assert json.loads(answers.unpacked(packed, "gzip", answers.MOST_BYTES)) == body


def clients(url: str) -> AlpacaClients:
    endpoints = AlpacaEndpoints(key="k", secret="s", trading_url=url, data_url=url, trade_stream_url="")
    return build_clients(endpoints, first_backoff_s=0.0)
