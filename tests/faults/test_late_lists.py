"""Lists that lag, leave something out, or have in them what is not ours or can't be read."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from tests.faults.harness import Scene
from tests.faults.script import at, held, resume, sells
from tests.faults.universal import LIVE, nothing_unmanaged, positions_agree

Scenes = Callable[..., Scene]

# a bar of two seconds: what lags by two minutes of the market does so for four of them
SLOW: dict[str, Any] = {"speed": "30", "exchange": ["--timeframe", "1Min"], "TIMEFRAME": "1Min"}


def shown(one: Scene) -> list[str]:
    return [each["symbol"] for each in one.session.get(f"{one.url}/v2/positions", timeout=20).json()]


def test_row_52_what_the_list_does_not_show_yet_has_its_exit(scene: Scenes) -> None:
    one = scene(seed=2, rules=[at("positions", {"lag_s": 120})], **SLOW)

    def protected_unseen() -> bool:
        live = [order for order in sells(one) if order["status"] in LIVE]
        return bool(live) and not shown(one)

    one.run_until(protected_unseen)
    assert one.flag("halted") == ""
    one.faults()
    one.leave_the_market()
    one.assert_universal()


@pytest.mark.parametrize("more", [[], [at("activities", {"shuffle": True})]], ids=["in order", "shuffled"])
def test_row_53_late_activities_halt_nothing_and_the_books_are_exact(scene: Scenes, more: list[dict[str, Any]]) -> None:
    one = scene(seed=2, rules=[at("activities", {"lag_s": 60}), *more], **SLOW)
    one.run_until(lambda: one.ledger()["executions"])
    assert one.flag("halted") == ""
    one.faults()
    one.leave_the_market()
    one.assert_universal()


@pytest.mark.parametrize("fault", [{"lack": True}, {"lag_s": 7200}], ids=["left out", "late"])
def test_row_54_an_order_of_ours_that_the_list_leaves_out_gets_no_second_one(
    scene: Scenes, fault: dict[str, Any]
) -> None:
    one = scene(seed=2)
    held(one)
    one.faults(at("orders", fault, **({"order": "^|trd-"} if "lack" in fault else {})))
    one.run(3)
    assert one.fired()[0] > 0
    assert "refused" not in one.alerts()  # the venue takes no second sell of the same units, and says so
    assert one.flag("halted") == ""
    one.faults()
    one.run(1)
    one.assert_universal()


# ---- what is not ours ----


def test_row_79_what_was_held_before_the_first_start_is_left_alone_shown_and_counted(scene: Scenes) -> None:
    one = scene(seed=2, symbols="BTC/USD,ETH/USD")
    assert one.order(symbol="BTC/USD", qty="0.05").status_code == 200
    one.advance(0.5)
    before = one.ledger()["holdings"]["BTC/USD"]
    one.run(5)
    ours = {order["symbol"] for order in one.ours().values()}
    assert ours == {"ETH/USD"}, "nothing is sold of it, and nothing entered beside it"
    assert one.ledger()["holdings"]["BTC/USD"] == before
    assert "adopt: " in one.alerts()
    assert one.status()["unadopted"] == ["BTC/USD"]
    adopted = one.trader("adopt", "BTC/USD", "--stop", "40000")
    assert adopted.wait() == 0, adopted.said()
    one.run(1)
    stops = [order["stop_price"] for order in sells(one) if order["symbol"] == "BTC/USD"]
    assert Decimal(stops[0]) == 40000
    with one.journal() as journal:
        positions_agree(one.ledger(), journal)
    nothing_unmanaged(one.ledger())


def test_row_79_counts_as_exposure(scene: Scenes) -> None:
    one = scene(seed=2, symbols="BTC/USD,ETH/USD", RISK__MAX_GROSS="0.1")
    assert one.order(symbol="BTC/USD", qty="0.25").status_code == 200  # more than a tenth of the account
    one.advance(0.5)
    one.run(3)
    assert not one.ours()
    assert "gross" in json.dumps(one.status()["reasons"])


POSITION = {"symbol": "WHAT IS THIS?", "qty": "none", "asset_class": "art"}
LEGS = {
    "id": "5f7c1b6e-0000-4000-8000-000000000001", "client_order_id": "of-several-legs", "symbol": "",
    "order_class": "mleg", "side": "", "type": "limit", "qty": "1", "filled_qty": "0", "status": "new",
    "submitted_at": "2024-03-05T12:00:00Z", "time_in_force": "day", "legs": [{"symbol": "AAPL240315C00170000"}],
}  # fmt: skip
NOTIONAL = LEGS | {
    "client_order_id": "by-value", "symbol": "ETH/USD", "order_class": "", "side": "buy", "type": "market",
    "qty": None, "notional": "500", "legs": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("endpoint", "entry"),
    [("positions", POSITION), ("orders", LEGS), ("orders", NOTIONAL)],
    ids=["a position", "an order of legs", "an order by value"],
)
def test_row_83_what_nobody_can_read_is_shown_and_fails_nothing_else(
    scene: Scenes, endpoint: str, entry: dict[str, Any]
) -> None:
    one = scene(seed=2, symbols="BTC/USD,ETH/USD", rules=[at(endpoint, {"inject": entry})])
    one.run(4)
    assert "BTC/USD" in {each["symbol"] for each in one.ledger()["executions"]}
    assert len(one.status()["opaque"]) == 1
    assert "unreadable: " in one.alerts()
    if entry is NOTIONAL:
        assert {order["symbol"] for order in one.ours().values()} == {"BTC/USD"}
    one.faults()
    one.run(1)
    one.assert_universal()


# ---- money ----


LATE_FEES = ["--late-fees", "--start", "2024-03-05T17:00:00Z"]


def test_row_81_fees_that_are_posted_hours_later_halt_nothing(scene: Scenes) -> None:
    one = scene(seed=2, exchange=LATE_FEES)
    one.run(10)  # over midnight
    assert one.session.get(f"{one.url}/v2/account/activities/CFEE", timeout=20).json()
    assert one.flag("halted") == ""
    assert len(one.entries()) > 1
    with one.journal() as journal:
        positions_agree(one.ledger(), journal)
    nothing_unmanaged(one.ledger())


def test_row_81_the_fees_of_the_fills_become_the_posted_ones(scene: Scenes) -> None:
    one = scene(seed=2, exchange=LATE_FEES)
    one.run(10)
    one.leave_the_market()
    one.advance(24)
    one.run(1)  # the fees of the last fills are posted, too
    one.assert_universal()
    posted = one.session.get(f"{one.url}/v2/account/activities/CFEE", timeout=20).json()
    with one.journal() as journal:
        charged = [each.fee for each in journal.executions() if each.fee_currency == "BTC"]
    assert sum(charged, Decimal(0)) == -sum((Decimal(each["qty"]) for each in posted if "qty" in each), Decimal(0))


@pytest.mark.parametrize("dies", ["before_book", "after_corrections", "after_book"])
def test_row_82_a_deposit_counts_once_wherever_the_daemon_dies_and_over_midnight(scene: Scenes, dies: str) -> None:
    one = scene(seed=2, STRATEGY="flat", exchange=["--start", "2024-03-05T21:00:00Z"])
    one.run(1)
    figures = [
        at("account", {"figure": "cash", "value": "105000"}),
        at("account", {"figure": "equity", "value": "105000"}),
    ]
    csd = {
        "id": "20240305220000000::0d1f5b3a-0000-4000-8000-000000000001", "activity_type": "CSD", "date": "2024-03-05",
        "net_amount": "5000", "description": "", "status": "executed",
    }  # fmt: skip
    one.faults(*figures, at("activities", {"inject": csd}))
    one.run(1, dies, expect=-signal.SIGKILL)
    one.run(4)
    with one.journal() as journal:
        assert journal.believed().cash == 105_000
        assert sum((c.cash for c in journal.corrections(limit=None) if c.kind == "transfer"), Decimal(0)) == 5000
    assert one.flag("halted") == ""


def test_row_51_one_of_two_that_is_left_out_for_hours_keeps_its_exit(scene: Scenes) -> None:
    one = scene(seed=2, symbols="BTC/USD,ETH/USD")
    missing = sorted(held(one, 3))[0]
    one.faults(at("positions", {"lack": True}, symbol=missing))
    one.run(2, expect=70)
    nothing_unmanaged(one.ledger())
    assert "books: no entries" in one.alerts()
    one.faults()
    resume(one)
    one.run(2)
    one.assert_universal()
