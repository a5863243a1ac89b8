"""Account activities to executions with their fees.

The venue posts a fill (FILL) and its crypto fee (CFEE) apart, the fee hours later. A fee that names its execution
joins that one; else it joins the fill of its symbol that it fits: same direction of the credit, same price where it
gives one, and the amount nearest to what the schedule says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from trader.adapters.alpaca.convert import Malformed, fill_of, mapping, maybe_number, shown, symbol_of, text
from trader.core.fees import fee_of, schedule_for
from trader.core.types import ZERO, AssetClass, Execution, OrderSide, Symbol

_LARGEST_RATIO = Decimal("1.5")  # a posted fee further above the schedule's is of another fill


@dataclass(frozen=True, slots=True, kw_only=True)
class PostedFee:
    """`amount` above zero is a charge; `in_coin`: taken in the base asset (a buy), else in the quote currency."""

    execution_id: str
    symbol: Symbol
    day: str
    amount: Decimal
    in_coin: bool
    price: Decimal | None


def join_fees(
    rows: Sequence[object], pairs: Mapping[str, Symbol], on_problem: Callable[[str, str], None]
) -> list[Execution]:
    """Executions oldest first, unique by id, each with its posted fee or our estimate."""
    fills: dict[str, Execution] = {}
    fees: list[PostedFee] = []
    for row in rows:
        try:
            kind = mapping(row, "activity").get("activity_type")
            if kind == "FILL":
                fill = fill_of(row, pairs)
                fills[fill.id] = fill
            elif kind in ("CFEE", "FEE"):
                fees += _fee_of(row, pairs)
            else:
                on_problem("activity", f"unknown type {shown(kind)}")
        except Malformed as error:
            on_problem("activity", str(error))
    fees_by_fill: dict[str, PostedFee] = {}
    for fee in fees:
        owner = _owner(fee, fills, fees_by_fill)
        if owner is not None:
            fees_by_fill[owner] = fee
    executions = [_with_fee(fill, fees_by_fill.get(fill.id)) for fill in fills.values()]
    return sorted(executions, key=lambda fill: (fill.at, fill.id))


def _fee_of(row: object, pairs: Mapping[str, Symbol]) -> list[PostedFee]:
    body = mapping(row, "fee")
    symbol = pairs.get(text(body, "symbol")) or symbol_of(body)
    coin, cash = maybe_number(body, "qty") or ZERO, maybe_number(body, "net_amount") or ZERO
    if not coin and not cash and not body.get("execution_id"):
        return []
    return [
        PostedFee(
            execution_id=str(body.get("execution_id") or ""),
            symbol=symbol,
            day=str(body.get("date") or "")[:10],
            amount=-coin if coin else -cash,
            in_coin=bool(coin),
            price=maybe_number(body, "price"),
        )
    ]


def _owner(fee: PostedFee, fills: Mapping[str, Execution], fees_by_fill: Mapping[str, PostedFee]) -> str | None:
    if fee.execution_id:
        return fee.execution_id if fee.execution_id in fills else None
    candidates = [
        (abs(fee.amount - _estimate(fill)[0]), fill.at, fill.id)
        for fill in fills.values()
        if fill.id not in fees_by_fill and _fits(fee, fill)
    ]
    return min(candidates)[2] if candidates else None


def _fits(fee: PostedFee, fill: Execution) -> bool:
    bought = fill.side is OrderSide.BUY
    return (
        fill.symbol == fee.symbol
        and bought == fee.in_coin
        and (not fee.day or fill.at.date().isoformat() <= fee.day)
        and (fee.price is None or fee.price == fill.price)
        and fee.amount <= _estimate(fill)[0] * _LARGEST_RATIO
    )


def _estimate(fill: Execution) -> tuple[Decimal, str]:
    """At the first tier's taker rate: the venue charges no more than that."""
    bps = schedule_for(fill.symbol.asset_class).taker_bps
    return fee_of(fill.symbol, fill.side, fill.qty, fill.price, bps)


def _with_fee(fill: Execution, fee: PostedFee | None) -> Execution:
    if fill.symbol.asset_class is AssetClass.STOCK:
        return fill
    amount, currency = _estimate(fill)
    if fee is None:
        return replace(fill, fee=amount, fee_currency=currency, fee_estimated=True)
    posted_in = fill.symbol.base if fee.in_coin else fill.symbol.currency
    return replace(fill, fee=fee.amount, fee_currency=posted_in)
