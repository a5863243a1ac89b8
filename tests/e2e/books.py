"""Is everything that happened in a run accounted for? The journal against the exchange's own ledger, order by order."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path

from trader.adapters.journal import Journal, check
from trader.adapters.journal.codec import encode
from trader.commands.audit import CENT, audit
from trader.core.ids import parse_client_order_id
from trader.core.plan import plan
from trader.core.types import Execution, Purpose
from trader.daemon.parameters import decider
from trader.exchange.engine.events import SimOrder
from trader.exchange.ledger.queries import LedgerReader, OrderQuery

ALL = 10**9


def problems_of(state: Path, *, waits: bool = True) -> list[str]:
    """Everything that does not add up, a line each, of a run whose STATE_DIR this is.

    waits  the market stood still while it was asked; one that goes on by itself may be marked anew between its answers
    """
    url = f"sqlite:///{state / 'journal-sim.db'}"
    found = check(url)
    with (
        Journal.open(url, create=False) as journal,
        closing(sqlite3.connect(f"file:{state / 'sim' / 'exchange.db'}?mode=ro", uri=True)) as connection,
    ):
        ledger = LedgerReader(connection)
        found += [f"audit {d.cycle_id} {d.what}: {d.computed} not {d.reported}" for d in audit(journal)[1]]
        found += [f"alert {a.kind}: {a.detail}" for a in journal.alerts(ALL) if a.severity == "error"]
        found += [
            f"correction {c.kind} {c.symbol}: {c.detail}" for c in journal.corrections(ALL) if c.kind != "opening"
        ]
        found += _equity(journal) if waits else []
        found += _fills(journal, ledger)
        found += _holdings(journal, connection)
        orders = ledger.orders(OrderQuery(newest_first=False, limit=ALL))
        found += _open(journal, orders)
        for order in orders:
            if order.parent_id is None:
                found += _trace(journal, order)
    return found


def replay_problems(state: Path, every: int = 1) -> list[str]:
    """Cycles whose plan does not come out the same, byte for byte, when it is made again."""
    found = []
    with Journal.open(f"sqlite:///{state / 'journal-sim.db'}", create=False) as journal:
        for name in journal.plan_cycles()[::every]:
            inputs = journal.inputs(name)
            again = encode(plan(inputs, decider(inputs.strategy, inputs.params)(inputs)))
            if again != journal.plan_bytes(name):
                found.append(f"replay of {name} differs")
    return found


def _equity(journal: Journal) -> Iterator[str]:
    """To the cent at every decision, at the venue's marks: a market that waits is marked once for all its answers."""
    for name in journal.plan_cycles():
        portfolio = journal.inputs(name).portfolio
        held = sum((each.qty * each.mark for each in portfolio.positions.values() if each.mark is not None), Decimal(0))
        if abs(portfolio.account.cash + held - portfolio.account.equity) >= CENT:
            yield f"{name}: equity {portfolio.account.equity} is not cash {portfolio.account.cash} and positions {held}"


def _fills(journal: Journal, ledger: LedgerReader) -> Iterator[str]:
    """Every fill of the ledger is in the journal once, with its price and fee."""
    theirs = {row.execution.id: row.execution for row in ledger.executions()}
    ours = {execution.id: execution for execution in journal.executions()}
    for name in theirs.keys() ^ ours.keys():
        yield f"execution {name} is only in {'the ledger' if name in theirs else 'the journal'}"
    for name in theirs.keys() & ours.keys():
        if _facts(theirs[name]) != _facts(ours[name]):
            yield f"execution {name}: {_facts(ours[name])} not {_facts(theirs[name])}"


def _facts(execution: Execution) -> tuple[object, ...]:
    fee = (execution.fee, execution.fee_currency) if execution.fee else (Decimal(0), "")
    return execution.symbol, execution.side, execution.qty, execution.price, *fee


def _holdings(journal: Journal, connection: sqlite3.Connection) -> Iterator[str]:
    theirs = {symbol: Decimal(qty) for symbol, qty in connection.execute("SELECT symbol, qty FROM holdings")}
    ours = {str(symbol): qty for symbol, qty in journal.believed().positions.items()}
    if {symbol: qty for symbol, qty in theirs.items() if qty} != ours:
        yield f"positions {ours} not {theirs}"


def _open(journal: Journal, orders: list[SimOrder]) -> Iterator[str]:
    theirs = {order.client_order_id for order in orders if not order.status.is_terminal and order.parent_id is None}
    ours = {order.client_order_id for order in journal.believed().orders}
    if theirs != ours:
        yield f"open orders {sorted(ours)} not {sorted(theirs)}"


def _trace(journal: Journal, order: SimOrder) -> Iterator[str]:
    """From the order back to its intent and, for an entry, to the verdict, the forecast and the quote behind it."""
    name = order.client_order_id
    parsed, record = parse_client_order_id(name), journal.intent(name)
    if parsed is None or record is None:
        yield f"order {name} has no intent"
        return
    if record.order_id != order.id:
        yield f"{name}: the intent knows order {record.order_id}, not {order.id} (state {record.state})"
    wanted = (record.intent.order_side, record.intent.qty, record.intent.type, record.intent.limit_price)
    if wanted != (order.side, order.qty, order.type, order.limit_price):
        yield f"{name}: {wanted} was wanted"
    known = journal.order_by_client_id(name)
    if known is None or known.filled_qty != order.filled_qty or known.status != order.status:
        ours = None if known is None else (known.status.value, known.filled_qty)
        yield f"{name}: the journal has {ours}, not {order.status.value, order.filled_qty}"
    if (order.status.is_terminal) != (record.state in ("done", "rejected")):
        yield f"{name}: {order.status} at the venue, its intent is {record.state}"
    if parsed.purpose is Purpose.ENTRY:
        yield from _decided(journal, order, record.cycle_id)


def _decided(journal: Journal, order: SimOrder, cycle: str) -> Iterator[str]:
    name, inputs = order.client_order_id, journal.inputs(cycle)
    planned = json.loads(journal.plan_bytes(cycle))
    if name not in json.dumps(planned):
        yield f"{name} is not in the plan of {cycle}"
    if order.symbol not in inputs.forecasts or order.symbol not in inputs.quotes:
        yield f"{name} without a forecast or a quote"
    allowed = [v.allowed for v in journal.verdicts(cycle) if v.symbol == order.symbol]
    if allowed != [order.qty]:
        yield f"{name}: {order.qty} sent, {allowed} allowed"
