"""The HTTP face of the venue: routing, keys, rate limits, faults, errors. One process, one thread, one port.

The venue is only ever called between two awaits, so that a request sees it whole.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from trader.exchange.api.call import Call, Handler, Reply
from trader.exchange.api.connection_faults import TOO_MANY, TRANSPORT, after, answer, before
from trader.exchange.api.fault_answers import answered
from trader.exchange.api.faults import Faults, Fired, Happening
from trader.exchange.api.lag import Past
from trader.exchange.api.pacing import Pace, RateLimiter
from trader.exchange.api.parse import MAX_BODY_BYTES, BadRequest
from trader.exchange.api.stream import StreamHub
from trader.exchange.api.thinning import FaultsByClock
from trader.exchange.api.wire import error
from trader.exchange.engine.answers import VenueRefusal
from trader.exchange.engine.events import OrderEvent, Refusal
from trader.exchange.venue import Venue

_UNAUTHORIZED = Reply(status=401, body={"code": 40110000, "message": "request is not authorized"})
_FORBIDDEN = Reply(status=403, body={"message": "forbidden."})
_NO_PATH = Reply(status=404, body={"code": 40410000, "message": "endpoint not found"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The pair that is asked for; None accepts any."""

    key: str | None = None
    secret: str | None = None

    @property
    def is_asked_for(self) -> bool:
        return self.key is not None or self.secret is not None

    def admits(self, key: str, secret: str) -> bool:
        return _same(self.key, key) and _same(self.secret, secret)


def _same(expected: str | None, sent_key: str) -> bool:
    return bool(sent_key) if expected is None else hmac.compare_digest(expected.encode(), sent_key.encode())


@dataclass(frozen=True, slots=True)
class Way:
    """What is known of a route before anybody asks: its name in fault scripts, its rate limit, whether keys matter."""

    endpoint: str
    data: bool = False
    open_to_all: bool = False


