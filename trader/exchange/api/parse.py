"""Requests from the wire, judged only as far as their shape: whatever is not well formed raises BadRequest."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any, NoReturn, TypeVar

from trader.core.types import OrderClass, OrderSide, OrderType, TimeInForce
from trader.exchange.engine.requests import NewOrder, Patch

MAX_BODY_BYTES = 64 * 1024
_LARGEST = Decimal(10) ** 15
_MOST_DECIMALS = 20
_FRACTION = re.compile(r"\.(\d+)")
Choice = TypeVar("Choice", bound=Enum)
Params = Mapping[str, str]


class BadRequest(Exception):
    """An answer with `status` and Alpaca's `code`."""

    def __init__(self, message: str, *, status: int = 422, code: int = 40010001) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code


_ORDER_FIELDS = frozenset(
    (
        "symbol", "qty", "notional", "side", "type", "time_in_force", "limit_price", "stop_price", "trail_price",
        "trail_percent", "extended_hours", "client_order_id", "order_class", "take_profit", "stop_loss", "legs",
        "position_intent",
    )
)  # fmt: skip
_PATCH_FIELDS = frozenset(["qty", "time_in_force", "limit_price", "stop_price", "trail", "client_order_id"])


def json_object(body: bytes) -> dict[str, Any]:
    """The request's JSON object, numbers as Decimal."""
    if len(body) > MAX_BODY_BYTES:
        raise BadRequest("request body is too large", status=400, code=40010000)
    try:
        found = json.loads(body, parse_float=_decimal, parse_int=_decimal, parse_constant=_not_a_number)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise BadRequest(f"request body is not valid JSON: {reason}", status=400, code=40010000) from None
    if not isinstance(found, dict):
        raise BadRequest("request body must be a JSON object", status=400, code=40010000)
    return found


def new_order(fields: Mapping[str, Any]) -> NewOrder:
    _refuse_unknown(fields, _ORDER_FIELDS)
    for name in ("trail_price", "trail_percent"):
        if fields.get(name) is not None:
            _refuse("trailing stop orders are not supported by this simulated exchange")
    if fields.get("legs") is not None:
        _refuse("multi-leg orders are not supported by this simulated exchange")
    qty, notional = amount(fields, "qty"), amount(fields, "notional")
    if (qty is None) == (notional is None):
        _refuse("qty or notional is required" if qty is None else "only one of qty or notional is accepted")
    kind = _required_choice(fields, "type", OrderType)
    target, stop = (
        _leg(fields, "take_profit", ("limit_price",)),
        _leg(fields, "stop_loss", ("stop_price", "limit_price")),
    )
    return NewOrder(
        symbol=_required_text(fields, "symbol", 32),
        side=_required_choice(fields, "side", OrderSide),
        type=kind,
        tif=_required_choice(fields, "time_in_force", TimeInForce),
        qty=qty,
        notional=notional,
        limit_price=amount(fields, "limit_price"),
        stop_price=amount(fields, "stop_price"),
        client_order_id=client_id(fields),
        order_class=_order_class(fields),
        take_profit=amount(target, "limit_price"),
        stop_loss=amount(stop, "stop_price"),
        stop_loss_limit=amount(stop, "limit_price"),
        extended_hours=_json_boolean(fields, "extended_hours"),
    )


def patch(fields: Mapping[str, Any]) -> Patch:
    _refuse_unknown(fields, _PATCH_FIELDS)
    if fields.get("trail") is not None:
        _refuse("trailing stop orders are not supported by this simulated exchange")
    tif = fields.get("time_in_force")
    found = Patch(
        qty=amount(fields, "qty"),
        limit_price=amount(fields, "limit_price"),
        stop_price=amount(fields, "stop_price"),
        tif=None if tif is None else _required_choice(fields, "time_in_force", TimeInForce),
        client_order_id=client_id(fields),
    )
    if found == Patch(client_order_id=found.client_order_id):
        _refuse("qty, limit_price, stop_price or time_in_force is required")
    return found


def client_id(fields: Mapping[str, Any]) -> str | None:
    if fields.get("client_order_id") in (None, ""):
        return None
    found = _required_text(fields, "client_order_id", 128)
    if not found.isprintable():
        _refuse("client_order_id must be printable")
    return found


# ---- JSON fields ----


def amount(fields: Mapping[str, Any], name: str) -> Decimal | None:
    """A positive number, as a JSON number or a string."""
    raw = fields.get(name)
    if raw is None:
        return None
    if isinstance(raw, str):
        raw = to_decimal(raw, name)
    if not isinstance(raw, Decimal):
        _refuse(f"{name} must be a number")
    return _checked(raw, name)


def to_decimal(text: str, name: str) -> Decimal:
    if not text.isascii() or "_" in text or len(text) > 64:
        _refuse(f"{name} must be a number")
    try:
        return Decimal(text)
    except InvalidOperation:
        _refuse(f"{name} must be a number")


def _checked(value: Decimal, name: str) -> Decimal:
    if not value.is_finite():
        _refuse(f"{name} must be a finite number")
    if value <= 0:
        _refuse(f"{name} must be > 0")
    exponent = value.as_tuple().exponent
    if value >= _LARGEST or not isinstance(exponent, int) or -exponent > _MOST_DECIMALS:
        _refuse(f"{name} is out of range")
    return value


