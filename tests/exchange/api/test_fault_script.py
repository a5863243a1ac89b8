"""Each fault once against the running exchange, and the script's own rules."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.exchange.api.running import Running, running
from trader.core.types import Quote, Symbol
from trader.exchange.api.fault_script import faults_of
from trader.exchange.api.faults import FaultError, Happening
from trader.exchange.api.quote_faults import spoiled

NOW = datetime(2024, 2, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def calm(exchange: Running) -> Iterator[None]:
    yield
    exchange.faults()
    exchange.trading.close_all_positions(cancel_orders=True)


def orders(exchange: Running) -> set[str]:
    return set(exchange.ledger()["orders"])


ORDERS = {"method": "POST", "path": "^/v2/orders$"}


@pytest.mark.parametrize("action", ["reset", "timeout"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_connection_lost_before_or_after_acceptance(exchange: Running, action: str, moment: str) -> None:
    name, client_id = f"{action}_{moment}", f"lost-{action}-{moment}"
    exchange.faults({"on": ORDERS, "do": {name: True if action == "reset" else 0.2}})
    with pytest.raises(requests.ConnectionError):
        exchange.order(client_order_id=client_id)
    assert (client_id in orders(exchange)) is (moment == "after")


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
@pytest.mark.parametrize("after", [False, True])
def test_error_status_with_and_without_acceptance(exchange: Running, status: int, after: bool) -> None:
    exchange.faults({"on": ORDERS, "do": {"status": status, "after": after}})
    client_id = f"status-{status}-{after}"
    answer = exchange.order(client_order_id=client_id)
    assert answer.status_code == status
    assert answer.json()["message"]
    assert (client_id in orders(exchange)) is after


def test_html_body_from_a_proxy(exchange: Running) -> None:
    exchange.faults({"on": {"path": "/v2/account"}, "do": {"html": True}})
    answer = exchange.get("/v2/account")
    assert answer.status_code == 502
    assert answer.text.startswith("<html>")


def test_delay_is_waited_for(exchange: Running) -> None:
    exchange.faults({"on": {"path": "/v2/clock"}, "do": {"delay_s": 0.2}})
    begin = time.monotonic()
    assert exchange.get("/v2/clock").status_code == 200
    assert time.monotonic() - begin >= 0.2


def test_positions_are_said_to_be_empty_while_they_are_held(exchange: Running) -> None:
    exchange.order()
    exchange.faults({"on": {"path": "/v2/positions", "nth": 1}, "do": {"empty_positions": True}})
    assert exchange.get("/v2/positions").json() == []
    assert [p["symbol"] for p in exchange.get("/v2/positions").json()] == ["BTCUSD"]


def test_clock_is_skewed_and_time_is_not(exchange: Running) -> None:
    true = exchange.trading.get_clock().timestamp
    exchange.faults({"on": {"path": "/v2/clock"}, "do": {"clock_skew_s": -3600}})
    assert exchange.trading.get_clock().timestamp == true - timedelta(hours=1)


@pytest.mark.parametrize("kind", ["zero", "crossed", "stale", "one_sided", "absent", "locked"])
def test_quote_is_spoiled_for_its_symbol_alone(exchange: Running, kind: str) -> None:
    def latest() -> dict[str, Any]:
        return exchange.get("/v1beta3/crypto/us/latest/quotes", symbols="BTC/USD,ETH/USD").json()["quotes"]

    before = latest()
    exchange.faults({"on": {"path": "latest/quotes", "symbol": "BTC/USD"}, "do": {"quote": kind}})
    after = latest()
    assert after["ETH/USD"] == before["ETH/USD"]
    if kind == "absent":
        assert "BTC/USD" not in after
        return
    quote, was = after["BTC/USD"], before["BTC/USD"]
    expected = {
        "zero": quote["bp"] == quote["ap"] == 0,
        "crossed": quote["bp"] > quote["ap"] > 0,
        "locked": quote["bp"] == quote["ap"] > 0,
        "one_sided": quote["ap"] == 0 < quote["bp"],
        "stale": datetime.fromisoformat(was["t"]) - datetime.fromisoformat(quote["t"]) == timedelta(hours=1),
    }
    assert expected[kind]


def test_halt_stops_fills_until_trading_resumes(exchange: Running) -> None:
    halting = {"method": "GET", "path": "^/v2/clock$", "symbol": "BTC/USD"}
    exchange.faults({"on": halting, "do": {"halt": True}})
    exchange.get("/v2/clock")
    stuck = exchange.order(client_order_id="halted")
    assert stuck.status_code != 200 or Decimal(stuck.json()["filled_qty"]) == 0
    assert exchange.order(symbol="ETH/USD", qty=1).json()["status"] == "filled"
    exchange.faults({"on": halting, "do": {"halt": False}})
    exchange.get("/v2/clock")
    assert exchange.order(client_order_id="resumed").json()["status"] == "filled"


def test_thin_market_fills_in_parts() -> None:
    """A limit that the market trades through takes only its share of what is left of the volume."""
    thin = {"on": {"symbol": "BTC/USD"}, "do": {"partial_fill": 0.0001}}
    with running(["--timeframe", "1Hour", "--bars", "200"]) as exchange:
        exchange.faults(thin)
        quote = exchange.get("/v1beta3/crypto/us/latest/quotes", symbols="BTC/USD").json()["quotes"]["BTC/USD"]
        exchange.order(qty=1, type="limit", limit_price=round(quote["bp"] * 0.999, 2), client_order_id="thin")
        answer = exchange.advance("2030-01-01T00:00:00Z")
        assert answer["reason"] == "fill"
        order = exchange.trading.get_order_by_client_id("thin")
        assert 0 < Decimal(order.filled_qty) < 1
        assert order.status.value == "partially_filled"


def test_halt_by_the_clock_holds_in_its_window() -> None:
    with running(["--timeframe", "1Hour", "--bars", "200"]) as exchange:
        start = datetime.fromisoformat(exchange.ready["start"])
        begin, end = start + timedelta(hours=1), start + timedelta(hours=3)
        window = {"symbol": "BTC/USD", "from": begin.isoformat(), "until": end.isoformat()}
        exchange.faults({"on": window, "do": {"halt": True}})
        exchange.advance(begin.isoformat())
        exchange.order(client_order_id="in-the-halt")
        assert exchange.advance((end - timedelta(minutes=1)).isoformat())["reason"] == "time"
        assert exchange.ledger()["executions"] == []


def test_script_file_is_read_at_the_start(tmp_path: Path) -> None:
    """The example that the module's documentation speaks of."""
    script = {
        "seed": 7,
        "rules": [
            {"on": {"method": "POST", "path": "^/v2/orders$", "nth": 2}, "do": {"status": 504, "after": True}},
            {"on": {"path": "latest/quotes", "symbol": "ETH/USD", "every": 3}, "do": {"quote": "crossed"}},
            {"on": {"event": "fill", "probability": 0.5}, "do": {"stream": "duplicate"}},
        ],
    }
    path = tmp_path / "faults.json"
    path.write_text(json.dumps(script))
    with running(["--faults", str(path)]) as exchange:
        assert [exchange.order().status_code for _ in range(3)] == [200, 504, 200]
        assert exchange.get("/sim/faults").json()["fired"][0] == 1
        assert exchange.ledger()["counts"]["orders"] == 3


