"""alpaca-py's REST clients, made fit for a daemon: timeouts, bounded retries for reads, one attempt for orders.

The library's `RESTClient` is used as it is; its `TradingClient` and data clients add only models on top, which we
parse ourselves (`convert`), and pull in pandas, 70 MB of a process that should idle below 150. Per thread there are
four clients (the library's sessions are not promised thread-safe): reads, orders, crypto data, stock data.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import requests
from alpaca.common.exceptions import APIError
from alpaca.common.rest import RESTClient
from urllib3.exceptions import NewConnectionError

from trader.adapters.alpaca.direct import NotConnected, session_for
from trader.errors import CredentialsRefused, Rejected, TraderError, Transient, Unknown
from trader.trading.ports import Clock

RETRIED = frozenset({408, 429, 500, 502, 503, 504})
BUSINESS_REFUSAL = 40310000  # a 403 of this code is about the order, not about the keys
_ATTEMPTS = 4
_LONGEST_BACKOFF_S = 5.0


class NeverSent(Transient):
    """The request did not reach the venue's books. It may be sent again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlpacaEndpoints:
    """Where the venue is and who we are. URLs without /v2; the stream's is complete (`wss://host/stream`)."""

    key: str = field(repr=False)
    secret: str = field(repr=False)
    trading_url: str
    data_url: str
    trade_stream_url: str
    feed: str = "iex"
    paper: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An error answer, parsed as far as it can be. `code` is 0 where the body carries none."""

    status: int
    code: int
    message: str
    is_json: bool

    @classmethod
    def of(cls, error: APIError) -> Failure:
        status = error.status_code or 0
        text = str(error)
        try:
            body = json.loads(text)
        except ValueError:
            return cls(status=status, code=0, message=_first_line(text), is_json=not text)
        if not isinstance(body, dict):
            return cls(status=status, code=0, message=_first_line(text), is_json=True)
        code = body.get("code")
        message = str(body.get("message") or text)
        known = code if isinstance(code, int) and not isinstance(code, bool) else 0
        return cls(status=status, code=known, message=_first_line(message), is_json=True)

    @property
    def refuses_keys(self) -> bool:
        """An HTML 403 is some proxy's page, and a data plan's limits are no matter of keys."""
        if self.status == 401:
            return True
        about_plan = "subscription" in self.message.lower()
        return self.status == 403 and self.is_json and self.code != BUSINESS_REFUSAL and not about_plan


class RequestLimiter:
    """Token bucket over the market's clock: at most `per_minute` requests in a minute of its time.

    Empty, it waits with `clock.wait_until`, so that a simulation at full speed never sleeps on the wall.
    """

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self._rate = per_minute / 60
        self._capacity = float(per_minute)
        self._tokens = float(per_minute)
        self._clock = clock
        self._filled_at = clock.now()
        self._lock = threading.Lock()

    def __call__(self) -> None:
        woken = False
        while (wait := self._take()) is not None:
            due = self._clock.now() + wait
            woken = self._clock.wait_until(due) < due or woken
        if woken:  # the wake-up was meant for the scheduler: hand it on
            self._clock.wake()

    def _take(self) -> timedelta | None:
        """Takes a token and returns None, or returns the seconds until there may be one."""
        with self._lock:
            now = self._clock.now()
            passed = (now - self._filled_at).total_seconds()
            if passed > 0:
                self._tokens = min(self._capacity, self._tokens + passed * self._rate)
                self._filled_at = now
            if self._tokens >= 1:
                self._tokens -= 1
                return None
            return timedelta(seconds=max((1 - self._tokens) / self._rate, 0.001))


def no_pace() -> None:
    """For callers that need no limit."""


@dataclass(frozen=True, slots=True)
class _PerThread:
    reads: RESTClient
    orders: RESTClient
    crypto: RESTClient
    stocks: RESTClient


class AlpacaClients(threading.local):
    """The clients of the calling thread, made on its first use. One instance serves all threads."""

    def __init__(
        self, endpoints: AlpacaEndpoints, pace: Callable[[], None], deadline_s: float, first_backoff_s: float
    ) -> None:
        self.endpoints = endpoints
        self._pace = pace
        self._deadline_s = deadline_s
        self._first_backoff_s = first_backoff_s
        trading, data = endpoints.trading_url, endpoints.data_url
        self._mine = _PerThread(
            reads=_client(endpoints, trading, "v2", deadline_s),
            orders=_client(endpoints, trading, "v2", deadline_s),
            crypto=_client(endpoints, data, "v1beta3", deadline_s),
            stocks=_client(endpoints, data, "v2", deadline_s),
        )

    def trading(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        """GET under the trading API, retried. Raises Transient, Rejected, CredentialsRefused."""
        return self._retried("GET", self._mine.reads, path, params, self._pace)

    def crypto_data(self, path: str, params: Mapping[str, str]) -> Any:
        return self._retried("GET", self._mine.crypto, path, params, no_pace)

    def stock_data(self, path: str, params: Mapping[str, str]) -> Any:
        return self._retried("GET", self._mine.stocks, path, params, no_pace)

    def delete(self, path: str) -> None:
        """DELETE, retried: cancelling twice is harmless. Raises Transient, Rejected, CredentialsRefused."""
        self._retried("DELETE", self._mine.reads, path, None, self._pace)

    def post(self, path: str, body: Mapping[str, object]) -> Any:
        """One attempt, never a second. Raises NeverSent, Unknown, Rejected, CredentialsRefused."""
        self._pace()
        try:
            return self._mine.orders.post(path, dict(body))
        except APIError as error:
            raise _order_error(Failure.of(error)) from error
        except requests.RequestException as error:
            what = f"POST {path}: {_describe(error)}"
            if _never_left(error):
                raise NeverSent(what) from error
            raise Unknown(what) from error

    def close(self) -> None:
        """Closes the calling thread's connections."""
        mine = self._mine
        for client in (mine.reads, mine.orders, mine.crypto, mine.stocks):
            client._session.close()

    def _retried(
        self, method: str, client: RESTClient, path: str, params: Mapping[str, str] | None, pace: Callable[[], None]
    ) -> Any:
        give_up_at = time.monotonic() + self._deadline_s
        for attempt in range(_ATTEMPTS):
            pace()
            try:
                return client._request(method, path, dict(params) if params else None)
            except APIError as error:
                failure = Failure.of(error)
                retry_after = _retry_after(error)
                trouble = _read_error(f"{method} {path}", failure)
                if not isinstance(trouble, Transient):
                    raise trouble from error
            except requests.RequestException as error:
                retry_after = 0.0
                trouble = Transient(f"{method} {path}: {_describe(error)}")
            pause = max(retry_after, self._first_backoff_s * 2**attempt) * random.uniform(0.75, 1.25)
            pause = min(pause, _LONGEST_BACKOFF_S)
            if attempt == _ATTEMPTS - 1 or time.monotonic() + pause > give_up_at:
                raise trouble
            time.sleep(pause)
        raise AssertionError("the loop above returns or raises")


