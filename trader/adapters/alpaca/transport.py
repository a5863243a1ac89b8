"""One HTTP exchange that always ends: socket timeouts when none are given, and a wall-clock limit for the body."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError as Urllib3Error

TIMEOUT_S = (3.05, 10.0)  # connect, and each read from the socket
_KEEP_ALIVE = (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


class Redirected(requests.RequestException):
    """A 3xx: an API does not redirect; following one would carry the keys elsewhere."""


class DeadlineAdapter(HTTPAdapter):
    """Reads the whole body itself: a server that trickles bytes satisfies every socket timeout and never ends."""

    def __init__(self, deadline_s: float) -> None:
        self._deadline_s = deadline_s
        self._timeout_s = (min(TIMEOUT_S[0], deadline_s), min(TIMEOUT_S[1], deadline_s))
        super().__init__(pool_connections=2, pool_maxsize=2)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any) -> None:
        options = [*HTTPConnection.default_socket_options, _KEEP_ALIVE]
        super().init_poolmanager(connections, maxsize, block, socket_options=options, **pool_kwargs)

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
        response = super().send(
            request, stream=True, timeout=timeout or self._timeout_s, verify=verify, cert=cert, proxies=proxies
        )
        response._content = self._body(response, started)
        response._content_consumed = True  # type: ignore[attr-defined]
        if 300 <= response.status_code < 400:
            raise Redirected(f"the venue redirects with {response.status_code}", response=response)
        return response

    def _body(self, response: requests.Response, started: float) -> bytes:
        parts: list[bytes] = []
        try:
            while part := response.raw.read1(decode_content=True):
                parts.append(part)
                if time.monotonic() - started > self._deadline_s:
                    raise requests.ReadTimeout(f"no complete answer within {self._deadline_s:g} s", response=response)
        except Urllib3Error as error:
            raise requests.ConnectionError(f"the answer broke off: {error}", response=response) from error
        finally:
            if not response.raw.closed and response.raw.length_remaining not in (0, None):
                response.raw.close()
            response.raw.release_conn()
        return b"".join(parts)