class OneWrite:
    """A transport that gathers what is written in one go: head and body of an answer wake the client once."""

    __slots__ = ("_flush_due", "_loop", "_parts", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._parts: list[bytes] = []
        self._flush_due = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        self._parts.append(bytes(data))
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        self._flush_due = False
        if self._parts and not self._transport.is_closing():
            self._transport.write(b"".join(self._parts))
        self._parts.clear()


class Protocol(HttpToolsProtocol):
    """Lets a handler reach its connection: a reset can't be told any other way."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(OneWrite(transport, self.loop))  # type: ignore[arg-type]

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope[TRANSPORT] = self.transport  # type: ignore[literal-required]


class Exchange:
    """The venue with everything that stands between it and the wire."""

    def __init__(
        self,
        venue: Venue,
        *,
        speed: float | None,
        keys: Keys,
        faults: Faults,
        rate_limit: int,
        on_lost: Callable[[str], None] = lambda why: None,
    ) -> None:
        """on_lost  told why the ledger can't be written any more"""
        self.venue = venue
        self.keys = keys
        self.faults = faults
        self.pace = Pace(venue, speed)
        self.hub = StreamHub(authorized=keys.admits, rules=lambda happening: self.faults.stream(happening))
        self.filled = asyncio.Event()
        self.on_lost = on_lost
        self._trading_limit = RateLimiter(rate_limit)
        self._data_limit = RateLimiter(rate_limit)
        self.past = Past(venue)
        self.use_faults(faults)
        venue.listen(self._happened)

    def use_faults(self, faults: Faults) -> None:
        self.faults = faults
        by_clock = FaultsByClock(faults)
        self.venue.thin, self.venue.halts, self.venue.listed = by_clock.thin, by_clock.halted, by_clock.listings
        self.venue.posts = by_clock.posted
        self.venue.obey_faults()

    def _happened(self, events: Sequence[OrderEvent]) -> None:
        self.hub.publish(events)
        if any(event.execution is not None or event.event == "rejected" for event in events):
            self.filled.set()
            self.filled = asyncio.Event()

    def keeps_out(self, headers: Headers) -> Reply | None:
        """Of what is beside Alpaca's own: it is open to all, unless somebody said which keys are right."""
        return _denied(self.keys, headers) if self.keys.is_asked_for else None

    async def run_clock(self) -> None:
        """At a finite speed: plays the market as its time comes. Ends when cancelled."""
        while self.pace.speed is not None:
            pause = 0.0
            if self.pace.catch_up():
                following = self.venue.next_moment()
                pause = 1.0 if following is None else min(1.0, self.pace.wall_seconds_until(following))
            await asyncio.sleep(pause)

    # ---- one request ----

    async def handle(self, request: Request, handler: Handler, route: Way) -> Response:
        self.pace.catch_up()  # a market too fast to play is told as far as it has been played
        try:
            body = await _body(request)
        except BadRequest as bad:
            return answer(_bad(bad), {})
        rules = self._rules(request, body, route)
        for fired in rules:
            response = await before(request, fired.rule)
            if response is not None:
                return response
        limiter = self._data_limit if route.data else self._trading_limit
        reply = self._reply(request, handler, body, rules, limiter, route)
        for fired in rules:
            response = await after(request, fired.rule)
            if response is not None:
                return response
        return answer(reply, limiter.headers())

    def _reply(
        self,
        request: Request,
        handler: Handler,
        body: bytes,
        rules: Sequence[Fired],
        limiter: RateLimiter,
        route: Way,
    ) -> Reply:
        denied = None if route.open_to_all else _denied(self.keys, request.headers)
        if denied is not None:
            return denied
        if not limiter.take(self.venue.now):
            return TOO_MANY
        try:
            self._obey(rules)
            params = dict(request.query_params)
            call = Call(venue=self.venue, params=params, path=request.path_params, body=body, faults=rules)
            return answered(call, handler, route.endpoint, self.past) if rules else handler(call)
        except VenueRefusal as no:
            return Reply(status=no.refusal.status, body=error(no.refusal))
        except BadRequest as bad:
            return _bad(bad)

    def _obey(self, rules: Sequence[Fired]) -> None:
        for rule in (fired.rule for fired in rules):
            if rule.action == "halt" and rule.symbol is not None:
                self.venue.halt(rule.symbol, rule.flag)

    def _rules(self, request: Request, body: bytes, route: Way) -> list[Fired]:
        if not self.faults.any:
            return []
        text = f"{request.url.path} {' '.join(request.query_params.values())} {body.decode(errors='replace')}"
        order = self.venue.order(request.path_params.get("order_id", "")) if "order_id" in request.path_params else None
        if order is not None:  # its path names an id alone; a rule may be about its symbol or its own name
            text += f" {order.symbol} {order.client_order_id}"
        happening = Happening(
            now=self.venue.now,
            method=request.method,
            path=request.url.path,
            endpoint=route.endpoint,
            text=text,
            body=body,
        )
        return self.faults.request(happening)


def _bad(bad: BadRequest) -> Reply:
    return Reply(status=bad.status, body=error(Refusal(status=bad.status, code=bad.code, message=bad.message)))


async def _body(request: Request) -> bytes:
    """Raises BadRequest for one that is larger than any request of this API."""
    if request.method in ("GET", "DELETE"):
        return b""
    parts, size = list[bytes](), 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise BadRequest("request body is too large", status=400, code=40010000)
        parts.append(part)
    return b"".join(parts)


def _denied(keys: Keys, headers: Headers) -> Reply | None:
    key, secret = headers.get("apca-api-key-id", ""), headers.get("apca-api-secret-key", "")
    if not key and "authorization" in headers:
        key, secret = _basic(headers["authorization"])
    if not key or not secret:
        return _UNAUTHORIZED
    return None if keys.admits(key, secret) else _FORBIDDEN


def _basic(header: str) -> tuple[str, str]:
    scheme, _, rest = header.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        key, _, secret = base64.b64decode(rest).decode().partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return key, secret
