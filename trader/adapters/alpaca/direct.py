"""The session under alpaca-py's client, on http.client: a third of what a call costs with requests.

It leaves out what an API of one host never needs: cookies, redirects, netrc, hooks, a pool. Where the environment
names a proxy or certificates of its own, `session_for` gives requests' session instead.
"""

from __future__ import annotations

import json as json_text
import select
import socket
import ssl
import time
import weakref
from collections.abc import Mapping
from functools import cache
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

import requests
from requests.structures import CaseInsensitiveDict
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from settings.schema import LOOPBACK
from trader.bounded.adapter import TIMEOUT_S, DeadlineAdapter, Redirected, most_bytes, parsed
from trader.bounded.answers import Unreadable, gathered, timely, unpacked

_CHUNK = 1 << 16


class NotConnected(requests.ConnectionError):
    """No connection could be made: nothing was sent."""


class Answer(requests.Response):
    """A whole answer, made without the parts of requests' own that only its session fills."""

    def __init__(self, url: str, response: HTTPResponse, body: bytes) -> None:
        self.url, self.status_code, self.reason = url, response.status, response.reason
        self.headers = CaseInsensitiveDict(response.headers.items())
        self.encoding = "utf-8"
        self.history = []
        self.raw = None
        self._content, self._content_consumed = body, True

    def json(self, **_: Any) -> Any:
        """Raises requests.exceptions.InvalidJSONError."""
        return parsed(self.content)


class DirectSession:
    """One kept connection to one host. Not for two threads at once.

    deadline_s  wall seconds for one whole answer
    """

    def __init__(self, url: str, deadline_s: float) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise requests.exceptions.InvalidURL(f"{url!r} is no http:// or https:// address")
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._deadline_s = deadline_s
        self._connect_s, self._read_s = (min(limit, deadline_s) for limit in TIMEOUT_S)
        if parts.scheme == "https":
            self._connection: HTTPConnection = HTTPSConnection(parts.hostname, parts.port, context=_certificates())
        else:
            self._connection = HTTPConnection(parts.hostname, parts.port)
        self._connection.timeout = self._connect_s
        self._connection.response_class = timely(deadline_s)
        weakref.finalize(self, self._connection.close)  # that of a thread which ended is closed by nobody

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None = None,
        json: Any = None,
        allow_redirects: bool = False,
    ) -> Answer:
        """As requests' own, of which alpaca-py uses no more. Raises requests.RequestException."""
        target = url.removeprefix(self._origin) + (f"?{urlencode(params)}" if params else "")
        sent_headers = {**headers, "Accept-Encoding": "gzip"}
        body = None
        if json is not None:
            body = json_text.dumps(json, allow_nan=False).encode()
            sent_headers["Content-Type"] = "application/json"
        start = time.monotonic()
        self._connect()
        try:
            self._connection.request(method, target, body, sent_headers)
            response = self._connection.getresponse()
            content = self._body(response, start)
        except TimeoutError as error:
            self._connection.close()
            raise requests.ReadTimeout(f"no answer within {self._read_s:g} s") from error
        except Unreadable as error:
            self._connection.close()
            raise requests.ConnectionError(f"the answer can't be read: {error}") from error
        except (OSError, HTTPException) as error:
            self._connection.close()
            if isinstance(error, requests.RequestException):
                raise
            raise requests.ConnectionError(f"the answer broke off: {type(error).__name__} {error}") from error
        answer = Answer(url, response, content)
        if 300 <= response.status < 400:
            raise Redirected(f"the venue redirects with {response.status}", response=answer)
        return answer

    def close(self) -> None:
        self._connection.close()

    def _connect(self) -> None:
        """Leaves a connection that the venue has closed: what is sent on it would be lost."""
        connection = self._connection
        if connection.sock is not None:
            if not _readable(connection.sock):
                connection.sock.settimeout(self._read_s)  # the last answer's deadline has shortened it
                return
            connection.close()
        try:
            connection.connect()
        except TimeoutError as error:
            connection.close()
            raise requests.ConnectTimeout(f"no connection within {self._connect_s:g} s") from error
        except OSError as error:
            connection.close()
            raise NotConnected(f"no connection: {type(error).__name__} {error}") from error
        connection.sock.settimeout(self._read_s)
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def _body(self, response: HTTPResponse, started: float) -> bytes:
        most = most_bytes(response.status)
        try:
            body = gathered(lambda: response.read1(_CHUNK), most, started + self._deadline_s)
        except TimeoutError as error:
            raise requests.ReadTimeout(f"no complete answer within {self._deadline_s:g} s") from error
        if response.length:
            raise requests.ConnectionError(f"the answer broke off {response.length} bytes before its end")
        response.close()
        return unpacked(body, response.headers.get("Content-Encoding", ""), most)


def session_for(url: str, deadline_s: float) -> DirectSession | requests.Session:
    """For the API at `url`. The loopback is never reached through a proxy."""
    if urlsplit(url).hostname in LOOPBACK:
        return DirectSession(url, deadline_s)
    session = requests.Session()
    found = session.merge_environment_settings(url, {}, None, None, None)
    if not found["proxies"] and found["verify"] in (None, True):
        session.close()
        return DirectSession(url, deadline_s)
    adapter = DeadlineAdapter(deadline_s)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _readable(connected: socket.socket) -> bool:
    """Whether the connection has ended: before anything was asked, nothing else can be there to read."""
    poll = select.poll()
    poll.register(connected, select.POLLIN)
    return bool(poll.poll(0))


@cache
def _certificates() -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=DEFAULT_CA_BUNDLE_PATH)
    context.set_alpn_protocols(["http/1.1"])
    return context
