"""alpaca-py's REST clients, made fit for a daemon: timeouts, bounded retries for reads, one attempt for orders.

The library's `RESTClient` is used as it is; its `TradingClient` and data clients add only models on top, which we
parse ourselves (`convert`), and pull in pandas, 70 MB of a process that should idle below 150. Per thread there are
four clients (the library's sessions are not promised thread-safe): reads, orders, crypto data, stock data.
"""

from __future__ import annotations

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

from trader.adapters.alpaca.answers import Failure, Keys, Meaning, first_line, retry_after_s
from trader.adapters.alpaca.direct import NotConnected, session_for
from trader.errors import KeysDoubted, Rejected, Transient, Unknown
from trader.trading.ports import Clock

_ATTEMPTS = 4
_LONGEST_BACKOFF_S = 5.0
_ROUNDING = 1e-6  # of seconds counted in floating point


class NeverSent(Transient):
    """The request did not reach the venue's books. It may be sent again."""


class _KeysRefused(Transient):
    """So said this one answer."""


class AskedToWait:
    """Until when the venue wants no more requests of this account: its Retry-After, for all threads."""

    def __init__(self) -> None:
        self._until = 0.0

    def wait(self, seconds: float) -> None:
        self._until = max(self._until, time.monotonic() + seconds)

    def left_s(self) -> float:
        return self._until - time.monotonic()


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


class RequestLimiter:
    """Token bucket over the market's own seconds: at most `per_minute` requests in a minute of them.

    Empty, it waits with `clock.wait_until`, so that a simulation at full speed never sleeps on the wall. It counts by
    `clock.monotonic()`: a wall clock that is set back by an hour must not stop all requests for that long.
    """

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self._rate = per_minute / 60
        self._capacity = float(per_minute)
        self._tokens = float(per_minute)
        self._clock = clock
        self._filled_at = clock.monotonic()
        self._lock = threading.Lock()

    def __call__(self) -> None:
        woken = False
        while (wait := self._take()) is not None:
            end = self._clock.monotonic() + wait.total_seconds()
            self._clock.wait_until(self._clock.now() + wait)
            woken = self._clock.monotonic() < end or woken
        if woken:  # the wake-up was meant for the scheduler: hand it on
            self._clock.wake()

    def _take(self) -> timedelta | None:
        """Takes a token and returns None, or returns the seconds until there may be one."""
        with self._lock:
            now = self._clock.monotonic()
            passed, self._filled_at = now - self._filled_at, now
            self._tokens = min(self._capacity, self._tokens + max(passed, 0.0) * self._rate)
            if self._tokens >= 1 - _ROUNDING:
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
        self,
        endpoints: AlpacaEndpoints,
        pace: Callable[[], None],
        deadline_s: float,
        first_backoff_s: float,
        keys: Keys,
        held: AskedToWait,
    ) -> None:
        self.endpoints = endpoints
        self.keys = keys  # shared by all threads, as is `held`
        self._held = held
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

    def trading(self, path: str, params: Mapping[str, str] | None = None, *, deadline_s: float | None = None) -> Any:
        """GET under the trading API, retried. Raises Transient, Rejected, CredentialsRefused.

        deadline_s  shorter than that of all, for what others must not wait for long
        """
        return self._retried("GET", self._mine.reads, path, params, self._pace, deadline_s)

    def crypto_data(self, path: str, params: Mapping[str, str]) -> Any:
        return self._retried("GET", self._mine.crypto, path, params, None)

    def stock_data(self, path: str, params: Mapping[str, str]) -> Any:
        return self._retried("GET", self._mine.stocks, path, params, None)

    def delete(self, path: str) -> None:
        """DELETE, retried: cancelling twice is harmless. Raises Transient, Rejected, CredentialsRefused."""
        self._retried("DELETE", self._mine.reads, path, None, self._pace)

    def post(self, path: str, body: Mapping[str, object]) -> Any:
        """One attempt, never a second. Raises NeverSent, Unknown, Rejected, CredentialsRefused."""
        if self._held.left_s() > 0:
            raise NeverSent(f"POST {path}: the venue has asked us to wait")
        self._pace()
        try:
            answer = self._mine.orders.post(path, dict(body))
        except APIError as error:
            failure = _failure(error)
            text = f"{failure.status} {failure.message}".strip()
            if failure.meaning is Meaning.KEYS:
                trouble = self.keys.refused(text)
                # not carried out, in any case: the same one may go again
                raise (NeverSent(text) if isinstance(trouble, KeysDoubted) else trouble) from error
            if failure.meaning is Meaning.LATER:
                self._held.wait(_retry_after(error))
                raise NeverSent(text) from error
            if failure.meaning is Meaning.TROUBLE:
                raise Unknown(text) from error
            self.keys.taken()
            raise Rejected(failure.message, code=failure.code, status=failure.status) from error
        except requests.RequestException as error:
            problem = f"POST {path}: {_describe(error)}"
            if _never_left(error):
                raise NeverSent(problem) from error
            raise Unknown(problem) from error
        self.keys.taken()
        return answer

    def close(self) -> None:
        """Closes the calling thread's connections."""
        mine = self._mine
        for client in (mine.reads, mine.orders, mine.crypto, mine.stocks):
            client._session.close()

    def _retried(
        self,
        method: str,
        client: RESTClient,
        path: str,
        params: Mapping[str, str] | None,
        pace: Callable[[], None] | None,
        deadline_s: float | None = None,
    ) -> Any:
        """`pace` None: market data, which is counted apart, and may be refused to good keys."""
        give_up_at = time.monotonic() + (self._deadline_s if deadline_s is None else min(deadline_s, self._deadline_s))
        for attempt in range(_ATTEMPTS):
            if pace is not None:
                self._let_it_rest(f"{method} {path}", give_up_at)
                pace()
            try:
                answer = client._request(method, path, dict(params) if params else None)
            except APIError as error:
                trouble, wait_s = self._read_trouble(f"{method} {path}", error, is_data=pace is None)
            except requests.RequestException as error:
                trouble, wait_s = Transient(f"{method} {path}: {_describe(error)}"), 0.0
            else:
                if pace is not None:
                    self.keys.taken()
                return answer
            pause = min(self._first_backoff_s * 2**attempt * random.uniform(0.75, 1.25), _LONGEST_BACKOFF_S)
            pause = max(pause, wait_s)
            if attempt == _ATTEMPTS - 1 or time.monotonic() + pause > give_up_at:
                break
            time.sleep(pause)
        if isinstance(trouble, _KeysRefused):
            raise self.keys.refused(str(trouble), counts=pace is not None)
        raise trouble

    def _let_it_rest(self, what: str, give_up_at: float) -> None:
        left_s = self._held.left_s()
        if left_s > 0:
            if time.monotonic() + left_s > give_up_at:
                raise Transient(f"{what}: the venue has asked us to wait")
            time.sleep(left_s)

    def _read_trouble(self, what: str, error: APIError, *, is_data: bool) -> tuple[Transient, float]:
        """What may be asked again, and after how many seconds at least. Raises Rejected for what may not."""
        failure = _failure(error)
        text = f"{what}: {failure.status} {failure.message}".strip()
        if failure.meaning is Meaning.KEYS:
            return _KeysRefused(text), 0.0
        if failure.meaning is Meaning.LATER:
            wait_s = _retry_after(error)
            if not is_data:
                self._held.wait(wait_s)
            return Transient(text), wait_s
        if failure.meaning is Meaning.TROUBLE:
            return Transient(text), _retry_after(error)
        if not is_data:
            self.keys.taken()
        raise Rejected(text, code=failure.code, status=failure.status) from error


