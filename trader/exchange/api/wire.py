"""The trading API's JSON, in the shapes that Alpaca answers and its published client parses.

Money and quantities are strings, times RFC 3339 with nanoseconds in UTC. Orders say BTC/USD, positions say BTCUSD.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from trader.core.types import ZERO, AssetClass, Instrument, OrderClass, OrderSide, OrderStatus, Symbol
from trader.exchange.engine.events import Holding, OrderEvent, Posted, Refusal, SimOrder
from trader.exchange.engine.ids import asset_id
from trader.exchange.ledger.queries import Activity, ExecutionRow
from trader.exchange.market.listings import Listing

Json = dict[str, Any]
NEW_YORK = ZoneInfo("America/New_York")
_MAINTENANCE = Decimal("0.25")


def number(value: Decimal) -> str:
    """Plain digits, no exponent, no trailing zeros."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text if text not in ("-0", "") else "0"


def maybe(value: Decimal | None) -> str | None:
    return None if value is None else number(value)


def money(value: Decimal) -> str:
    """USD to nine decimals, as far as the venue keeps them."""
    return number(round(value, 9))


def price_text(value: Decimal) -> str:
    return number(round(value, 12))


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "000Z"


def maybe_stamp(moment: datetime | None) -> str | None:
    return None if moment is None else stamp(moment)


def error(refusal: Refusal) -> Json:
    return {"code": refusal.code, "message": refusal.message, **refusal.extra}


def order(item: SimOrder, *, legs: Sequence[SimOrder] | None = None) -> Json:
    """`legs` None: not asked for (the venue then answers null)."""
    average = item.filled_avg_price
    body: Json = {
        "id": item.id,
        "client_order_id": item.client_order_id,
        "created_at": stamp(item.submitted_at),
        "updated_at": stamp(item.updated_at),
        "submitted_at": stamp(item.submitted_at),
        "filled_at": maybe_stamp(item.filled_at),
        "expired_at": maybe_stamp(item.expired_at),
        "canceled_at": maybe_stamp(item.canceled_at),
        "failed_at": maybe_stamp(item.failed_at),
        "replaced_at": stamp(item.updated_at) if item.replaced_by else None,
        "replaced_by": item.replaced_by,
        "replaces": item.replaces,
        "asset_id": asset_id(item.symbol),
        "symbol": item.symbol.text,
        "asset_class": item.symbol.asset_class.value,
        "notional": maybe(item.notional),
        "qty": None if item.notional is not None else number(item.qty),
        "filled_qty": number(item.filled_qty),
        "filled_avg_price": None if average is None else price_text(average),
        "order_class": "" if item.order_class is OrderClass.SIMPLE else item.order_class.value,
        "order_type": item.type.value,
        "type": item.type.value,
        "side": item.side.value,
        "position_intent": None,
        "time_in_force": item.tif.value,
        "limit_price": maybe(item.limit_price),
        "stop_price": maybe(item.stop_price),
        "status": item.status.value,
        "extended_hours": item.extended_hours,
        "legs": [order(leg) for leg in legs] if legs else None,
        "trail_percent": None,
        "trail_price": None,
        "hwm": None,
        "subtag": None,
        "source": None,
    }
    if item.status is OrderStatus.REJECTED:
        body["reject_reason"] = item.reject_reason  # ours: what the venue says of it is not documented
    return body


def trade_update(event: OrderEvent) -> Json:
    """The `data` of one message on the trade-update stream."""
    body: Json = {"event": event.event, "timestamp": stamp(event.at), "order": order(event.order)}
    execution = event.execution
    if execution is not None:
        body |= {
            "execution_id": execution.id,
            "price": number(execution.price),
            "qty": number(execution.qty),
            "position_qty": number(event.position_qty if event.position_qty is not None else ZERO),
        }
    return body


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionView:
    """A holding with what its JSON needs besides. Prices in quote currency; None where there is no mark."""

    symbol: Symbol
    holding: Holding
    available: Decimal  # unsigned: what no resting order holds
    mark: Decimal | None
    previous_close: Decimal | None


