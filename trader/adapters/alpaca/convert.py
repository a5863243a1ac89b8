"""The venue's JSON to our values, trusting nothing: what can't be read raises `Malformed`, never another error.

Numbers come as strings or JSON floats; a float's shortest text is what the venue wrote, so it passes through `str`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from settings.redaction import clean
from trader.core.fees import schedule_for
from trader.core.types import (
    ZERO,
    Account,
    AssetClass,
    Execution,
    Instrument,
    Order,
    OrderClass,
    OrderSide,
    OrderStatus,
    OrderType,
    Position,
    Quote,
    Symbol,
    TimeInForce,
)
from trader.trading.ports import Session

Word = TypeVar("Word", bound=StrEnum)
Json = Mapping[str, Any]

NEW_YORK = ZoneInfo("America/New_York")
SYNTHETIC = "SYNTHETIC"
_NANO = Decimal("0.000000001")
_CENT = Decimal("0.01")
_HUNDREDTH = Decimal("0.0001")
_CRYPTO_MIN_BUY_USD = Decimal(10)  # no field of the asset shows it
_CRYPTO_MAX_ORDER_USD = Decimal(200_000)  # nor this; a third party's word for it
_FRACTIONAL_MIN_USD = Decimal(1)
_LARGEST_EXPONENT = 30  # beyond it a number is rubbish, and arithmetic on it could take for ever

# What a person may place by hand and we never do: seen as the nearest thing that holds the same quantity.
_FOREIGN_TYPES = {"trailing_stop": OrderType.STOP}
_FOREIGN_TIFS = {"opg": TimeInForce.DAY, "cls": TimeInForce.DAY, "fok": TimeInForce.IOC}
_FOREIGN_CLASSES = {"": OrderClass.SIMPLE, "oto": OrderClass.BRACKET}


class Malformed(ValueError):
    """An item that can't be read. The message says which field and shows its value, shortened."""


def account_of(raw: object, at: datetime) -> Account:
    """Every figure is required: an account without equity is unknown, not empty."""
    body = mapping(raw, "account")
    flags = ("trading_blocked", "account_blocked", "trade_suspended_by_user")
    return Account(
        id=text(body, "id"),
        status=text(body, "status"),
        currency=text(body, "currency"),
        equity=number(body, "equity"),
        cash=number(body, "cash"),
        buying_power=number(body, "buying_power"),
        trading_blocked=any(truth(body, flag, missing=False) for flag in flags),
        shorting_enabled=truth(body, "shorting_enabled", missing=False),
        at=at,
    )


def position_of(raw: object) -> Position:
    body = mapping(raw, "position")
    sign = -1 if word(body, "side", _PositionSide) is _PositionSide.SHORT else 1
    return Position(
        symbol=symbol_of(body),
        qty=abs(number(body, "qty")) * sign,
        qty_available=abs(number(body, "qty_available")),
        avg_entry_price=number(body, "avg_entry_price"),
        mark=_figure(body, "current_price"),
    )


def order_of(raw: object) -> Order:
    """Types and classes that we never place are shown as the nearest that we know: an order must not be hidden."""
    body = mapping(raw, "order")
    kind = str(body.get("type") or body.get("order_type") or "")
    submitted_at = maybe_moment(body, "submitted_at") or moment(body, "created_at")
    legs = body.get("legs") or ()
    if not isinstance(legs, (list, tuple)):
        raise Malformed(f"order legs: {shown(legs)}")
    qty, filled_qty = _order_qty(body), number(body, "filled_qty")
    if not 0 <= filled_qty <= qty:
        raise Malformed(f"filled_qty {filled_qty} of {qty}, order {shown(body.get('id'))}")
    return Order(
        id=text(body, "id"),
        client_order_id=text(body, "client_order_id"),
        symbol=symbol_of(body),
        side=word(body, "side", OrderSide),
        type=_FOREIGN_TYPES.get(kind) or _word(kind, OrderType, "type"),
        tif=_FOREIGN_TIFS.get(str(body.get("time_in_force"))) or word(body, "time_in_force", TimeInForce),
        qty=qty,
        filled_qty=filled_qty,
        status=_status(body),
        submitted_at=submitted_at,
        updated_at=maybe_moment(body, "updated_at") or submitted_at,
        filled_avg_price=maybe_number(body, "filled_avg_price"),
        limit_price=maybe_number(body, "limit_price"),
        stop_price=maybe_number(body, "stop_price"),
        order_class=_order_class(body),
        legs=tuple(order_of(leg) for leg in legs),
    )


