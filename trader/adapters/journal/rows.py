"""Rows to values and back, and what an execution does to the running sums."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from decimal import Context, Decimal, localcontext
from typing import Any

from trader.adapters.journal.codec import decode, encode
from trader.adapters.journal.records import (
    Alert,
    BookedPosting,
    CommandRecord,
    Correction,
    CycleRecord,
    EquityPoint,
    FeeChange,
    IntentRecord,
    QuoteRecord,
    VerdictRecord,
)
from trader.adapters.journal.schema import stamp, unstamp
from trader.core.decision import Verdict
from trader.core.postings import Posting
from trader.core.types import ZERO, Execution, Order, OrderIntent, OrderSide, Quote, Symbol
from trader.errors import DatabaseUnusable

Row = Mapping[Any, Any]
CASH = "cash:USD"
MOVED = "moved:USD"  # what of the cash came in from outside, less what went out
TRANSFER = "transfer"  # the kind of such a correction
CLAIMABLE = (TRANSFER, "cash")  # kinds of corrections whose reason may be told later
_EXACT = Context(prec=60)  # sums must not depend on their order


def book_changes(execution: Execution) -> dict[str, Decimal]:
    """Units by symbol and cash, fee included. A pair quoted in a coin moves that coin's own position."""
    symbol, sign = execution.symbol, execution.side.sign
    with localcontext(_EXACT):
        changes = {
            symbol.text: execution.qty * sign,
            _purse(symbol.currency): -execution.qty * execution.price * sign,
        }
        if execution.fee:
            paid_from = symbol.text if execution.fee_currency == symbol.base else _purse(execution.fee_currency)
            changes[paid_from] = changes.get(paid_from, ZERO) - execution.fee
    return changes


def total(changes: Iterable[Mapping[str, Decimal]]) -> dict[str, Decimal]:
    """Sums by name, exact."""
    sums: dict[str, Decimal] = {}
    with localcontext(_EXACT):
        for change in changes:
            for name, amount in change.items():
                sums[name] = sums.get(name, ZERO) + amount
    return sums


def _purse(currency: str) -> str:
    return CASH if currency == "USD" else f"{currency}/USD"


def intent_row(cycle_id: str, intent: OrderIntent, state: str, at: str) -> dict[str, Any]:
    return {
        "client_order_id": intent.client_order_id,
        "cycle_id": cycle_id,
        "symbol": intent.symbol.text,
        "purpose": intent.purpose.value,
        "state": state,
        "order_id": None,
        "created_at": at,
        "updated_at": at,
        "reason": "",
        "body": encode(intent).decode(),
    }


def intent_from(row: Row) -> IntentRecord:
    return IntentRecord(
        intent=read(OrderIntent, row["body"]),
        state=row["state"],
        cycle_id=row["cycle_id"],
        order_id=row["order_id"],
        created_at=unstamp(row["created_at"]),
        updated_at=unstamp(row["updated_at"]),
        reason=row["reason"],
    )


def order_row(order: Order) -> dict[str, Any]:
    return {
        "order_id": order.id,
        "client_order_id": order.client_order_id,
        "symbol": order.symbol.text,
        "status": order.status.value,
        "is_open": order.is_open,
        "submitted_at": stamp(order.submitted_at),
        "body": encode(order).decode(),
    }


def execution_row(execution: Execution) -> dict[str, Any]:
    return {
        "execution_id": execution.id,
        "order_id": execution.order_id,
        "symbol": execution.symbol.text,
        "side": execution.side.value,
        "qty": str(execution.qty),
        "price": str(execution.price),
        "at": stamp(execution.at),
        "fee": str(execution.fee),
        "fee_currency": execution.fee_currency,
        "fee_estimated": execution.fee_estimated,
    }


def execution_from(row: Row) -> Execution:
    return Execution(
        id=row["execution_id"],
        order_id=row["order_id"],
        symbol=Symbol(row["symbol"]),
        side=OrderSide(row["side"]),
        qty=Decimal(row["qty"]),
        price=Decimal(row["price"]),
        at=unstamp(row["at"]),
        fee=Decimal(row["fee"]),
        fee_currency=row["fee_currency"],
        fee_estimated=row["fee_estimated"],
    )