def build_clients(
    endpoints: AlpacaEndpoints,
    *,
    pace: Callable[[], None] = no_pace,
    deadline_s: float = 30.0,
    first_backoff_s: float = 0.25,
) -> AlpacaClients:
    """`pace` is called before each trading request; `deadline_s` bounds a read with its retries, on the wall.
    A failed read is tried again after `first_backoff_s`, then twice that, and so on.
    """
    return AlpacaClients(endpoints, pace, deadline_s, first_backoff_s)


def _client(endpoints: AlpacaEndpoints, url: str, version: str, deadline_s: float) -> RESTClient:
    client = RESTClient(
        base_url=url.rstrip("/"),
        api_key=endpoints.key or "none",
        secret_key=endpoints.secret or "none",
        api_version=version,
        raw_data=True,
    )
    if not endpoints.key:  # the library insists on some; crypto data needs none, and wrong ones would be refused
        client._get_auth_headers = dict  # type: ignore[method-assign]
    client._retry = 0  # the library would retry a POST too, and sleep 3 s; reads are retried here
    client._session.close()
    client._session = session_for(url, deadline_s)  # type: ignore[assignment]
    return client


def _read_error(what: str, failure: Failure) -> TraderError:
    told = f"{what}: {failure.status} {failure.message}".strip()
    if failure.refuses_keys:
        return CredentialsRefused(f"the venue refuses these keys ({told}): check ALPACA_API_KEY_ID and its secret")
    if failure.status in RETRIED or failure.status >= 500 or not failure.is_json:
        return Transient(told)
    return Rejected(told, code=failure.code, status=failure.status)


def _order_error(failure: Failure) -> TraderError:
    told = f"{failure.status} {failure.message}".strip()
    if failure.refuses_keys:
        return CredentialsRefused(f"the venue refuses these keys ({told}): check ALPACA_API_KEY_ID and its secret")
    if failure.status == 429:
        return NeverSent(told)  # turned away at the door
    if failure.status in RETRIED or failure.status >= 500 or not failure.is_json:
        return Unknown(told)
    return Rejected(failure.message, code=failure.code, status=failure.status)


def _never_left(error: requests.RequestException) -> bool:
    if isinstance(error, (NotConnected, requests.ConnectTimeout)):
        return True
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(error, requests.ConnectionError) and isinstance(reason, NewConnectionError)


def _retry_after(error: APIError) -> float:
    response = error.response
    text = response.headers.get("Retry-After", "") if response is not None else ""
    return float(text) if text.isdigit() else 0.0


def _describe(error: requests.RequestException) -> str:
    """Its kind and first line. Never the request: its headers carry the keys. If it names a cause, only that: the cause
    stands behind a long URL and would be cut off."""
    told, _, cause = str(error).partition("(Caused by ")
    return f"{type(error).__name__} {_first_line(cause.removesuffix(')') or told)}".strip()


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0][:200]
