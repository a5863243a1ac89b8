"""What stands between the venue and the wire: keys, rate limits, faults, errors. One process, one thread, one port.

The venue is only ever called between two awaits, so that a request sees it whole.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import json
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from trader.exchange.api.call import Call, Handler, Reply
from trader.exchange.api.faults import AFTER, BEFORE, Faults, Happening, Rule
from trader.exchange.api.pacing import Pace, RateLimiter
from trader.exchange.api.parse import MAX_BODY_BYTES, BadRequest
from trader.exchange.api.stream import StreamHub
from trader.exchange.api.thinning import FaultsByClock
from trader.exchange.api.wire import error
from trader.exchange.engine.answers import VenueRefusal
from trader.exchange.engine.events import OrderEvent, Refusal
from trader.exchange.venue import Venue

_TRANSPORT = "trader.transport"
_HTML = (
    "<html>\r\n<head><title>{0} Bad Gateway</title></head>\r\n<body><center><h1>{0}</h1></center></body>\r\n</html>\r\n"
)
_LINGER_NOT = struct.pack("ii", 1, 0)
_UNAUTHORIZED = Reply(status=401, body={"code": 40110000, "message": "request is not authorized"})
_FORBIDDEN = Reply(status=403, body={"message": "forbidden."})
_TOO_MANY = Reply(status=429, body={"code": 42910000, "message": "rate limit exceeded"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The pair that is asked for; None accepts any."""

    key: str | None = None
    secret: str | None = None

    def admits(self, key: str, secret: str) -> bool:
        return _same(self.key, key) and _same(self.secret, secret)


def _same(wanted: str | None, given: str) -> bool:
    return bool(given) if wanted is None else hmac.compare_digest(wanted.encode(), given.encode())


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
        self.scope[_TRANSPORT] = self.transport  # type: ignore[literal-required]


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
        self.use_faults(faults)
        venue.listen(self._happened)

    def use_faults(self, faults: Faults) -> None:
        self.faults = faults
        by_clock = FaultsByClock(faults)
        self.venue.thin, self.venue.halts = by_clock.thin, by_clock.halted

    def _happened(self, events: Sequence[OrderEvent]) -> None:
        self.hub.publish(events)
        if any(event.execution is not None for event in events):
            self.filled.set()
            self.filled = asyncio.Event()

    async def run_clock(self) -> None:
        """At a finite speed: plays the market as its time comes. Ends when cancelled."""
        while self.pace.speed is not None:
            pause = 0.0
            if self.pace.catch_up():
                following = self.venue.market.next_time(self.venue.now)
                pause = 1.0 if following is None else min(1.0, self.pace.wall_seconds_until(following))
            await asyncio.sleep(pause)

    # ---- one request ----

    async def handle(self, request: Request, handler: Handler, *, data: bool, open_to_all: bool) -> Response:
        self.pace.catch_up()  # a market too fast to play is told as far as it has been played
        try:
            body = await _body(request)
        except BadRequest as bad:
            return answer(_bad(bad), {})
        rules = self._rules(request, body)
        for rule in rules:
            early = await _before(request, rule)
            if early is not None:
                return early
        limiter = self._data_limit if data else self._trading_limit
        reply = self._reply(request, handler, body, rules, limiter, open_to_all=open_to_all)
        for rule in rules:
            late = await _after(request, rule)
            if late is not None:
                return late
        return answer(reply, limiter.headers())

    def _reply(
        self,
        request: Request,
        handler: Handler,
        body: bytes,
        rules: Sequence[Rule],
        limiter: RateLimiter,
        *,
        open_to_all: bool,
    ) -> Reply:
        denied = None if open_to_all else _denied(self.keys, request.headers)
        if denied is not None:
            return denied
        if not limiter.take(self.venue.now):
            return _TOO_MANY
        try:
            self._obey(rules)
            params = dict(request.query_params)
            call = Call(venue=self.venue, params=params, path=request.path_params, body=body, faults=rules)
            return handler(call)
        except VenueRefusal as no:
            return Reply(status=no.refusal.status, body=error(no.refusal))
        except BadRequest as bad:
            return _bad(bad)

    def _obey(self, rules: Sequence[Rule]) -> None:
        for rule in rules:
            if rule.action == "halt" and rule.symbol is not None:
                self.venue.halt(rule.symbol, rule.flag)

    def _rules(self, request: Request, body: bytes) -> list[Rule]:
        if not self.faults.rules:
            return []
        text = f"{request.url.path} {' '.join(request.query_params.values())} {body.decode(errors='replace')}"
        happening = Happening(now=self.venue.now, method=request.method, path=request.url.path, text=text)
        return self.faults.request(happening)


def answer(reply: Reply, headers: Mapping[str, str]) -> Response:
    """As JSON; with no body where there is none."""
    if reply.body is None:
        return Response(status_code=reply.status, headers=headers)
    content = json.dumps(reply.body, separators=(",", ":"))
    return Response(content, status_code=reply.status, media_type="application/json", headers=headers)


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


# ---- faults of the connection ----


async def _before(request: Request, rule: Rule) -> Response | None:
    """An answer that comes instead of the venue's, the request not having been looked at."""
    if rule.action == "delay_s":
        await asyncio.sleep(rule.amount)
    if rule.action in BEFORE:
        return await _hang_up(request, rule)
    if rule.action in ("status", "html") and not rule.after:
        return _page(rule)
    return None


async def _after(request: Request, rule: Rule) -> Response | None:
    """An answer that comes instead of the venue's, although the request was carried out."""
    if rule.action in AFTER:
        return await _hang_up(request, rule)
    return _page(rule) if rule.action in ("status", "html") and rule.after else None


async def _hang_up(request: Request, rule: Rule) -> Response:
    if rule.action.startswith("timeout"):
        await asyncio.sleep(rule.amount)
    transport = request.scope.get(_TRANSPORT)
    if transport is not None:
        raw = transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)  # a reset, not an orderly end
        transport.abort()
    return Response(status_code=503)  # nobody hears it


def _page(rule: Rule) -> Response:
    if rule.action == "html":
        return Response(_HTML.format(rule.status), status_code=rule.status, media_type="text/html")
    if rule.status == 429:
        return answer(_TOO_MANY, {})
    code = rule.status * 100_000 + 10_000
    return answer(Reply(status=rule.status, body={"code": code, "message": "simulated server error"}), {})