def build_clients(
    endpoints: AlpacaEndpoints,
    *,
    pace: Callable[[], None] = no_pace,
    deadline_s: float = 30.0,
    first_backoff_s: float = 0.25,
    keys_confirm_s: float = 0.0,
) -> AlpacaClients:
    """`pace` is called before each trading request; `deadline_s` bounds a read with its retries.
    A failed read is tried again after `first_backoff_s`, then twice that, and so on. Refused keys are given up after
    `keys_confirm_s` of nothing else.
    """
    return AlpacaClients(endpoints, pace, deadline_s, first_backoff_s, Keys(keys_confirm_s), AskedToWait())


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


def _failure(error: APIError) -> Failure:
    return Failure.of(error.status_code or 0, str(error))


def _never_left(error: requests.RequestException) -> bool:
    if isinstance(error, (NotConnected, requests.ConnectTimeout)):
        return True
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(error, requests.ConnectionError) and isinstance(reason, NewConnectionError)


def _retry_after(error: APIError) -> float:
    response = error.response
    return retry_after_s(response.headers.get("Retry-After", "")) if response is not None else 0.0


def _describe(error: requests.RequestException) -> str:
    """Its kind and first line. Never the request: its headers carry the keys. If it names a cause, only that: the cause
    stands behind a long URL and would be cut off."""
    told, _, cause = str(error).partition("(Caused by ")
    return f"{type(error).__name__} {first_line(cause.removesuffix(')') or told)}".strip()
