"""The clock: frozen between advances at max, running by itself at a finite speed."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from pathlib import Path

from tests.exchange.api.running import Running, running
from tests.waiting import eventually


def now(exchange: Running) -> datetime:
    return datetime.fromisoformat(exchange.get("/sim/clock").json()["now"])


def test_time_stands_between_advances_and_stops_at_the_first_fill() -> None:
    with running(["--bars", "300"]) as exchange:
        start = now(exchange)
        assert now(exchange) == start
        body = exchange.advance((start + timedelta(minutes=20)).isoformat())
        assert (body["reason"], body["speed"]) == ("time", "max")
        assert now(exchange) == start + timedelta(minutes=20)
        quote = exchange.get("/v1beta3/crypto/us/latest/quotes", symbols="BTC/USD").json()["quotes"]["BTC/USD"]
        exchange.order(type="limit", limit_price=round(quote["bp"] * 0.999, 2))
        filled = exchange.advance("2030-01-01T00:00:00Z")
        assert filled["reason"] == "fill"
        assert exchange.ledger()["executions"][0]["at"] == filled["now"]
        assert exchange.advance(start.isoformat())["now"] == filled["now"]  # never backwards
        ended = exchange.advance("2030-01-01T00:00:00Z")
        assert ended["reason"] == "end"
        assert ended["now"] == exchange.get("/sim/clock").json()["end"]


def test_finite_speed_runs_by_the_wall_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    with running(ledger=tmp_path / "exchange.db", speed="3600") as exchange:
        wall = time.monotonic()
        begin = now(exchange)
        target = begin + timedelta(minutes=20)
        answer = exchange.advance(target.isoformat())
        assert answer["reason"] == "time"
        assert answer["speed"] == 3600
        assert datetime.fromisoformat(answer["now"]) >= target
        seen = now(exchange)
        assert seen - begin <= timedelta(seconds=(time.monotonic() - wall) * 3600)
        far = exchange.advance((begin + timedelta(days=30)).isoformat())
        assert far["reason"] == "wait"
        last = now(exchange)
        wall = time.monotonic()
        assert last > seen
    ran_on = timedelta(seconds=(time.monotonic() - wall) * 3600)  # while it was being stopped
    with running(ledger=tmp_path / "exchange.db", speed="max") as exchange:
        assert last - timedelta(hours=2) <= now(exchange) <= last + ran_on + timedelta(hours=2)


def test_fill_ends_the_wait_at_a_finite_speed() -> None:
    with running(speed="20000") as exchange:
        quote = exchange.get("/v1beta3/crypto/us/latest/quotes", symbols="BTC/USD").json()["quotes"]["BTC/USD"]
        exchange.order(type="limit", limit_price=round(quote["bp"] * 0.9995, 2))
        far = (now(exchange) + timedelta(days=3000)).isoformat()
        eventually(lambda: exchange.advance(far)["reason"] == "fill" or exchange.ledger()["executions"], "a fill")
        assert exchange.ledger()["executions"]
