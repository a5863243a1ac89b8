"""Account activities to executions with their fees, and to postings: all that is no fill.

A fee that names its execution is that one's; what the others belong to is found in the core, for their fills may be in
the books already (`core.posted_fees`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

from trader.adapters.alpaca.convert import (
    Malformed,
    fill_of,
    mapping,
    maybe_moment,
    maybe_number,
    maybe_symbol,
    shown,
    text,
)  # fmt: skip
from trader.core.posted_fees import with_fee
from trader.core.postings import FEES, Activities, Posting
from trader.core.types import ZERO, AssetClass, Execution, Symbol

# where `qty` is units that moved; a dividend's are those that it was paid on
_WITH_UNITS = FEES | {
    "SPLIT", "SSP", "SSO", "SPIN", "MA", "NC", "SC", "REORG", "JNLS", "ACATS", "OPASN", "OPEXP", "OPEXC", "VOF",
}  # fmt: skip


def activities_of(
    rows: Sequence[object], pairs: Mapping[str, Symbol], on_problem: Callable[[str, str], None]
) -> Activities:
    """Executions oldest first, unique by id, each with the fee that names it or our estimate; and the rest."""
    fills: dict[str, Execution] = {}
    postings: dict[str, Posting] = {}
    for row in rows:
        try:
            if mapping(row, "activity").get("activity_type") == "FILL":
                fill = fill_of(row, pairs)
                fills[fill.id] = fill
            else:
                posting = _posting_of(row, pairs)
                if posting is not None:
                    postings[posting.id] = posting
        except Malformed as error:
            on_problem("activity", str(error))
    named = {each.execution_id: each for each in postings.values() if each.is_fee and each.execution_id}
    charged = [_with_fee(fill, named.get(fill.id)) for fill in fills.values()]
    return Activities(
        executions=tuple(sorted(charged, key=lambda fill: (fill.at, fill.id))),
        postings=tuple(sorted(postings.values(), key=lambda each: (each.day, each.id))),
    )


def _with_fee(fill: Execution, fee: Posting | None) -> Execution:
    return fill if fill.symbol.asset_class is AssetClass.STOCK else with_fee(fill, fee)


def _posting_of(row: object, pairs: Mapping[str, Symbol]) -> Posting | None:
    """None where it was taken back."""
    body = mapping(row, "activity")
    kind = text(body, "activity_type")
    if body.get("status") == "canceled":
        return None
    qty = maybe_number(body, "qty") or ZERO
    name = body.get("symbol")
    symbol = None if name in (None, "", "USD") else pairs.get(str(name)) or maybe_symbol(body)
    return Posting(
        id=text(body, "id"),
        kind=kind,
        day=_day_of(body),
        cash=maybe_number(body, "net_amount") or ZERO,
        symbol=symbol,
        qty=qty if kind in _WITH_UNITS and symbol is not None else ZERO,
        price=_price_of(body),
        order_id=str(body.get("order_id") or ""),
        execution_id=str(body.get("execution_id") or ""),
        detail=str(body.get("description") or "")[:120],
    )


def _day_of(body: Mapping[str, object]) -> date:
    told = body.get("date")
    if told is None:
        at = maybe_moment(body, "transaction_time") or maybe_moment(body, "created_at") or _of_id(text(body, "id"))
        return at.astimezone(UTC).date()
    try:
        return date.fromisoformat(str(told)[:10])
    except ValueError as error:
        raise Malformed(f"date: {shown(told)}") from error


def _of_id(name: str) -> datetime:
    """An id begins with its time: 20220812000000000::..."""
    try:
        return datetime.strptime(name[:8], "%Y%m%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise Malformed(f"an activity without a date: {shown(name)}") from error


def _price_of(body: Mapping[str, object]) -> Decimal | None:
    """Of a coin that costs next to nothing the venue tells 0: not known."""
    price = maybe_number(body, "price")
    return price if price is not None and price > 0 else None
