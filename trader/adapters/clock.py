"""The two clocks: the machine's, and the simulated exchange's."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import urllib3

from trader.errors import CredentialsRefused, VenueUnreachable

_LONGEST_NAP_S = 1.0  # a suspended machine's monotonic clock stands still: look at the real one again
_TIMEOUT = urllib3.Timeout(connect=3.05, read=60.0)
_PATIENCE_S = 10.0  # how long the exchange may be away, being restarted
_RETRY_S = 0.2


class RealClock:
    """Wall time, for paper and live."""

    ended = False  # real time does not

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._woken = False
        self._offset = time.time() - time.monotonic()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def step(self) -> float:
        before, self._offset = self._offset, time.time() - time.monotonic()
        return self._offset - before

    def wait_until(self, moment: datetime) -> datetime:
        # a clock that is set back meanwhile must not make a second's wait one of an hour
        end = time.monotonic() + (moment - self.now()).total_seconds()
        with self._changed:
            while not self._woken:
                left = min((moment - self.now()).total_seconds(), end - time.monotonic())
                if left <= 0:
                    break
                self._changed.wait(min(left, _LONGEST_NAP_S))
            self._woken = False
        return self.now()

    def wake(self) -> None:
        with self._changed:
            self._woken = True
            self._changed.notify_all()


class SimClock:
    """The exchange's time. Waiting asks it to advance; it answers at the moment, at a fill, or at the market's end.

    At speed max time stands still between advances; at a finite speed it runs on by the wall, `speed` times as fast.
    Raises VenueUnreachable (69) when the exchange stays away, CredentialsRefused (77) where it wants other keys.
    """

    def __init__(self, trading_url: str, *, key: str = "", secret: str = "") -> None:
        self._url = trading_url.rstrip("/") + "/sim"
        # not requests: it costs a millisecond a call more, and a simulated year asks some 20,000 times
        headers = {"APCA-API-KEY-ID": key, "APCA-API-SECRET-KEY": secret, "Content-Type": "application/json"}
        self._pool = urllib3.PoolManager(headers=headers, retries=False, timeout=_TIMEOUT)
        self._lock = threading.Lock()
        self._asking = threading.Lock()  # one request at a time on the session
        self._woken = threading.Event()
        self._ended = False
        body = self._ask("GET", "/clock", None)
        with self._understood(body):
            self._speed = None if body["speed"] == "max" else float(body["speed"])
            self._now = self._began = datetime.fromisoformat(body["now"]).astimezone(UTC)
        self._heard_at = time.monotonic()

    @property
    def ended(self) -> bool:
        """Whether the market has no more data. Then its time stands still."""
        return self._ended

    @property
    def speed(self) -> float | None:
        """Market seconds in a wall second; None is max."""
        return self._speed

    def now(self) -> datetime:
        with self._lock:
            return self._time()

    def monotonic(self) -> float:
        return (self.now() - self._began).total_seconds()

    def wait_until(self, moment: datetime) -> datetime:
        while not self._woken.is_set() and self.now() < moment and not self._ended:
            if self._advance(moment) in ("fill", "end"):
                break
        self._woken.clear()
        return self.now()

    def wake(self) -> None:
        """Takes effect after the exchange's next answer, which never takes long."""
        self._woken.set()

    def close(self) -> None:
        self._pool.clear()

    def _time(self) -> datetime:
        if self._speed is None or self._ended:
            return self._now
        return self._now + timedelta(seconds=(time.monotonic() - self._heard_at) * self._speed)

    def _advance(self, moment: datetime) -> str:
        body = self._ask("POST", "/advance", {"until": moment.astimezone(UTC).isoformat()})
        with self._understood(body):
            now, reason = datetime.fromisoformat(body["now"]).astimezone(UTC), str(body["reason"])
        with self._lock:
            self._now = max(now, self._time())  # told time never runs back
            self._heard_at = time.monotonic()
            self._ended = reason == "end"
        return reason

    def _ask(self, method: str, path: str, body: dict[str, str] | None) -> Any:
        """Tries again for a while. To ask twice for the same moment does no harm: it advances once."""
        give_up_at = time.monotonic() + _PATIENCE_S
        while True:
            try:
                with self._asking:
                    sent = None if body is None else json.dumps(body)
                    answer = self._pool.request(method, self._url + path, body=sent)
                if answer.status == 200:
                    return answer.json()
                if answer.status in (401, 403):
                    raise CredentialsRefused(f"the simulated exchange at {self._url} refuses these keys")
                trouble = f"{answer.status} {answer.data[:80]!r}"
            except (urllib3.exceptions.HTTPError, ValueError) as error:
                trouble = type(error).__name__
            if time.monotonic() > give_up_at:
                raise VenueUnreachable(f"no time from {self._url}: {trouble}. Is the simulated exchange running?")
            time.sleep(_RETRY_S)

    @contextmanager
    def _understood(self, body: object) -> Iterator[None]:
        try:
            yield
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise VenueUnreachable(f"{self._url} answers {str(body)[:80]!r}: not a simulated exchange?") from error
