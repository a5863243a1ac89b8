"""The session under alpaca-py: whole answers or an error, one kept connection, nothing sent into a dead one."""

from __future__ import annotations

import gzip
import json
import socket

import pytest
import requests

from tests.adapters.wire import Answer, raw, reply, reset, wire
from tests.waiting import eventually
from trader.adapters.alpaca.direct import DirectSession, NotConnected, session_for

HEADERS = {"APCA-API-KEY-ID": "k"}


def test_a_call_is_sent_as_it_was_asked_for_and_answered_whole() -> None:
    with wire(reply(200, {"id": "o"})) as venue:
        session = DirectSession(venue.url, 5.0)
        answer = session.request(
            "GET", f"{venue.url}/v2/orders", headers=HEADERS, params={"symbols": "BTC/USD,ETH/USD", "nested": "true"}
        )
        assert (answer.status_code, answer.json()) == (200, {"id": "o"})
        session.request("POST", f"{venue.url}/v2/orders", headers=HEADERS, json={"qty": "0.1"})
        session.close()
    assert venue.asked[0].path == "/v2/orders?symbols=BTC%2FUSD%2CETH%2FUSD&nested=true"
    assert venue.asked[0].headers["apca-api-key-id"] == "k"
    assert json.loads(venue.asked[1].body) == {"qty": "0.1"}
    assert venue.asked[1].headers["content-type"] == "application/json"


def test_an_answer_in_chunks_or_squeezed_reads_the_same() -> None:
    body = json.dumps({"bars": ["x" * 5000]}).encode()
    squeezed = gzip.compress(body)
    chunks = b"".join(f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in (body[:100], body[100:], b""))
    with wire(
        raw("Transfer-Encoding: chunked", chunks),
        raw(f"Content-Encoding: gzip\r\nContent-Length: {len(squeezed)}", squeezed),
    ) as venue:
        session = DirectSession(venue.url, 5.0)
        for _ in range(2):
            assert session.request("GET", f"{venue.url}/bars", headers=HEADERS).content == body
        session.close()


@pytest.mark.parametrize("answer", [raw("Content-Length: 100", b'{"id":', close=True), reset, raw("Junk", b"")])
def test_an_answer_that_breaks_off_is_no_answer(answer: Answer) -> None:
    with wire(answer) as venue:
        session = DirectSession(venue.url, 0.5)
        with pytest.raises(requests.RequestException):
            session.request("GET", f"{venue.url}/v2/account", headers=HEADERS)
        session.close()


def test_an_answer_that_is_not_what_its_encoding_says_is_no_answer() -> None:
    with wire(raw("Content-Encoding: gzip\r\nContent-Length: 4", b"what")) as venue:
        session = DirectSession(venue.url, 5.0)
        with pytest.raises(requests.ConnectionError):
            session.request("GET", f"{venue.url}/v2/account", headers=HEADERS)
        session.close()


def test_an_order_is_not_sent_into_a_connection_that_the_venue_has_closed() -> None:
    with wire(raw("Content-Length: 2", b"{}", close=True), reply(200, {"id": "o"})) as venue:
        session = DirectSession(venue.url, 5.0)
        session.request("GET", f"{venue.url}/v2/account", headers=HEADERS)
        eventually(lambda: session._connection.sock is None or _ended(session._connection.sock), "the end of it")
        assert session.request("POST", f"{venue.url}/v2/orders", headers=HEADERS, json={}).json() == {"id": "o"}
        session.close()
    assert [asked.method for asked in venue.asked] == ["GET", "POST"]


def _ended(connected: socket.socket) -> bool:
    connected.setblocking(False)
    try:
        return connected.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    finally:
        connected.settimeout(5.0)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_without_a_connection_nothing_was_sent(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    session = DirectSession(f"{scheme}://127.0.0.1:{port}", 1.0)
    with pytest.raises(NotConnected):
        session.request("POST", f"{scheme}://127.0.0.1:{port}/v2/orders", headers=HEADERS, json={})


def test_a_server_that_does_not_speak_tls_is_not_spoken_to() -> None:
    with wire(reply(200, {})) as venue:
        address = venue.url.replace("http://", "https://")
        session = DirectSession(address, 1.0)
        with pytest.raises((NotConnected, requests.ConnectTimeout)):
            session.request("POST", f"{address}/v2/orders", headers=HEADERS, json={"secret": "order"})
        assert not any(asked.body for asked in venue.asked)


def test_a_proxy_or_certificates_of_the_environment_are_requests_business(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    assert isinstance(session_for("https://paper-api.alpaca.markets", 5.0), DirectSession)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    with session_for("https://paper-api.alpaca.markets", 5.0) as session:  # type: ignore[union-attr]
        assert isinstance(session, requests.Session)
    assert isinstance(session_for("http://127.0.0.1:1", 5.0), DirectSession)
    monkeypatch.delenv("HTTPS_PROXY")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/ssl/own.pem")
    with session_for("https://paper-api.alpaca.markets", 5.0) as session:  # type: ignore[union-attr]
        assert isinstance(session, requests.Session)


def test_an_address_without_a_host_is_refused() -> None:
    with pytest.raises(requests.exceptions.InvalidURL):
        DirectSession("paper-api.alpaca.markets", 5.0)