def position(view: PositionView) -> Json:
    qty, cost = view.holding.qty, view.holding.cost
    average = cost / qty
    mark = view.mark if view.mark is not None else average
    last_day = view.previous_close if view.previous_close is not None else mark
    value, profit, today = qty * mark, qty * mark - cost, qty * (mark - last_day)
    crypto = view.symbol.asset_class is AssetClass.CRYPTO
    return {
        "asset_id": asset_id(view.symbol),
        "symbol": view.symbol.position_name,
        "exchange": "CRYPTO" if crypto else "NASDAQ",
        "asset_class": view.symbol.asset_class.value,
        "asset_marginable": not crypto,
        "qty": number(qty),
        "qty_available": number(view.available.copy_sign(qty)),
        "avg_entry_price": price_text(average),
        "side": "long" if qty > 0 else "short",
        "market_value": money(value),
        "cost_basis": money(cost),
        "unrealized_pl": money(profit),
        "unrealized_plpc": _ratio(profit, abs(cost)),
        "unrealized_intraday_pl": money(today),
        "unrealized_intraday_plpc": _ratio(today, abs(qty * last_day)),
        "current_price": price_text(mark),
        "lastday_price": price_text(last_day),
        "change_today": _ratio(mark - last_day, last_day),
    }


def _ratio(part: Decimal, whole: Decimal) -> str:
    return number(round(part / whole, 10)) if whole else "0"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountView:
    """USD. `short_value` is signed, below zero."""

    id: str
    number: str
    cash: Decimal
    equity: Decimal
    last_equity: Decimal
    buying_power: Decimal
    non_marginable: Decimal
    long_value: Decimal
    short_value: Decimal
    created_at: datetime
    multiplier: Decimal
    trading_blocked: bool
    shorting_enabled: bool


def account(view: AccountView) -> Json:
    exposure = view.long_value - view.short_value
    return {
        "id": view.id,
        "account_number": view.number,
        "status": "ACTIVE",
        "crypto_status": "ACTIVE",
        "currency": "USD",
        "cash": money(view.cash),
        "equity": money(view.equity),
        "portfolio_value": money(view.equity),
        "last_equity": money(view.last_equity),
        "long_market_value": money(view.long_value),
        "short_market_value": money(view.short_value),
        "position_market_value": money(exposure),
        "buying_power": money(view.buying_power),
        "regt_buying_power": money(view.buying_power),
        "effective_buying_power": money(view.buying_power),
        "non_marginable_buying_power": money(view.non_marginable),
        "initial_margin": money(exposure / 2),
        "maintenance_margin": money(exposure * _MAINTENANCE),
        "last_maintenance_margin": "0",
        "sma": "0",
        "multiplier": number(view.multiplier),
        "accrued_fees": "0",
        "trading_blocked": view.trading_blocked,
        "transfers_blocked": False,
        "account_blocked": False,
        "trade_suspended_by_user": view.trading_blocked,
        "shorting_enabled": view.shorting_enabled,
        "created_at": stamp(view.created_at),
        "balance_asof": view.created_at.date().isoformat(),
        "crypto_tier": 1,
    }


def asset(instrument: Instrument, listing: Listing | None = None) -> Json:
    """`listing`: what changed of it, where it tells more than `instrument`, which orders are judged by."""
    listing = listing or Listing()
    symbol = instrument.symbol
    crypto = symbol.asset_class is AssetClass.CRYPTO
    # `instrument` joins the two: what can't be borrowed can't be sold short, though it is told as shortable
    usual = not crypto if listing.easy_to_borrow is False else instrument.shortable
    shortable = usual if listing.shortable is None else listing.shortable
    body: Json = {
        "id": asset_id(symbol),
        "class": symbol.asset_class.value,
        "exchange": "CRYPTO" if crypto else "NASDAQ",
        "symbol": symbol.text,
        "name": f"{symbol.base} / {symbol.currency}" if crypto else symbol.text,
        "status": "inactive" if listing.delisted else "active",
        "tradable": instrument.tradable,
        "marginable": not crypto,
        "maintenance_margin_requirement": 100 if crypto else 30,
        "shortable": shortable,
        "easy_to_borrow": shortable if listing.easy_to_borrow is None else listing.easy_to_borrow,
        "fractionable": instrument.fractionable,
        "attributes": [],
    }
    if crypto:
        body |= {
            "min_order_size": number(instrument.min_qty),
            "min_trade_increment": number(instrument.lot),
            "price_increment": number(instrument.tick),
        }
    return body