def fill_of(raw: object, pairs: Mapping[str, Symbol]) -> Execution:
    """A FILL activity, its fee not joined yet. `pairs`: BTCUSD -> BTC/USD, as activities may spell it."""
    body = mapping(raw, "fill")
    symbol = pairs.get(text(body, "symbol")) or symbol_of(body)
    side = OrderSide.BUY if str(body.get("side")) == "buy" else OrderSide.SELL
    if side is OrderSide.SELL and str(body.get("side")) not in ("sell", "sell_short"):
        raise Malformed(f"side: {shown(body.get('side'))}")
    qty, price = number(body, "qty"), number(body, "price")
    if qty <= 0 or price <= 0:
        raise Malformed(f"a fill of {qty} at {price}")
    return Execution(
        id=str(body.get("execution_id") or text(body, "id")),
        order_id=text(body, "order_id"),
        symbol=symbol,
        side=side,
        qty=qty,
        price=price,
        at=moment(body, "transaction_time"),
        fee_currency=symbol.currency,
    )


def quote_of(symbol: Symbol, raw: object, source: str) -> Quote:
    """A zero, crossed or stale quote passes: the core refuses it. A quote without its sides raises Malformed."""
    body = mapping(raw, "quote")
    conditions = body.get("c") or ()
    return Quote(
        symbol=symbol,
        bid=number(body, "bp"),
        ask=number(body, "ap"),
        bid_size=maybe_number(body, "bs") or ZERO,
        ask_size=maybe_number(body, "as") or ZERO,
        at=moment(body, "t"),
        source=source,
        synthetic=isinstance(conditions, (list, tuple, str)) and SYNTHETIC in conditions,
    )


def instrument_of(symbol: Symbol, raw: object) -> Instrument:
    """The account's 30-day volume is not told by the venue, so the fees are those of its first tier."""
    body = mapping(raw, "asset")
    listed = truth(body, "tradable", missing=None) and str(body.get("status", "active")) == "active"
    fees = schedule_for(symbol.asset_class)
    if symbol.asset_class is AssetClass.CRYPTO:
        return Instrument(
            symbol=symbol,
            tick=_positive(body, "price_increment"),
            lot=_positive(body, "min_trade_increment"),
            min_qty=_positive(body, "min_order_size"),
            min_notional=_CRYPTO_MIN_BUY_USD,
            max_notional=_CRYPTO_MAX_ORDER_USD,
            fees=fees,
            tradable=listed,
            shortable=False,
            fractionable=True,
        )
    fractionable = truth(body, "fractionable", missing=False)
    lot = _NANO if fractionable else Decimal(1)
    return Instrument(
        symbol=symbol,
        tick=_CENT,
        sub_dollar_tick=_HUNDREDTH,
        lot=lot,
        min_qty=lot,
        min_notional=_FRACTIONAL_MIN_USD,
        fees=fees,
        tradable=listed,
        shortable=truth(body, "shortable", missing=False) and truth(body, "easy_to_borrow", missing=False),
        fractionable=fractionable,
    )


def session_of(raw: object) -> Session:
    """The calendar speaks New York time: `2026-01-02`, `09:30`, `16:00`."""
    body = mapping(raw, "session")
    try:
        day = date.fromisoformat(text(body, "date"))
        open_time, close_time = (time.fromisoformat(text(body, name)) for name in ("open", "close"))
        session = Session(
            open=datetime.combine(day, open_time, NEW_YORK).astimezone(UTC),
            close=datetime.combine(day, close_time, NEW_YORK).astimezone(UTC),
        )
    except (ValueError, OverflowError) as error:
        raise Malformed(f"session {shown(raw)}") from error
    if session.close <= session.open:
        raise Malformed(f"session {shown(raw)}")
    return session


# ---- fields ----