def quote_row(cycle_id: str, quote: Quote) -> dict[str, Any]:
    return {
        "cycle_id": cycle_id,
        "symbol": quote.symbol.text,
        "bid": str(quote.bid),
        "ask": str(quote.ask),
        "bid_size": str(quote.bid_size),
        "ask_size": str(quote.ask_size),
        "at": stamp(quote.at),
        "source": quote.source,
        "synthetic": quote.synthetic,
    }


def quote_from(row: Row) -> QuoteRecord:
    quote = Quote(
        symbol=Symbol(row["symbol"]),
        bid=Decimal(row["bid"]),
        ask=Decimal(row["ask"]),
        bid_size=Decimal(row["bid_size"]),
        ask_size=Decimal(row["ask_size"]),
        at=unstamp(row["at"]),
        source=row["source"],
        synthetic=row["synthetic"],
    )
    return QuoteRecord(cycle_id=row["cycle_id"], quote=quote)


def verdict_row(cycle_id: str, verdict: Verdict) -> dict[str, Any]:
    return {
        "cycle_id": cycle_id,
        "symbol": verdict.symbol.text,
        "wanted": str(verdict.wanted),
        "allowed": str(verdict.allowed),
        "net_edge_bps": None if verdict.net_edge_bps is None else str(verdict.net_edge_bps),
        "denials": json.dumps([[denial.rule, denial.detail] for denial in verdict.denials]),
    }


def verdict_from(row: Row) -> VerdictRecord:
    return VerdictRecord(
        cycle_id=row["cycle_id"],
        symbol=Symbol(row["symbol"]),
        wanted=Decimal(row["wanted"]),
        allowed=Decimal(row["allowed"]),
        net_edge_bps=None if row["net_edge_bps"] is None else Decimal(row["net_edge_bps"]),
        denials=tuple((rule, detail) for rule, detail in json.loads(row["denials"])),
    )


def cycle_from(row: Row) -> CycleRecord:
    return CycleRecord(
        cycle_id=row["cycle_id"],
        kind=row["kind"],
        opened_at=unstamp(row["opened_at"]),
        closed_at=None if row["closed_at"] is None else unstamp(row["closed_at"]),
        outcome=row["outcome"],
        note=row["note"],
        timings=json.loads(row["timings"]),
    )


def command_from(row: Row) -> CommandRecord:
    return CommandRecord(
        id=row["id"],
        kind=row["kind"],
        args=json.loads(row["args"]),
        at=unstamp(row["at"]),
        done_at=None if row["done_at"] is None else unstamp(row["done_at"]),
        ok=row["ok"],
        message=row["message"],
    )


def alert_from(row: Row) -> Alert:
    return Alert(id=row["id"], kind=row["kind"], severity=row["severity"], detail=row["detail"], at=unstamp(row["at"]))


def correction_from(row: Row) -> Correction:
    return Correction(
        id=row["id"],
        kind=row["kind"],
        symbol=None if row["symbol"] is None else Symbol(row["symbol"]),
        qty=Decimal(row["qty"]),
        cash=Decimal(row["cash"]),
        detail=row["detail"],
        at=unstamp(row["at"]),
    )


def fee_change_from(row: Row) -> FeeChange:
    return FeeChange(
        execution_id=row["execution_id"],
        fee=Decimal(row["fee"]),
        fee_currency=row["fee_currency"],
        at=unstamp(row["at"]),
    )


def equity_from(row: Row) -> EquityPoint:
    return EquityPoint(
        at=unstamp(row["at"]),
        equity=Decimal(row["equity"]),
        cash=Decimal(row["cash"]),
        own=None if row["own"] is None else Decimal(row["own"]),
        moved=Decimal(row["moved"]),
        doubtful=row["doubtful"],
    )


def booked_from(row: Row) -> BookedPosting:
    return BookedPosting(posting=read(Posting, row["body"]), fill=row["fill"], correction_id=row["correction_id"])


def read(kind: Any, data: bytes | str) -> Any:
    """A stored value. What can't be read is damage, and is never guessed at."""
    try:
        return decode(kind, data if isinstance(data, bytes) else data.encode())
    except (ValueError, KeyError, TypeError, ArithmeticError) as error:
        raise DatabaseUnusable(f"a {kind.__name__} in the journal can't be read: {error}") from error
