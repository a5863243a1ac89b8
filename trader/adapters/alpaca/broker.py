"""The Broker port over Alpaca's trading API. REST is the truth; nothing is filled in with a default.

The account fails as a whole when a part of it can't be read; elsewhere the unreadable item is kept apart and reported
through `on_problem(kind, detail)`: it fails nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import quote

from trader.adapters.alpaca.activities import activities_of
from trader.adapters.alpaca.answers import Failure, Meaning
from trader.adapters.alpaca.clients import AlpacaClients, NeverSent
from trader.adapters.alpaca.convert import (
    NEW_YORK,
    Malformed,
    account_of,
    instrument_of,
    items,
    mapping,
    maybe_symbol,
    moment,
    order_of,
    position_of,
    session_of,
    text,
)
from trader.core.postings import Activities
from trader.core.types import (
    Account,
    Execution,
    Instrument,
    Order,
    OrderClass,
    OrderIntent,
    Position,
    Symbol,
)
from trader.errors import (
    ConfigurationError,
    CredentialsRefused,
    KeysDoubted,
    Rejected,
    Transient,
    Unknown,
    VenueUnreachable,
)
from trader.trading.ports import Accepted, Clock, Opaque, Refused, Session, Submission, Undetermined

Value = TypeVar("Value")

_ORDERS_PAGE = 500  # the venue's largest
_ACTIVITIES_PAGE = 100
_MOST_PAGES = 1_000
_INSTRUMENT_AGE = timedelta(hours=6)


class AlpacaBroker:
    """Usable from several threads. Reads raise Transient, or CredentialsRefused (77)."""

    def __init__(
        self, clients: AlpacaClients, clock: Clock, on_problem: Callable[[str, str], None] | None = None
    ) -> None:
        self._clients = clients
        self._clock = clock
        self._on_problem = on_problem or (lambda kind, detail: None)
        self._pairs: dict[str, Symbol] = {}  # BTCUSD -> BTC/USD: activities don't say that it is crypto
        self._instruments: dict[Symbol, tuple[datetime, Instrument]] = {}
        self._opaque: dict[str, tuple[Opaque, ...]] = {}  # by kind, as of the last answer
        self._told: dict[str, frozenset[Opaque]] = {}

    # ---- the account ----

    def validate(self) -> Account:
        """At the start: the keys are accepted and the account may trade.

        Raises CredentialsRefused (77), VenueUnreachable (69), ConfigurationError (78).
        """
        try:
            account = self.account()
        except KeysDoubted as error:  # asked several times: at a start nothing is gained by waiting
            raise CredentialsRefused(f"{error}: check ALPACA_API_KEY_ID and its secret") from error
        except Transient as error:
            where = self._clients.endpoints.trading_url
            raise VenueUnreachable(f"no account from {where}: {error}. Is it up, and the URL right?") from error
        if account.status != "ACTIVE":
            raise ConfigurationError(f"account {account.id} is {account.status}, not ACTIVE: see the venue's dashboard")
        if account.currency != "USD":
            raise ConfigurationError(f"account {account.id} is in {account.currency}: only USD accounts are supported")
        return account

    def account(self) -> Account:
        return self._whole("/account", None, lambda raw: account_of(raw, self._clock.now()))

    def account_number(self) -> str:
        """What people know the account by. `Account.id` is the API's own name for it."""
        return self._whole("/account", None, lambda raw: text(mapping(raw, "account"), "account_number"))

    def venue_time(self) -> datetime:
        """The venue's clock, to compare ours with."""
        return self._whole("/clock", None, lambda raw: moment(mapping(raw, "clock"), "timestamp"))

    def positions(self) -> Sequence[Position]:
        """One that can't be read is among `opaque`, and keeps no other from being protected."""
        rows = self._whole("/positions", None, lambda raw: items(raw, "positions"))
        found = self._readable("position", rows, position_of)
        self._pairs |= {p.symbol.position_name: p.symbol for p in found if "/" in p.symbol.text}
        return found

    # ---- orders ----

    def open_orders(self) -> Sequence[Order]:
        """Newest first from the venue; pages overlap in `until`, so that equal times lose nothing."""
        params = {"status": "open", "limit": str(_ORDERS_PAGE), "nested": "true", "direction": "desc"}
        orders: dict[str, Order] = {}
        self._opaque["order"] = ()
        for _ in range(_MOST_PAGES):
            page = self._whole("/orders", params, lambda raw: items(raw, "orders"))
            opaque_before = self._opaque["order"]
            new_orders = {
                order.id: order for order in self._readable("order", page, order_of) if order.id not in orders
            }
            self._opaque["order"] = (*opaque_before, *self._opaque["order"])
            orders |= new_orders
            if len(page) < _ORDERS_PAGE or not new_orders:
                break
            oldest_at = min(order.submitted_at for order in new_orders.values())
            params = {**params, "until": _stamp(oldest_at + timedelta(milliseconds=1))}
        self._pairs |= {o.symbol.position_name: o.symbol for o in orders.values() if "/" in o.symbol.text}
        return tuple(sorted(orders.values(), key=lambda order: (order.submitted_at, order.id)))

    def order_by_client_id(self, client_order_id: str) -> Order | None:
        return self._order("/orders:by_client_order_id", {"client_order_id": client_order_id})

    def order(self, order_id: str) -> Order | None:
        return self._order(f"/orders/{quote(order_id, safe='')}", {"nested": "true"})

    def submit(self, intent: OrderIntent) -> Submission:
        """One attempt. Raises CredentialsRefused only."""
        try:
            answer = self._clients.post("/orders", order_request(intent))
            order = order_of(answer)
        except NeverSent as error:
            return Undetermined(reason=str(error), sent=False)
        except Unknown as error:
            return Undetermined(reason=str(error))
        except Rejected as error:
            return _refusal(error)
        except Malformed as error:
            return Undetermined(reason=f"accepted, but the answer can't be read: {error}")
        if order.client_order_id != intent.client_order_id:
            return Undetermined(reason=f"the answer is about another order, {order.client_order_id}")
        return Accepted(order=order)

    def cancel(self, order_id: str) -> bool:
        """True where the cancel is under way, not yet confirmed. False where the venue can't (422), or has no such."""
        try:
            self._clients.delete(f"/orders/{quote(order_id, safe='')}")
        except Rejected as error:
            if error.status in (404, 422):
                return False
            raise Transient(f"cancel {order_id}: {error}") from error
        return True

    # ---- history, assets, calendar ----

    def activities(self, after: datetime) -> Activities:
        """Fills at or after that moment, oldest first, with the fees that the venue has posted under their name; where
        it has not yet, the fee is our schedule's taker fee and `fee_estimated`. And all that is no fill."""
        params = {
            "after": _stamp(after - timedelta(seconds=1)),  # exclusive there
            "direction": "asc",
            "page_size": str(_ACTIVITIES_PAGE),
        }
        rows: list[Any] = []
        for _ in range(_MOST_PAGES):
            page = self._whole("/account/activities", params, lambda raw: items(raw, "activities"))
            rows += page
            last = page[-1].get("id") if page and isinstance(page[-1], Mapping) else None
            if len(page) < _ACTIVITIES_PAGE or not isinstance(last, str) or last == params.get("page_token"):
                break
            params = {**params, "page_token": last}
        found = activities_of(rows, self._pairs, self._on_problem)
        return replace(found, executions=tuple(fill for fill in found.executions if fill.at >= after))

    def executions(self, after: datetime) -> Sequence[Execution]:
        return self.activities(after).executions

    def instruments(self, symbols: Sequence[Symbol], *, fresh: bool = False) -> Mapping[Symbol, Instrument]:
        """Kept for some hours: increments seldom change, and each asset is a request."""
        now = self._clock.now()
        instruments = {}
        for symbol in symbols:
            cached = self._instruments.get(symbol)
            if fresh or cached is None or not timedelta(0) <= now - cached[0] < _INSTRUMENT_AGE:
                instrument = self._instrument(symbol)
                if instrument is None:
                    continue
                cached = self._instruments[symbol] = (now, instrument)
            instruments[symbol] = cached[1]
            if "/" in symbol.text:
                self._pairs[symbol.position_name] = symbol
        return instruments

    def sessions(self, start: datetime, end: datetime) -> Sequence[Session]:
        first, last = (at.astimezone(NEW_YORK).date() for at in (start, end))
        params = {
            "start": (first - timedelta(days=1)).isoformat(),
            "end": (last + timedelta(days=1)).isoformat(),
        }
        rows = self._whole("/calendar", params, lambda raw: items(raw, "calendar"))
        days = self._readable("session", rows, session_of)
        days_within = (s for s in days if s.close >= start and s.open <= end)
        return tuple(sorted(days_within, key=lambda session: session.open))

    # ---- parts ----

    def _whole(self, path: str, params: Mapping[str, str] | None, parse: Callable[[Any], Value]) -> Value:
        """GET and parse; what can't be parsed, or is refused, is passing trouble: unknown, so fail closed."""
        try:
            return parse(self._clients.trading(path, params))
        except Malformed as error:
            self._on_problem("answer", f"{path}: {error}")
            raise Transient(f"{path}: {error}") from error
        except Rejected as error:
            raise Transient(str(error)) from error

    def opaque(self) -> Sequence[Opaque]:
        return (*self._opaque.get("position", ()), *self._opaque.get("order", ()))

    def _readable(self, kind: str, rows: Sequence[Any], parse: Callable[[Any], Value]) -> list[Value]:
        """What can't be read is told when it is first met, and kept apart."""
        values, unreadable = [], []
        for row in rows:
            try:
                values.append(parse(row))
            except Malformed as error:
                unreadable.append(Opaque(kind=kind, symbol=maybe_symbol(row), detail=str(error)))
        told_items, self._opaque[kind] = self._told.get(kind, frozenset()), tuple(unreadable)
        for item in unreadable:
            if item not in told_items:
                self._on_problem(kind, item.detail)
        self._told[kind] = frozenset(unreadable)
        return values

    def _order(self, path: str, params: Mapping[str, str]) -> Order | None:
        """None only on the venue's own 404: an unreadable answer is Transient, not absence."""
        try:
            return order_of(self._clients.trading(path, params))
        except Rejected as error:
            if error.status == 404:
                return None
            raise Transient(str(error)) from error
        except Malformed as error:
            self._on_problem("order", str(error))
            raise Transient(f"{path}: {error}") from error

    def _instrument(self, symbol: Symbol) -> Instrument | None:
        try:
            return instrument_of(symbol, self._clients.trading(f"/assets/{quote(symbol.text, safe='')}"))
        except Rejected as error:
            self._on_problem("asset", f"{symbol}: {error}")
        except Malformed as error:
            self._on_problem("asset", f"{symbol}: {error}")
        return None


