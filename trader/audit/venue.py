"""What the venue says of the account, read with nothing of the daemon's own code: plain HTTP and plain JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import requests

from trader.bounded.adapter import DeadlineAdapter
from trader.bounded.answers import Unreadable, read_json
from trader.errors import CredentialsRefused, Transient

PAGE = 100
MOST_PAGES = 500
DEADLINE_S = 30.0  # for one whole answer
_LARGEST_EXPONENT = 30  # as written out, a larger one takes a line of megabytes
_KINDS_WITH_UNITS = frozenset({"FILL", "CFEE", "FEE", "SPLIT", "SPIN", "MA", "NC", "REORG", "JNLS", "OPASN"})

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """A position as the venue tells it. `symbol` without a slash, as positions write it."""

    symbol: str
    qty: Decimal  # negative when short
    mark: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOrder:
    id: str
    client_order_id: str
    symbol: str  # without a slash
    side: str
    type: str
    rests_a_stop: bool  # itself, or one of its legs
    remaining: Decimal | None  # None for an order over an amount of money
    price: Decimal | None  # limit or stop; None at the market


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """One account activity: what it did to cash and to units."""

    id: str
    kind: str
    symbol: str  # "" where it has none
    cash: Decimal
    qty: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One look. The parts are separate answers, a moment apart."""

    account_id: str
    cash: Decimal
    equity: Decimal
    holdings: Sequence[Holding]
    orders: Sequence[OpenOrder]
    movements: Sequence[Movement]  # since the anchor, oldest first
    unread: Sequence[str]  # what could not be understood, one line each


class VenueReader:
    """Raises Transient where the venue does not answer or says nothing that can be read, CredentialsRefused on 401."""

    def __init__(self, url: str, key: str, secret: str) -> None:
        self._url = url.rstrip("/")
        self._session = requests.Session()
        self._session.headers.update({"APCA-API-KEY-ID": key, "APCA-API-SECRET-KEY": secret})
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, DeadlineAdapter(DEADLINE_S))
        if "://127.0.0.1" in self._url or "://localhost" in self._url:
            self._session.trust_env = False  # a proxy would take loopback for a host of its own

    def close(self) -> None:
        self._session.close()

    def now(self) -> datetime:
        """By the venue's own clock, which its activities are dated by: a simulated market is in another year."""
        try:
            return datetime.fromisoformat(str(self._object("/v2/clock").get("timestamp")))
        except ValueError as error:
            raise Transient("/v2/clock: no time") from error

    def report(self, since: datetime) -> Report:
        unread: list[str] = []
        account = self._object("/v2/account")
        movements = [movement for raw in self._activities(since) if (movement := _movement(raw, unread)) is not None]
        holdings = [holding for raw in self._list("/v2/positions") if (holding := _holding(raw, unread)) is not None]
        parameters = {"status": "open", "limit": "500", "nested": "true"}
        orders = [order for raw in self._list("/v2/orders", parameters) if (order := _order(raw, unread)) is not None]
        cash, equity = _decimal(account.get("cash")), _decimal(account.get("equity"))
        if cash is None or equity is None:
            raise Transient("the account has no cash or no equity that is a number")
        return Report(
            account_id=str(account.get("id")),
            cash=cash,
            equity=equity,
            holdings=holdings,
            orders=orders,
            movements=movements,
            unread=unread,
        )

    def _activities(self, since: datetime) -> Iterator[Json]:
        token = ""
        for _ in range(MOST_PAGES):
            parameters = {"after": since.isoformat(), "direction": "asc", "page_size": str(PAGE)}
            page = self._list("/v2/account/activities", {**parameters, **({"page_token": token} if token else {})})
            yield from page
            if len(page) < PAGE:
                return
            token = str(page[-1].get("id"))
        raise Transient(f"more than {MOST_PAGES * PAGE} activities since {since:%Y-%m-%d}: begin anew with --anchor")

    def _object(self, path: str) -> Json:
        body = self._get(path, {})
        if not isinstance(body, dict):
            raise Transient(f"{path}: no object")
        return body

    def _list(self, path: str, parameters: Mapping[str, str] | None = None) -> Sequence[Json]:
        body = self._get(path, parameters or {})
        if not isinstance(body, list) or not all(isinstance(each, dict) for each in body):
            raise Transient(f"{path}: no list of objects")
        return body

    def _get(self, path: str, parameters: Mapping[str, str]) -> object:
        try:
            answer = self._session.get(self._url + path, params=parameters, allow_redirects=False)
        except (requests.RequestException, OSError) as error:
            raise Transient(f"{path}: {type(error).__name__}") from error
        if answer.status_code == 401:
            raise CredentialsRefused(f"{path}: the audit's keys were refused (401)")
        if answer.status_code != 200:
            raise Transient(f"{path}: {answer.status_code}")
        try:
            return read_json(answer.content, parse_float=Decimal)
        except Unreadable as error:
            raise Transient(f"{path}: {error}") from error


def plain_name(symbol: object) -> str:
    """`BTC/USD` and `BTCUSD` are one."""
    return str(symbol or "").replace("/", "").upper()


def _decimal(value: object) -> Decimal | None:
    if value is None or isinstance(value, bool):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number.adjusted()) <= _LARGEST_EXPONENT else None


def _holding(raw: Json, unread: list[str]) -> Holding | None:
    qty, symbol = _decimal(raw.get("qty")), plain_name(raw.get("symbol"))
    if qty is None or not symbol:
        unread.append(f"a position in {symbol or 'no symbol'} without a quantity")
        return None
    if raw.get("side") == "short" and qty > 0:
        qty = -qty
    return Holding(symbol=symbol, qty=qty, mark=_decimal(raw.get("current_price")))


def _order(raw: Json, unread: list[str]) -> OpenOrder | None:
    if not raw.get("id"):
        unread.append("an order without an id")
        return None
    qty, filled_qty = _decimal(raw.get("qty")), _decimal(raw.get("filled_qty")) or Decimal(0)
    legs = raw.get("legs") or []
    stops = [part for part in (raw, *legs) if isinstance(part, dict) and "stop" in str(part.get("type"))]
    return OpenOrder(
        id=str(raw["id"]),
        client_order_id=str(raw.get("client_order_id") or ""),
        symbol=plain_name(raw.get("symbol")),
        side=str(raw.get("side")),
        type=str(raw.get("type")),
        rests_a_stop=bool(stops),
        remaining=None if qty is None else qty - filled_qty,
        price=_decimal(raw.get("limit_price")) or _decimal(raw.get("stop_price")),
    )


def _movement(raw: Json, unread: list[str]) -> Movement | None:
    kind, name = str(raw.get("activity_type") or ""), str(raw.get("id") or "")
    qty, cash = _decimal(raw.get("qty")) or Decimal(0), _decimal(raw.get("net_amount")) or Decimal(0)
    if kind == "FILL":
        price, side = _decimal(raw.get("price")), raw.get("side")
        if price is None or side not in ("buy", "sell", "sell_short"):
            unread.append(f"fill {name} without a price or a side")
            return None
        qty = qty if side == "buy" else -qty
        cash = -qty * price
    elif kind not in _KINDS_WITH_UNITS:
        qty = Decimal(0)  # a dividend tells the units that it was paid on: they did not move
    return Movement(id=name, kind=kind, symbol=plain_name(raw.get("symbol")), cash=cash, qty=qty)
