"""Activities that are no fills, of each type: they move what they move once, and the real client's models read them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from alpaca.trading.models import NonTradeActivity

from tests.exchange.api.running import Running, running

ARGUMENTS = ["--symbol", "BTC/USD,AAPL", "--timeframe", "15Min", "--start", "2024-02-01T15:00:00Z"]
TYPES = [
    ("CSD", 50_000, None, None), ("CSW", -10_000, None, None), ("INT", -1.25, None, None), ("DIV", 12.5, "AAPL", 10),
    ("FEE", -0.02, None, None), ("CFEE", -2.21, None, None), ("JNLC", 100, None, None), ("JNLS", 0, "AAPL", 10),
    ("SPLIT", 0, "AAPL", 30), ("SPIN", 0, "AAPL", 1), ("CFEE", 0, "BTC/USD", -0.0001),
]  # fmt: skip
MOVING = ("JNLS", "SPLIT", "SPIN", "CFEE")


@pytest.fixture(scope="module")
def exchange() -> Iterator[Running]:
    with running(ARGUMENTS) as found:
        yield found


@pytest.fixture(autouse=True)
def calm(exchange: Running) -> Iterator[None]:
    yield
    exchange.delete("/sim/faults")


def post(kind: str, symbol: str | None = None, **told: object) -> dict[str, Any]:
    on = {} if symbol is None else {"symbol": symbol}
    return {"on": on, "do": {"post": {"type": kind, **{name: v for name, v in told.items() if v is not None}}}}


def activities(exchange: Running, **query: str) -> list[NonTradeActivity]:
    rows = exchange.trading.get("/account/activities", {"category": "non_trade_activity", **query})
    return [NonTradeActivity(**row) for row in rows if row["activity_type"] != "ODD"]  # no word of the client's


@pytest.mark.parametrize(("kind", "amount", "symbol", "qty"), TYPES)
def test_each_type_moves_cash_or_units_and_is_told(
    exchange: Running, kind: str, amount: float, symbol: str | None, qty: float | None
) -> None:
    if kind == "CFEE" and symbol:
        exchange.order(qty=0.01)
    before = exchange.ledger()
    exchange.faults(post(kind, symbol, net_amount=amount, qty=qty, description="why"))
    after, told = exchange.ledger(), activities(exchange, direction="desc")
    assert Decimal(after["cash"]) - Decimal(before["cash"]) == Decimal(str(amount))
    assert Decimal(after["cash"]) == Decimal(after["cash_movements"])
    name = symbol or "AAPL"
    moved = Decimal(after["holdings"].get(name, "0")) - Decimal(before["holdings"].get(name, "0"))
    assert moved == (Decimal(str(qty)) if symbol and kind in MOVING else 0)
    newest = next(each for each in told if each.description == "why" and each.activity_type == kind)
    assert (newest.net_amount, newest.qty) == (amount, qty)
    assert newest.symbol == (symbol.replace("/", "") if symbol else None)


def test_a_type_that_nobody_knows_is_told_as_it_is(exchange: Running) -> None:
    exchange.faults(post("ODD", net_amount=3))
    assert exchange.get("/v2/account/activities/ODD").json()[0]["net_amount"] == "3"


def test_it_moves_at_its_time_and_may_be_listed_later(exchange: Running) -> None:
    exchange.trading.cancel_orders()  # of the tests before: none is to fill while time is let pass
    now = datetime.fromisoformat(exchange.get("/sim/clock").json()["now"])
    rule = post("CSD", net_amount=7, late_s=3600)
    rule["on"] = {"from": (now + timedelta(hours=1)).isoformat()}
    cash = Decimal(exchange.ledger()["cash"])
    exchange.faults(rule)
    listed = [each.id for each in activities(exchange)]
    assert Decimal(exchange.ledger()["cash"]) == cash
    exchange.advance((now + timedelta(hours=1, minutes=30)).isoformat())
    assert Decimal(exchange.ledger()["cash"]) == cash + 7
    assert [each.id for each in activities(exchange)] == listed
    exchange.advance((now + timedelta(hours=2, minutes=30)).isoformat())
    assert len(activities(exchange)) == len(listed) + 1


def test_an_exchange_that_is_started_again_posts_it_no_second_time(tmp_path: Path) -> None:
    script = tmp_path / "faults.json"
    script.write_text('{"rules": [{"do": {"post": {"type": "CSD", "net_amount": 500}}}]}')
    for _ in range(2):
        with running([*ARGUMENTS, "--faults", str(script)], ledger=tmp_path / "ledger.db") as found:
            assert Decimal(found.ledger()["cash"]) == 100_500
            assert [each.net_amount for each in activities(found)] == [500]
            assert found.trading.get_account().cash == "100500"


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ({"do": {"post": {"net_amount": 5}}}, "takes a type"),
        ({"do": {"post": {"type": "FILL"}}}, "FILL"),
        ({"do": {"post": {"type": "CSD", "amount": 5}}}, "amount"),
        ({"do": {"post": {"type": "JNLS", "qty": 5}}}, "units of what"),
        ({"on": {"endpoint": "account"}, "do": {"post": {"type": "CSD"}}}, "from and until"),
    ],
)
def test_a_wrong_one_is_refused_with_one_line(exchange: Running, rule: dict[str, Any], why: str) -> None:
    answer = exchange.post("/sim/faults", {"rules": [rule]})
    assert answer.status_code == 422
    assert why in answer.json()["message"]