def _decimal(text: str) -> Decimal:
    return Decimal(text)


def _not_a_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON number")


def _leg(fields: Mapping[str, Any], name: str, allowed: tuple[str, ...]) -> Mapping[str, Any]:
    raw = fields.get(name)
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        _refuse(f"{name} must be an object")
    _refuse_unknown(raw, frozenset(allowed), f"{name}.")
    return raw


def _order_class(fields: Mapping[str, Any]) -> OrderClass:
    raw = fields.get("order_class")
    if raw in (None, ""):
        return OrderClass.SIMPLE
    if raw in ("oto", "mleg"):
        _refuse(f"order_class {raw} is not supported by this simulated exchange")
    return _required_choice(fields, "order_class", OrderClass)


def _required_choice(fields: Mapping[str, Any], name: str, kind: type[Choice]) -> Choice:
    raw = fields.get(name)
    if raw is None:
        _refuse(f"{name} is required")
    try:
        return kind(raw)
    except ValueError:
        pass
    if raw in ("trailing_stop", "opg", "cls", "fok"):
        _refuse(f"{name} {raw} is not supported by this simulated exchange")
    raise BadRequest(f"invalid {name}: expected one of {', '.join(str(c.value) for c in kind)}")


def _required_text(fields: Mapping[str, Any], name: str, longest: int) -> str:
    raw = fields.get(name)
    if raw is None:
        _refuse(f"{name} is required")
    if not isinstance(raw, str) or not raw.strip():
        _refuse(f"{name} must be a non-empty string")
    if len(raw) > longest:
        _refuse(f"{name} must be no more than {longest} characters")
    return raw


def _json_boolean(fields: Mapping[str, Any], name: str) -> bool:
    raw = fields.get(name)
    if raw is None or isinstance(raw, bool):
        return bool(raw)
    raise BadRequest(f"{name} must be true or false")


def _refuse_unknown(fields: Mapping[str, Any], known_names: frozenset[str], prefix: str = "") -> None:
    unknown_names = sorted(set(fields) - known_names)
    if unknown_names:
        _refuse(f"unknown field {prefix}{unknown_names[0][:40]!a}")


# ---- query parameters ----


def boolean(params: Params, name: str) -> bool:
    raw = params.get(name)
    if raw is None:
        return False
    if raw.lower() in ("true", "1", "t"):
        return True
    if raw.lower() in ("false", "0", "f", ""):
        return False
    raise BadRequest(f"{name} must be true or false")


def whole(params: Params, name: str, default: int, most: int, *, clip: bool = False) -> int:
    """An integer in [1, most]. `clip`: a larger one counts as the most."""
    raw = params.get(name)
    if raw is None or raw == "":
        return default
    if not (raw.isascii() and raw.isdigit() and len(raw) <= 9) or int(raw) < 1:
        _refuse(f"{name} must be an integer from 1 to {most}")
    if int(raw) > most and not clip:
        _refuse(f"{name} must be an integer from 1 to {most}")
    return min(int(raw), most)


def choice(params: Params, name: str, allowed: tuple[str, ...]) -> str:
    """One of `allowed`; the first where absent."""
    raw = (params.get(name) or allowed[0]).lower()
    if raw not in allowed:
        _refuse(f"{name} must be one of {', '.join(allowed)}")
    return raw


def moment(params: Params, name: str) -> datetime | None:
    raw = params.get(name)
    return None if not raw else to_moment(raw, name)


def to_moment(raw: str, name: str) -> datetime:
    """RFC 3339 or a date; without an offset it is UTC. Digits beyond microseconds are cut."""
    text = raw.strip()
    if len(text) > 19 and text[-6:-5] == " ":  # a plus that was not percent-encoded arrives as a space
        text = f"{text[:-6]}+{text[-5:]}"
    text = _FRACTION.sub(lambda m: "." + m[1][:6].ljust(6, "0"), text, count=1)
    try:
        found = datetime.fromisoformat(text)
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        _refuse(f"{name} must be a date or an RFC 3339 time")
    if not 1900 <= found.year <= 2200:
        _refuse(f"{name} is out of range")
    return found


def day(params: Params, name: str) -> date | None:
    found = moment(params, name)
    return None if found is None else found.date()


def names(params: Params, name: str, *, required: bool = False) -> tuple[str, ...]:
    parts = tuple(dict.fromkeys(part.strip().upper() for part in (params.get(name) or "").split(",") if part.strip()))
    if required and not parts:
        raise BadRequest(f"{name} is required", status=400, code=40010000)
    return parts


def percentage(params: Params, name: str) -> Decimal | None:
    raw = params.get(name)
    if raw is None or raw == "":
        return None
    value = _checked(to_decimal(raw, name), name)
    if value > 100:
        _refuse(f"{name} must be at most 100")
    return value


def positive(params: Params, name: str) -> Decimal | None:
    raw = params.get(name)
    return None if raw is None or raw == "" else _checked(to_decimal(raw, name), name)


def _refuse(message: str) -> NoReturn:
    raise BadRequest(message)
