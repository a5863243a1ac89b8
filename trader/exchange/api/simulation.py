"""What Alpaca does not have: the simulation's clock, its ledger for tests, and its fault script. Under /sim.

GET  /sim/clock    {"now", "speed" (a number or "max"), "start", "end", "timeframe", "symbols", "fingerprint"}
POST /sim/advance  {"until": time} -> {"now", "reason": time | fill | end, "speed"}. At a finite speed the market
                   runs by itself: the answer comes at `until`, at the next fill, or after 2 s of wall time ("wait").
GET  /sim/ledger   the truth: counts, cash, holdings, executions, orders by client id
GET, POST, DELETE /sim/faults   how often each rule has fired; replace the script; end all of it
PUT, DELETE /sim/faults/NAME    set or replace the one rule of that name; end it
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from trader.exchange.api import fault_script, parse, wire
from trader.exchange.api.connection_faults import answer
from trader.exchange.api.faults import FaultError, Faults
from trader.exchange.api.parse import MAX_BODY_BYTES, BadRequest
from trader.exchange.api.server import Exchange
from trader.exchange.engine.events import Refusal
from trader.exchange.ledger.queries import OrderQuery
from trader.exchange.venue import STEPS_AT_ONCE

LONGEST_WAIT_S = 2.0
Endpoint = Callable[[Request], Awaitable[Response]]


class SimApi:
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._turn = asyncio.Lock()  # two advances at once would race for the same fills

    def routes(self) -> list[tuple[str, str, Endpoint]]:
        found: list[tuple[str, str, Callable[[Request], Awaitable[Any]]]] = [
            ("GET", "/sim/clock", self.clock),
            ("POST", "/sim/advance", self.advance),
            ("GET", "/sim/ledger", self.ledger),
            ("GET", "/sim/faults", self.faults),
            ("POST", "/sim/faults", self.set_faults),
            ("DELETE", "/sim/faults", self.clear_faults),
            ("PUT", "/sim/faults/{name}", self.put_fault),
            ("DELETE", "/sim/faults/{name}", self.drop_fault),
        ]
        return [(method, path, _json(handler, self._exchange)) for method, path, handler in found]

    async def clock(self, _: Request) -> Any:
        self._exchange.pace.catch_up()
        venue, market = self._exchange.venue, self._exchange.venue.market
        return {
            "now": wire.stamp(venue.now),
            "speed": self._speed(),
            "start": wire.stamp(market.start),
            "end": wire.maybe_stamp(market.end),
            "timeframe": str(market.timeframe),
            "symbols": [symbol.text for symbol in market.quoted],
            "fingerprint": market.fingerprint,
        }

    async def advance(self, request: Request) -> Any:
        raw = (await _object(request)).get("until")
        if not isinstance(raw, str):
            raise BadRequest("until must be an RFC 3339 time")
        until = parse.to_moment(raw, "until")
        now, reason = await (self._play(until) if self._exchange.pace.speed is None else self._wait(until))
        return {"now": wire.stamp(now), "reason": reason, "speed": self._speed()}

    def _speed(self) -> float | str:
        speed = self._exchange.pace.speed
        return "max" if speed is None else speed

    async def _play(self, until: datetime) -> tuple[datetime, str]:
        async with self._turn:
            while (done := self._exchange.venue.advance_some(until, STEPS_AT_ONCE)) is None:
                await asyncio.sleep(0)
        return done.now, done.reason

    async def _wait(self, until: datetime) -> tuple[datetime, str]:
        venue, pace = self._exchange.venue, self._exchange.pace
        fill_event, deadline = self._exchange.filled, time.monotonic() + LONGEST_WAIT_S
        while True:
            caught_up = pace.catch_up()
            if fill_event.is_set():
                return venue.now, "fill"
            if venue.now >= until:
                return venue.now, "time"
            if caught_up and venue.market.end is not None and venue.now >= venue.market.end:
                return venue.now, "end"
            wait_s = min(deadline - time.monotonic(), pace.wall_seconds_until(until))
            if time.monotonic() >= deadline:
                return venue.now, "wait"
            try:
                await asyncio.wait_for(fill_event.wait(), max(wait_s, 0.0005) if caught_up else 0.0)
            except TimeoutError:
                continue

    async def ledger(self, _: Request) -> Any:
        venue = self._exchange.venue
        orders = venue.ledger.orders(OrderQuery(newest_first=False, limit=1_000_000))
        return {
            "now": wire.stamp(venue.now),
            "counts": venue.ledger.counts(),
            "cash": wire.number(venue.books.cash),
            "cash_movements": wire.number(venue.ledger.cash_moved()),
            "equity": wire.number(venue.figures().equity),
            "holdings": {symbol.text: wire.number(h.qty) for symbol, h in venue.books.holdings.items()},
            "executions": [_execution(row.execution) for row in venue.ledger.executions()],
            "orders": {order.client_order_id: wire.order(order) for order in orders},
            "stream_listeners": self._exchange.hub.listeners,
        }

    async def faults(self, _: Request) -> Any:
        faults = self._exchange.faults
        by_name = {rule.name: count for rule, count in zip(faults.rules, faults.fired, strict=True) if rule.name}
        return {"fired": faults.fired, "by_name": by_name}

    async def set_faults(self, request: Request) -> Any:
        body = await _object(request)
        try:
            faults = fault_script.faults_of(body)
        except FaultError as problem:
            raise BadRequest(str(problem)) from problem
        self._exchange.use_faults(faults)
        return {"rules": len(faults.rules)}

    async def clear_faults(self, _: Request) -> Any:
        self._exchange.use_faults(Faults())
        return {"rules": 0}

    async def put_fault(self, request: Request) -> Any:
        name, body, faults = request.path_params["name"], await _object(request), self._exchange.faults
        try:
            rule = fault_script.read_rule({**body, "name": name}, f"rule {name}")
        except FaultError as problem:
            raise BadRequest(str(problem)) from problem
        faults.put(rule)
        self._exchange.use_faults(faults)
        return {"rules": len(faults.rules)}

    async def drop_fault(self, request: Request) -> Any:
        name, faults = request.path_params["name"], self._exchange.faults
        if not faults.drop(name):
            raise BadRequest(f"no rule is named {name[:64]!a}", status=404, code=40410000)
        self._exchange.use_faults(faults)
        return {"rules": len(faults.rules)}


def _execution(execution: Any) -> dict[str, str]:
    return {
        "id": execution.id,
        "order_id": execution.order_id,
        "symbol": execution.symbol.text,
        "side": execution.side.value,
        "qty": wire.number(execution.qty),
        "price": wire.number(execution.price),
        "at": wire.stamp(execution.at),
        "fee": wire.number(execution.fee),
        "fee_currency": execution.fee_currency,
    }


async def _object(request: Request) -> dict[str, Any]:
    parts = bytearray()
    async for part in request.stream():
        parts += part
        if len(parts) > MAX_BODY_BYTES:
            raise BadRequest("request body is too large", status=400, code=40010000)
    return parse.json_object(bytes(parts))


def _json(handler: Callable[[Request], Awaitable[Any]], exchange: Exchange) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        denied = exchange.keeps_out(request.headers)
        if denied is not None:
            return answer(denied, {})
        status = 200
        try:
            body = await handler(request)
        except BadRequest as bad:
            status = bad.status
            body = wire.error(Refusal(status=status, code=bad.code, message=bad.message))
        return Response(json.dumps(body, separators=(",", ":")), status_code=status, media_type="application/json")

    return endpoint
