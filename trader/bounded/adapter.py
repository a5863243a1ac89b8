"""One HTTP exchange of requests that always ends: timeouts where none are given, a limit in seconds and in bytes."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError as Urllib3Error

from trader.bounded.answers import MOST_BYTES, MOST_ERROR_BYTES, Unreadable, gathered, read_json, timely, unpacked

TIMEOUT_S = (3.05, 10.0)  # connect, and each read from the socket
_KEEP_ALIVE = (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
_CHUNK = 1 << 16


class Redirected(requests.RequestException):
    """A 3xx: an API does not redirect; following one would carry the keys elsewhere."""


class DeadlineAdapter(HTTPAdapter):
    """Reads head and body itself: a server that trickles bytes satisfies every socket timeout and never ends."""

    def __init__(self, deadline_s: float) -> None:
        self._deadline_s = deadline_s
        self._timeout_s = (min(TIMEOUT_S[0], deadline_s), min(TIMEOUT_S[1], deadline_s))
        super().__init__(pool_connections=2, pool_maxsize=2)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any) -> None:
        options = [*HTTPConnection.default_socket_options, _KEEP_ALIVE]
        super().init_poolmanager(connections, maxsize, block, socket_options=options, **pool_kwargs)
        self._make_timely(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        is_new = proxy not in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **proxy_kwargs)
        if is_new:
            self._make_timely(manager)
        return manager

    def _make_timely(self, manager: PoolManager) -> None:
        response = timely(self._deadline_s)
        http = type("TimelyHTTP", (HTTPConnection,), {"response_class": response})
        https = type("TimelyHTTPS", (HTTPSConnection,), {"response_class": response})
        manager.pool_classes_by_scheme = {
            "http": type("TimelyHTTPPool", (HTTPConnectionPool,), {"ConnectionCls": http}),
            "https": type("TimelyHTTPSPool", (HTTPSConnectionPool,), {"ConnectionCls": https}),
        }

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        started = time.monotonic()
        request.headers["Accept-Encoding"] = "gzip"  # what `unpacked` can bound
        response = super().send(
            request, stream=True, timeout=timeout or self._timeout_s, verify=verify, cert=cert, proxies=proxies
        )
        response._content = self._body(response, started)
        response._content_consumed = True  # type: ignore[attr-defined]
        response.encoding = "utf-8"  # to guess it of megabytes takes minutes
        response.json = lambda **_: parsed(response.content)  # type: ignore[method-assign]
        if 300 <= response.status_code < 400:
            raise Redirected(f"the venue redirects with {response.status_code}", response=response)
        return response

    def _body(self, response: requests.Response, started: float) -> bytes:
        most = most_bytes(response.status_code)
        try:
            body = gathered(lambda: response.raw.read1(_CHUNK, decode_content=False), most, started + self._deadline_s)
            return unpacked(body, response.headers.get("Content-Encoding", ""), most)
        except TimeoutError:
            raise requests.ReadTimeout(f"no complete answer within {self._deadline_s:g} s", response=response) from None
        except Unreadable as error:
            response.raw.close()
            raise requests.ConnectionError(f"the answer can't be read: {error}", response=response) from error
        except Urllib3Error as error:
            raise requests.ConnectionError(f"the answer broke off: {error}", response=response) from error
        finally:
            if not response.raw.closed and response.raw.length_remaining not in (0, None):
                response.raw.close()
            response.raw.release_conn()


def most_bytes(status: int) -> int:
    return MOST_BYTES if status < 400 else MOST_ERROR_BYTES


def parsed(content: bytes) -> Any:
    """As requests' own `json`. Raises requests.exceptions.InvalidJSONError."""
    try:
        return read_json(content)
    except Unreadable as error:
        raise requests.exceptions.InvalidJSONError(str(error)) from error