def activity(item: Activity, account: str) -> Json:
    common: Json = {"id": item.id, "account_id": account, "activity_type": item.kind}
    if item.row is None:
        return common | ({} if item.posted is None else _posted(item.posted))
    return common | _traded(item, item.row)


def _posted(entry: Posted) -> Json:
    """As the venue tells what is no fill: dated, by its net amount, and of a symbol where it has one."""
    body: Json = {
        "date": entry.day.isoformat(),
        "net_amount": number(entry.cash),
        "description": entry.description,
        "status": "executed",
        "currency": "USD",
    }
    if entry.symbol is not None:
        body |= {"symbol": entry.symbol.position_name, "qty": number(entry.qty)}
    return body if entry.price is None else body | {"price": number(entry.price)}


def _traded(item: Activity, row: ExecutionRow) -> Json:
    execution = row.execution
    common: Json = {"symbol": execution.symbol.text}
    if item.kind == "FILL":
        return common | {
            "transaction_time": stamp(execution.at),
            "type": "fill" if row.leaves_qty == 0 else "partial_fill",
            "price": number(execution.price),
            "qty": number(execution.qty),
            "side": execution.side.value,
            "order_id": execution.order_id,
            "cum_qty": number(row.cum_qty),
            "leaves_qty": number(row.leaves_qty),
            "order_status": row.order_status,
            "execution_id": execution.id,
        }
    in_coin = execution.side is OrderSide.BUY and execution.fee_currency == execution.symbol.base
    named: Json = {
        "transaction_time": stamp(execution.at),
        "order_id": execution.order_id,
        "execution_id": execution.id,
    }
    if item.late and not in_coin:  # in dollars it names neither symbol nor order
        return {
            "date": execution.at.date().isoformat(),
            "net_amount": number(-execution.fee),
            "description": "Coin Pair Transaction Fee (USD)",
            "status": "executed",
            "currency": "USD",
        }
    return common | {
        "date": execution.at.date().isoformat(),
        "net_amount": "0" if in_coin else number(-execution.fee),
        "qty": number(-execution.fee) if in_coin else "0",
        "price": number(execution.price),
        "description": f"{execution.symbol.base} fee",
        "status": "executed",
        **({} if item.late else named),
    }


def new_york(moment: datetime) -> str:
    """The market clock's times carry New York's offset."""
    return moment.astimezone(NEW_YORK).isoformat()


def clock(now: datetime, sessions: Sequence[tuple[datetime, datetime]]) -> Json:
    """`sessions` reach far enough past `now` to hold the next open and close."""
    is_open = any(opens_at <= now < closes_at for opens_at, closes_at in sessions)
    far = now + timedelta(days=366)
    next_open = next((opens_at for opens_at, _ in sessions if opens_at > now), far)
    next_close = next((closes_at for _, closes_at in sessions if closes_at > now), far)
    return {
        "timestamp": new_york(now),
        "is_open": is_open,
        "next_open": new_york(next_open),
        "next_close": new_york(next_close),
    }


def calendar(sessions: Sequence[tuple[datetime, datetime]]) -> list[Json]:
    rows = []
    for opens_at, closes_at in sessions:
        begin, end = opens_at.astimezone(NEW_YORK), closes_at.astimezone(NEW_YORK)
        rows.append(
            {
                "date": begin.date().isoformat(),
                "open": f"{begin:%H:%M}",
                "close": f"{end:%H:%M}",
                "session_open": "0400",
                "session_close": "2000",
                "settlement_date": (begin.date() + timedelta(days=1)).isoformat(),
            }
        )
    return rows
