"""What must hold whatever happened, the venue's own ledger held against the daemon's journal.

Each function asserts one thing. `ledger` is the exchange's GET /sim/ledger.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from trader.adapters.journal import Journal
from trader.core.ids import parse_client_order_id
from trader.core.orders import IntentState
from trader.core.types import Purpose, Symbol

CASH = 100_000
MAX_SYMBOL = Decimal("0.12")  # of equity; an entry is 0.10 of it, so that one too many breaks it
LIVE = ("pending_new", "accepted", "new", "partially_filled")  # an exit on its way rests in a moment
DUST = Decimal("1")  # USD: no sell is that small


def purpose_of_id(name: str) -> Purpose | None:
    parsed = parse_client_order_id(name)
    return parsed.purpose if parsed else None


def positions_agree(ledger: Mapping[str, Any], journal: Journal) -> None:
    books = journal.believed()
    held = {Symbol(name): Decimal(qty) for name, qty in ledger["holdings"].items() if Decimal(qty)}
    assert books.positions == held, f"the journal has {books.positions}, the venue {held}"
    assert abs(books.cash - Decimal(ledger["cash"])) < Decimal("0.01"), (books.cash, ledger["cash"])


def each_fill_once(ledger: Mapping[str, Any], journal: Journal) -> None:
    at_venue = sorted(each["id"] for each in ledger["executions"])
    booked = sorted(each.id for each in journal.executions())
    assert booked == at_venue, f"fills: {len(booked)} in the journal, {len(at_venue)} at the venue"
    units: defaultdict[str, Decimal] = defaultdict(Decimal)
    for each in journal.executions():
        units[each.symbol.text] += each.side.sign * each.qty - (
            each.fee if each.fee_currency == each.symbol.base else Decimal(0)
        )
    held = {name: Decimal(qty) for name, qty in ledger["holdings"].items() if Decimal(qty)}
    for name, qty in units.items():
        assert abs(qty - held.get(name, Decimal(0))) < Decimal("0.00001"), f"{name}: fills make {qty}, held {held}"


def one_order_an_intent(ledger: Mapping[str, Any], journal: Journal) -> None:
    orders = ledger["orders"]
    assert ledger["counts"]["orders"] == len(orders), "two orders with one client id"
    intents = {record.intent.client_order_id: record for record in journal.intents()}
    for name, order in orders.items():
        assert name in intents, f"{name} is at the venue, and was never journaled"
        intent = intents[name].intent
        told = (order["symbol"], Decimal(order["qty"]), order["side"])
        assert told == (intent.symbol.text, intent.qty, intent.order_side.value), (told, intent)
    for name, record in intents.items():
        state = IntentState(record.state)
        if state is IntentState.DONE or state is IntentState.ACCEPTED:
            assert name in orders, f"{name} is {state} in the journal, and not at the venue"
        if state is IntentState.REJECTED:
            assert name not in orders, f"{name} was given up, and is at the venue"


def one_entry_a_cycle(ledger: Mapping[str, Any]) -> None:
    double = double_entries(ledger["orders"])
    assert not double, f"several entries in one cycle: {double}"


def double_entries(names: Iterable[str]) -> list[str]:
    """Cycle and symbol of each that these client order ids have more than once."""
    parsed = [found for name in names if (found := parse_client_order_id(name))]
    entries = Counter((each.cycle_id, each.symbol) for each in parsed if each.purpose is Purpose.ENTRY)
    return [f"{cycle} {symbol}" for (cycle, symbol), count in entries.items() if count > 1]


def caps_hold(ledger: Mapping[str, Any]) -> None:
    """The fills played again: never more in a symbol than the cap (and what prices moved since it was judged)."""
    units: defaultdict[str, Decimal] = defaultdict(Decimal)
    for each in ledger["executions"]:
        units[each["symbol"]] += Decimal(each["qty"]) * (1 if each["side"] == "buy" else -1)
        value = units[each["symbol"]] * Decimal(each["price"])
        assert value <= MAX_SYMBOL * CASH * Decimal("1.2"), f"{each['symbol']}: {value:.0f} held at {each['at']}"
        assert value > -DUST, f"{each['symbol']}: sold short, {value:.2f} at {each['at']}"


def nothing_unmanaged(ledger: Mapping[str, Any]) -> None:
    prices = {each["symbol"]: Decimal(each["price"]) for each in ledger["executions"]}
    live = [order for order in ledger["orders"].values() if order["status"] in LIVE]
    for name, text in ledger["holdings"].items():
        qty = Decimal(text)
        if qty * prices.get(name, Decimal(0)) < DUST:
            continue
        resting = sum(
            (
                Decimal(order["qty"]) - Decimal(order["filled_qty"])
                for order in live
                if order["symbol"] == name and order["side"] == "sell"
            ),
            Decimal(0),
        )
        assert abs(resting - qty) <= qty / 1000, f"{name}: {qty} held, exits for {resting} rest"