# ---- the rules themselves ----


def fired(on: dict[str, Any], count: int, seed: int = 1) -> list[int]:
    faults = faults_of({"seed": seed, "rules": [{"on": on, "do": {"delay_s": 1}}]})
    happening = Happening(now=NOW, method="GET", path="/v2/account", text="symbols BTC/USD")
    return [n for n in range(1, count + 1) if faults.request(happening)]


def test_how_often_a_rule_fires() -> None:
    assert fired({}, 4) == [1, 2, 3, 4]
    assert fired({"nth": 2}, 4) == [2]
    assert fired({"nth": [1, 3]}, 4) == [1, 3]
    assert fired({"every": 2}, 5) == [2, 4]
    assert fired({"after_n": 3}, 5) == [4, 5]
    assert fired({"after_n": 1, "every": 2}, 6) == [3, 5]
    assert fired({"method": "POST"}, 3) == []
    assert fired({"symbol": "ETH/USD"}, 3) == []
    assert fired({"symbol": "BTC/USD", "path": "acc"}, 2) == [1, 2]
    assert fired({"until": "2024-01-31T00:00:00Z"}, 2) == []


def test_chance_comes_from_the_seed() -> None:
    assert fired({"probability": 0.5}, 50) == fired({"probability": 0.5}, 50)
    assert fired({"probability": 0.5}, 50) != fired({"probability": 0.5}, 50, seed=2)


@pytest.mark.parametrize(
    "script",
    [
        [],
        {"rules": [{}]},
        {"rules": [{"do": {}}]},
        {"rules": [{"do": {"explode": True}}]},
        {"rules": [{"do": {"delay_s": 1, "status": 500}}]},
        {"rules": [{"do": {"delay_s": "long"}}]},
        {"rules": [{"do": {"quote": "purple"}}]},
        {"rules": [{"do": {"status": 200}}]},
        {"rules": [{"do": {"halt": True}}]},
        {"rules": [{"on": {"path": "("}, "do": {"delay_s": 1}}]},
        {"rules": [{"on": {"nonsense": 1}, "do": {"delay_s": 1}}]},
    ],
)
def test_wrong_script_is_refused_with_its_rule(script: Any) -> None:
    with pytest.raises(FaultError):
        faults_of(script)


def test_spoiled_quote_keeps_what_the_fault_does_not_touch() -> None:
    quote = Quote(
        symbol=Symbol("BTC/USD"),
        bid=Decimal(100),
        ask=Decimal(101),
        bid_size=Decimal(1),
        ask_size=Decimal(2),
        at=NOW,
        source="test",
    )
    faults = faults_of({"rules": [{"do": {"quote": "stale", "age_s": 5}}]})
    told = faults.request(Happening(now=NOW, endpoint="quotes"))[0]
    stale = spoiled(quote, told, lambda symbol: None)
    assert stale is not None
    assert (stale.bid, stale.at) == (quote.bid, NOW - timedelta(seconds=5))
