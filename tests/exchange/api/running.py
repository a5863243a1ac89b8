"""The exchange as a subprocess, and its clients: what the tests of the server stand on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from alpaca.data.historical import CryptoHistoricalDataClient, StockHistoricalDataClient
from alpaca.trading.client import TradingClient

from tests.waiting import GENEROUS_S

AT_ONCE = ("--accept-s", "0")  # for a clock that stands: what was sent is there in the next line of a test
UNKIND = ("--accept-s", "1")  # an order arrives a market second after its POST, as in every simulated run
KEYS = {"APCA-API-KEY-ID": "key", "APCA-API-SECRET-KEY": "secret"}


@dataclass
class Running:
    """A running exchange. `get` and `post` are plain HTTP, the rest are the real clients."""

    process: subprocess.Popen[str]
    ready: dict[str, Any]
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.session.trust_env = False
        self.session.headers.update(KEYS)
        self.url = self.ready["trading_url"]
        self.trading = TradingClient("key", "secret", url_override=self.url)
        self.trading._session.trust_env = False
        self.trading._retry = 0
        self.crypto = CryptoHistoricalDataClient(url_override=self.url)
        self.crypto._session.trust_env = False
        self.stocks = StockHistoricalDataClient("key", "secret", url_override=self.url)
        self.stocks._session.trust_env = False

    def get(self, path: str, **params: object) -> requests.Response:
        return self.session.get(self.url + path, params=params, timeout=GENEROUS_S)

    def post(self, path: str, body: object) -> requests.Response:
        return self.session.post(self.url + path, json=body, timeout=GENEROUS_S)

    def delete(self, path: str, **params: object) -> requests.Response:
        return self.session.delete(self.url + path, params=params, timeout=GENEROUS_S)

    def advance(self, until: str) -> dict[str, Any]:
        answer = self.post("/sim/advance", {"until": until})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def faults(self, *rules: dict[str, Any], seed: int = 1) -> None:
        answer = self.post("/sim/faults", {"seed": seed, "rules": list(rules)})
        assert answer.status_code == 200, answer.text

    def ledger(self) -> dict[str, Any]:
        return self.get("/sim/ledger").json()

    def order(self, **fields: object) -> requests.Response:
        body = {"symbol": "BTC/USD", "qty": 0.1, "side": "buy", "type": "market", "time_in_force": "gtc"} | fields
        return self.post("/v2/orders", {name: value for name, value in body.items() if value is not None})

    def close(self) -> None:
        for client in (self.trading, self.crypto, self.stocks):
            client._session.close()
        self.session.close()


@contextmanager
def running(
    arguments: Sequence[str] = (),
    *,
    ledger: Path | None = None,
    speed: str = "max",
    keys: Sequence[str] = (),
) -> Iterator[Running]:
    """Started on a free port, ended with SIGTERM. `keys` are the only ones that it takes."""
    named = dict(zip(("EXCHANGE_KEY", "EXCHANGE_SECRET"), keys, strict=False))
    command = [sys.executable, "-m", "trader.exchange", "--port", "0", "--speed", speed, "--context", "60"]
    command += [
        *(("--ledger", str(ledger)) if ledger else ()),
        *(() if "--accept-s" in arguments else UNKIND),
        *arguments,
    ]
    process = subprocess.Popen(
        command, env={**os.environ, **named}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    line = process.stdout.readline()
    if not line:
        raise AssertionError(process.stderr.read())
    exchange = Running(process, json.loads(line))
    try:
        yield exchange
    finally:
        exchange.close()
        if process.poll() is None:
            process.terminate()
        process.wait(timeout=GENEROUS_S)
        complaints = process.stderr.read()
        process.stdout.close()
        process.stderr.close()
        assert "Traceback" not in complaints, complaints