def mapping(raw: object, what: str) -> Json:
    if not isinstance(raw, Mapping):
        raise Malformed(f"{what} is no object: {shown(raw)}")
    return raw


def items(raw: object, what: str) -> list[Any]:
    if not isinstance(raw, list):
        raise Malformed(f"{what} is no list: {shown(raw)}")
    return raw


def text(body: Json, name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise Malformed(f"{name}: {shown(value)}")
    return value


def number(body: Json, name: str) -> Decimal:
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise Malformed(f"{name}: {shown(value)}")
    try:
        parsed = Decimal(str(value))
    except (InvalidOperation, ValueError) as error:
        raise Malformed(f"{name}: {shown(value)}") from error
    if not parsed.is_finite() or abs(parsed.adjusted()) > _LARGEST_EXPONENT:
        raise Malformed(f"{name}: {shown(value)}")
    return parsed


def maybe_number(body: Json, name: str) -> Decimal | None:
    return None if body.get(name) in (None, "") else number(body, name)


def _figure(body: Json, name: str) -> Decimal | None:
    """One that others can do without: what can't be read is unknown."""
    try:
        return maybe_number(body, name)
    except Malformed:
        return None


def maybe_symbol(raw: object) -> Symbol | None:
    """Of an item that can't be read otherwise."""
    try:
        return symbol_of(mapping(raw, "item"))
    except Malformed:
        return None


def truth(body: Json, name: str, *, missing: bool | None) -> bool:
    """`missing` is what an absent flag means; None: it must be there."""
    value = body.get(name)
    if value is None and missing is not None:
        return missing
    if not isinstance(value, bool):
        raise Malformed(f"{name}: {shown(value)}")
    return value


def moment(body: Json, name: str) -> datetime:
    """RFC 3339 with a zone; digits past the microsecond are dropped."""
    try:
        parsed = datetime.fromisoformat(text(body, name))
        if parsed.tzinfo is None:
            raise Malformed(f"{name} has no zone: {shown(body.get(name))}")
        return parsed.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Malformed(f"{name}: {shown(body.get(name))}") from error


def maybe_moment(body: Json, name: str) -> datetime | None:
    return None if body.get(name) in (None, "") else moment(body, name)


def word(body: Json, name: str, words: type[Word]) -> Word:
    return _word(body.get(name), words, name)


def symbol_of(body: Json) -> Symbol:
    name = text(body, "symbol")
    kind = AssetClass.CRYPTO if body.get("asset_class") == "crypto" else None
    try:
        return Symbol.parse(name, kind)
    except ValueError as error:
        raise Malformed(f"symbol: {shown(name)}") from error


def shown(value: object) -> str:
    """Short enough for a log line."""
    try:
        told = clean(repr(value))
    except (ValueError, RecursionError):
        told = f"<{type(value).__name__}>"
    return told if len(told) <= 80 else told[:77] + "..."


class _PositionSide(StrEnum):
    LONG = "long"
    SHORT = "short"


def _word(value: object, words: type[Word], name: str) -> Word:
    try:
        return words(str(value))
    except ValueError as error:
        raise Malformed(f"{name}: {shown(value)}") from error


def _status(body: Json) -> OrderStatus:
    status = text(body, "status")
    try:
        return OrderStatus(status)
    except ValueError:
        return OrderStatus.UNKNOWN


def _order_class(body: Json) -> OrderClass:
    name = str(body.get("order_class") or "")
    return _FOREIGN_CLASSES.get(name) or _word(name, OrderClass, "order_class")


def _order_qty(body: Json) -> Decimal:
    """An order by notional has no quantity until it is filled: its own limit or the filled price tells it roughly."""
    qty = maybe_number(body, "qty")
    if qty is not None:
        return qty
    notional = number(body, "notional")
    price = maybe_number(body, "filled_avg_price") or maybe_number(body, "limit_price")
    if not price:
        raise Malformed(f"an order by notional without any price: {shown(body.get('id'))}")
    return max((notional / price).quantize(_NANO), number(body, "filled_qty"))


def _positive(body: Json, name: str) -> Decimal:
    value = number(body, name)
    if value <= 0:
        raise Malformed(f"{name}: {value}")
    return value
