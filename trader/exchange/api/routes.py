"""Which path is answered by what: the ASGI application around an Exchange."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from trader.exchange.api import data as api_data
from trader.exchange.api import trading as api_trading
from trader.exchange.api.call import Handler, Reply
from trader.exchange.api.connection_faults import answer
from trader.exchange.api.door import turned_away
from trader.exchange.api.endpoints import endpoint_of
from trader.exchange.api.server import Exchange, Way
from trader.exchange.api.simulation import Endpoint, SimApi

_NO_PATH = Reply(status=404, body={"code": 40410000, "message": "endpoint not found"})


class Front:
    """The ASGI application: known paths are looked up, the rest goes through the router, which tries all of them."""

    def __init__(
        self, endpoints: Mapping[tuple[str, str], Endpoint], rest: Starlette, on_lost: Callable[[str], None]
    ) -> None:
        self._endpoints, self._rest, self._on_lost = endpoints, rest, on_lost

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if why := turned_away(scope):
            await _turn_away(why, scope, receive, send)
            return
        known = self._endpoints.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        try:
            if known is None:
                await self._rest(scope, receive, send)
            else:
                await (await known(Request(scope, receive)))(scope, receive, send)
        except ClientDisconnect:
            return  # nobody is left to be answered
        except sqlite3.Error as error:  # memory is ahead of what is kept: no answer from here on would be true
            self._on_lost(str(error))
            await Response(status_code=500)(scope, receive, send)


async def _turn_away(why: str, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": why})  # before it is accepted: a 403
        return
    await answer(Reply(status=403, body={"message": f"forbidden: {why}"}), {})(scope, receive, send)


def application(exchange: Exchange) -> Front:
    """Its clock is a task that the server starts and ends."""
    sim = SimApi(exchange)
    routes: list[Route | WebSocketRoute] = [
        Route(path, _endpoint(exchange, handler, Way(endpoint_of(method, path))), methods=[method])
        for method, path, handler in api_trading.ROUTES
    ]
    routes += [
        Route(path, _endpoint(exchange, handler, _data_way(method, path)), methods=[method])
        for method, path, handler in api_data.ROUTES
    ]
    routes += [Route(path, endpoint, methods=[method]) for method, path, endpoint in sim.routes()]
    routes.append(WebSocketRoute("/stream", exchange.hub.serve))
    routes.append(WebSocketRoute("/{rest:path}", _no_such_stream))
    plain = {
        (method, route.path): route.endpoint
        for route in routes
        if isinstance(route, Route) and "{" not in route.path
        for method in route.methods or ()
        if method != "HEAD"
    }
    rest = Starlette(routes=routes, exception_handlers={HTTPException: _http_error})
    return Front(plain, rest, exchange.on_lost)


def _data_way(method: str, path: str) -> Way:
    return Way(endpoint_of(method, path), data=True, open_to_all="crypto" in path)


def _endpoint(exchange: Exchange, handler: Handler, route: Way) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        return await exchange.handle(request, handler, route)

    return endpoint


async def _no_such_stream(socket: WebSocket) -> None:
    """Market-data streams: said clearly, then closed."""
    await socket.accept()
    text = "market-data streams are not part of this simulated exchange; trade updates are at /stream"
    await socket.send_text(json.dumps([{"T": "error", "code": 422, "msg": text}]))
    await socket.close(1008, text)


async def _http_error(_: Request, problem: Exception) -> Response:
    status = problem.status_code if isinstance(problem, HTTPException) else 500
    if status == 405:
        return answer(Reply(status=405, body={"code": 40510000, "message": "method not allowed"}), {})
    return answer(_NO_PATH if status == 404 else Reply(status=status, body={"message": str(problem)}), {})