def order_request(intent: OrderIntent) -> dict[str, object]:
    """The POST body. Numbers are strings of exact decimals: a float would send 0.30000000000000004."""
    body: dict[str, object] = {
        "symbol": intent.symbol.text,
        "qty": _digits(intent.qty),
        "side": intent.order_side.value,
        "type": intent.type.value,
        "time_in_force": intent.tif.value,
        "client_order_id": intent.client_order_id,
    }
    if intent.order_class is OrderClass.SIMPLE:
        if intent.limit_price is not None:
            body["limit_price"] = _digits(intent.limit_price)
        if intent.stop_price is not None:
            body["stop_price"] = _digits(intent.stop_price)
        return body
    if intent.order_class is not OrderClass.OCO or intent.limit_price is None or intent.stop_price is None:
        raise ValueError(f"{intent.client_order_id}: only an OCO with its target and its stop can be placed")
    return body | {
        "order_class": intent.order_class.value,
        "take_profit": {"limit_price": _digits(intent.limit_price)},
        "stop_loss": {"stop_price": _digits(intent.stop_price)},
    }


def _refusal(error: Rejected) -> Refused:
    answer = Failure(status=error.status, code=error.code, message=str(error), is_json=True)
    return Refused(
        reason=str(error), code=error.code, status=error.status, duplicate=answer.meaning is Meaning.DUPLICATE
    )


def _digits(value: Decimal) -> str:
    """Plain digits without exponent or trailing zeros."""
    told = format(value, "f")
    return told.rstrip("0").rstrip(".") if "." in told else told


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
