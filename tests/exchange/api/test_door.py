"""The exchange serves programs of this machine. What a browser sends for a page from elsewhere is turned away."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from alpaca.data.requests import CryptoLatestQuoteRequest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.exchange.api.running import Running, running
from tests.waiting import GENEROUS_S
from trader.adapters.alpaca.clients import AlpacaEndpoints, build_clients
from trader.adapters.alpaca.stream import TradeUpdates
from trader.adapters.clock import SimClock

EVIL = "http://evil.example"
FAULT = {"seed": 1, "rules": [{"on": {"endpoint": "account"}, "do": {"status": 500}}]}


@pytest.fixture(scope="module")
def venue() -> Iterator[Running]:
    with running(["--symbol", "BTC/USD"]) as found:
        yield found


def port(venue: Running) -> int:
    return int(venue.url.rpartition(":")[2])


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:{port}"},
        {"Host": "localhost.evil.example:{port}"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "127.0.0.1@evil.example"},
        {"Host": ""},
        {"Origin": EVIL},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "http://127.0.0.1.evil.example:{port}"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v2/orders", {"symbol": "BTC/USD", "qty": "1", "side": "buy", "type": "market"}),
        ("GET", "/v2/account", None),
        ("GET", "/v2/nowhere", None),
        ("POST", "/sim/faults", FAULT),
        ("DELETE", "/sim/faults", None),
        ("GET", "/sim/ledger", None),
    ],
    ids=str,
)
def test_a_page_from_elsewhere_is_turned_away(
    venue: Running, headers: dict[str, str], method: str, path: str, body: Any
) -> None:
    told = {name: value.format(port=port(venue)) for name, value in headers.items()}
    answer = venue.session.request(method, venue.url + path, json=body, headers=told, timeout=GENEROUS_S)
    assert answer.status_code in (400, 403)
    assert "forbidden" in answer.text or answer.status_code == 400
    assert venue.get("/sim/faults").json()["fired"] == []
    assert venue.ledger()["orders"] == {}


def test_two_hosts_are_none(venue: Running) -> None:
    with socket.create_connection(("127.0.0.1", port(venue)), GENEROUS_S) as raw:
        raw.sendall(b"GET /sim/clock HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
        assert raw.recv(4096).split()[1] in (b"400", b"403")


def stream(venue: Running, **options: Any) -> ClientConnection:
    return connect(venue.ready["trade_stream_url"], proxy=None, **options)


@pytest.mark.parametrize("origin", [EVIL, "null", "http://localhost:3000"])
@pytest.mark.parametrize("path", ["", "/v2/iex"])
def test_a_websocket_of_a_page_from_elsewhere_is_turned_away(venue: Running, origin: str, path: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        connect(venue.ready["trade_stream_url"] + path, proxy=None, origin=origin)  # type: ignore[arg-type]
    assert refused.value.response.status_code == 403


def test_a_websocket_to_a_rebound_host_is_turned_away(venue: Running) -> None:
    raw = socket.create_connection(("127.0.0.1", port(venue)), GENEROUS_S)
    with pytest.raises(InvalidStatus) as refused:
        connect(f"ws://evil.example:{port(venue)}/stream", sock=raw, proxy=None)
    assert refused.value.response.status_code == 403


def test_programs_of_this_machine_are_served(venue: Running) -> None:
    assert venue.trading.get_account().currency == "USD"
    assert venue.crypto.get_crypto_latest_quote(CryptoLatestQuoteRequest(symbol_or_symbols="BTC/USD"))
    by_name = f"http://localhost:{port(venue)}"
    for origin in (None, by_name):  # some websocket libraries, and a page of our own, name the address itself
        answer = requests.get(f"{by_name}/sim/clock", headers={"Origin": origin}, timeout=GENEROUS_S)
        assert answer.status_code == 200
    with stream(venue, origin=venue.url) as connection:
        connection.send("{}")
        assert b"authenticate" in connection.recv()


def test_the_daemon_is_served(venue: Running) -> None:
    address = venue.ready["trade_stream_url"]
    here = AlpacaEndpoints(key="k", secret="s", trading_url=venue.url, data_url=venue.url, trade_stream_url=address)
    assert build_clients(here).trading("/account")["currency"] == "USD"
    clock, heard = SimClock(venue.url, key="k", secret="s"), threading.Event()
    clock.close()
    updates = TradeUpdates(here, heard.set)
    updates.start()
    assert heard.wait(GENEROUS_S)
    updates.stop()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_curl_is_served(venue: Running, host: str) -> None:
    command = ["curl", "-sf", "--noproxy", "*", f"http://{host}:{port(venue)}/sim/clock"]
    assert b'"now"' in subprocess.run(command, capture_output=True, check=True, timeout=GENEROUS_S).stdout


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/sim/clock"),
        ("POST", "/sim/advance"),
        ("GET", "/sim/ledger"),
        ("GET", "/sim/faults"),
        ("POST", "/sim/faults"),
        ("DELETE", "/sim/faults"),
        ("PUT", "/sim/faults/x"),
        ("DELETE", "/sim/faults/x"),
    ],
)
def test_where_keys_are_asked_for_they_are_for_sim_too(locked: Running, method: str, path: str) -> None:
    def status(key: str, secret: str) -> int:
        headers = {"APCA-API-KEY-ID": key, "APCA-API-SECRET-KEY": secret}
        return locked.session.request(method, locked.url + path, headers=headers, timeout=GENEROUS_S).status_code

    assert (status("key", "secret"), status("right", ""), status("right", "pair") in (401, 403)) == (403, 401, False)


@pytest.fixture(scope="module")
def locked() -> Iterator[Running]:
    with running(["--symbol", "BTC/USD"], keys=("right", "pair")) as found:
        yield found
