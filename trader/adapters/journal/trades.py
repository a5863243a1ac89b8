"""Round trips out of executions: booked when the closing fill happened, never before."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from trader.adapters.journal.records import Trade
from trader.core.types import ZERO, AssetClass, Execution, OrderSide, Symbol
from trader.core.unbooked import FEE_SHARE


@dataclass(frozen=True, slots=True, kw_only=True)
class _Open:
    """What is held, at average cost.

    qty    signed, net of fees taken in the coin
    cost   signed, quote currency; a fee in the coin is in it: fewer units for the same money
    fees   all fees of the entry, quote currency
    apart  the part of `fees` that is not in `cost`
    """

    since: datetime
    qty: Decimal = ZERO
    cost: Decimal = ZERO
    fees: Decimal = ZERO
    apart: Decimal = ZERO

    def scaled(self, share: Decimal) -> _Open:
        return _Open(
            since=self.since,
            qty=self.qty * share,
            cost=self.cost * share,
            fees=self.fees * share,
            apart=self.apart * share,
        )


def round_trips(executions: Iterable[Execution]) -> list[Trade]:
    """One Trade for each closing fill, oldest first. `executions` oldest first."""
    open_trades: dict[Symbol, _Open] = {}
    trades: list[Trade] = []
    for fill in executions:
        now = open_trades.get(fill.symbol) or _Open(since=fill.at)
        closed_qty = min(abs(now.qty), fill.qty) if now.qty * fill.side.sign < 0 else ZERO
        if closed_qty:
            share = closed_qty / abs(now.qty)
            trades.append(_trade(now.scaled(share), fill, _closed(now, fill, closed_qty)))
            now = now.scaled(1 - share)
        if fill.qty > closed_qty and not _sells_a_coin(fill):
            now = _add(now, fill, fill.qty - closed_qty)
        open_trades[fill.symbol] = now
    return trades


def _sells_a_coin(fill: Execution) -> bool:
    """A coin is never sold short. If more is sold than was bought, it was there before, or a fee was lower than the
    estimate that was booked."""
    return fill.symbol.asset_class is AssetClass.CRYPTO and fill.side is OrderSide.SELL


def _closed(now: _Open, fill: Execution, closing: Decimal) -> Decimal:
    """The units of the trade. For a coin they include what its fees took less than was booked."""
    spares_fee = _sells_a_coin(fill) and fill.qty <= abs(now.qty) * (1 + FEE_SHARE)
    return fill.qty if spares_fee else closing


def _add(now: _Open, fill: Execution, qty: Decimal) -> _Open:
    share, in_coin = qty / fill.qty, fill.fee_currency == fill.symbol.base
    fee = _fee(fill) * share
    return _Open(
        since=now.since if now.qty else fill.at,
        qty=now.qty + qty * fill.side.sign - (fill.fee * share if in_coin else ZERO),
        cost=now.cost + qty * fill.price * fill.side.sign,
        fees=now.fees + fee,
        apart=now.apart + (ZERO if in_coin else fee),
    )


def _trade(closed: _Open, fill: Execution, qty: Decimal) -> Trade:
    exit_fee = _fee(fill) * qty / fill.qty
    sign = 1 if closed.qty > 0 else -1
    return Trade(
        symbol=fill.symbol,
        entry_order_side=fill.side.opposite,
        qty=qty,
        entry_price=closed.cost / closed.qty,
        exit_price=fill.price,
        opened_at=closed.since,
        closed_at=fill.at,
        fees=closed.fees + exit_fee,
        pnl=qty * fill.price * sign - closed.cost - closed.apart - exit_fee,
    )


def _fee(fill: Execution) -> Decimal:
    """In the quote currency."""
    return fill.fee * fill.price if fill.fee_currency == fill.symbol.base else fill.fee
