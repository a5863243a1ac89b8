"""Faults of the connection: an answer that comes late, or another one, or none."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from trader.exchange.api.call import Reply
from trader.exchange.api.faults import AFTER, BEFORE, Page, Rule

TRANSPORT = "trader.transport"  # where a request's scope has its connection
TOO_MANY = Reply(status=429, body={"code": 42910000, "message": "rate limit exceeded"})
_HTML = (
    "<html>\r\n<head><title>{0} Bad Gateway</title></head>\r\n<body><center><h1>{0}</h1></center></body>\r\n</html>\r\n"
)
_LINGER_NOT = struct.pack("ii", 1, 0)


def answer(reply: Reply, headers: Mapping[str, str]) -> Response:
    """Over HTTP, as JSON."""
    if reply.body is None:
        return Response(status_code=reply.status, headers=headers)
    content = json.dumps(reply.body, separators=(",", ":"))
    return Response(content, status_code=reply.status, media_type="application/json", headers=headers)


async def before(request: Request, rule: Rule) -> Response | None:
    """An answer that comes instead of the venue's, the request not having been looked at."""
    if rule.action == "delay_s":
        await asyncio.sleep(rule.amount)
    if rule.action in BEFORE:
        return await _hang_up(request, rule)
    return None if rule.page is None or rule.page.after else _page(rule.page)


async def after(request: Request, rule: Rule) -> Response | None:
    """An answer that comes instead of the venue's, although the request was carried out."""
    if rule.action in AFTER:
        return await _hang_up(request, rule)
    return _page(rule.page) if rule.page is not None and rule.page.after else None


async def _hang_up(request: Request, rule: Rule) -> Response:
    if rule.action.startswith("timeout"):
        await asyncio.sleep(rule.amount)
    transport = request.scope.get(TRANSPORT)
    if transport is not None:
        raw = transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)  # a reset, not an orderly end
        transport.abort()
    return Response(status_code=503)  # nobody hears it


def _page(page: Page) -> Response:
    headers = {} if page.retry_after_s is None else {"Retry-After": f"{page.retry_after_s:g}"}
    if page.html:
        content = _HTML.format(page.status)
        return Response(content, status_code=page.status, media_type="text/html", headers=headers)
    if isinstance(page.body, str):
        return Response(page.body, status_code=page.status, media_type="text/plain", headers=headers)
    if page.body is not None:
        return answer(Reply(status=page.status, body=page.body), headers)
    if page.status == 429:
        return answer(TOO_MANY, headers)
    code = page.status * 100_000 + 10_000
    body = {"code": code, "message": "simulated server error"}
    return answer(Reply(status=page.status, body=body), headers)
