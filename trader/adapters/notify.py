"""Alerts that leave the process: posted to a webhook from a thread of their own, so that trading never waits on them.

The address is a secret (it usually carries a token): it stays out of every log line and error text here.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError

from trader.errors import ConfigurationError
from trader.printable import printable


@dataclass(frozen=True, slots=True, kw_only=True)
class _Alert:
    kind: str
    severity: str
    detail: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What became of the alerts so far."""

    delivered: int
    failed: int  # attempted as often as allowed, and given up
    dropped: int  # pushed out of a full queue by newer ones

    @property
    def lost(self) -> int:
        return self.failed + self.dropped


class AlertSink:
    """Posts alerts as JSON, newest kept. `post` returns at once, whatever state the receiver is in.

    With no URL it takes alerts and does nothing with them. The body is JSON with `text` (what chat services show),
    `severity`, `kind`, `at`, `source` and `lost_before`, the alerts lost until then.
    """

    def __init__(
        self,
        url: str | None,
        *,
        source: str = "trader",
        capacity: int = 100,
        timeout_s: float = 5.0,
        attempts: int = 3,
        pause_s: float = 2.0,
        on_failure: Callable[[str], None] = lambda _reason: None,
    ) -> None:
        """
        source      who speaks, e.g. `trader@paper`
        capacity    alerts that may wait; one more pushes out the oldest
        timeout_s   for each socket operation of one attempt
        pause_s     between two attempts, doubled each time
        on_failure  told, in the sink's thread, why an alert was given up; never with the URL in it
        """
        if url is not None and not url.startswith(("https://", "http://")):
            raise ConfigurationError("ALERT_WEBHOOK_URL must begin with https:// or http://")
        self._url = url
        self._opener = urllib.request.build_opener(_NoRedirect)
        self._source = source
        self._timeout_s = timeout_s
        self._attempts = attempts
        self._pause_s = pause_s
        self._on_failure = on_failure
        self._waiting: deque[_Alert] = deque()
        self._capacity = capacity
        self._changed = threading.Condition()
        self._ended = threading.Event()
        self._busy = False
        self._delivered = self._failed = self._dropped = 0
        self._thread: threading.Thread | None = None

    def post(self, kind: str, severity: str, detail: str, at: datetime) -> None:
        """Hand one over, with the arguments of the journal's `alert`. Never blocks, never raises.

        The first one starts the thread.
        """
        if self._url is None or self._ended.is_set():
            return
        with self._changed:
            if len(self._waiting) >= self._capacity:
                self._waiting.popleft()
                self._dropped += 1
            self._waiting.append(_Alert(kind=kind, severity=severity, detail=detail, at=at))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    @property
    def delivery(self) -> Delivery:
        with self._changed:
            return Delivery(delivered=self._delivered, failed=self._failed, dropped=self._dropped)

    def flush(self, timeout_s: float) -> bool:
        """Wait until nothing is under way or waiting, at most `timeout_s`. Answers whether that was reached."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._busy, timeout_s)

    def close(self, timeout_s: float = 3.0) -> None:
        """Try to send what waits, then stop. The thread can't keep the process alive."""
        self.flush(timeout_s)
        self._ended.set()
        with self._changed:
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waiting) or self._ended.is_set())
                if self._ended.is_set():
                    return
                alert = self._waiting.popleft()
                lost = self._failed + self._dropped
                self._busy = True
            trouble = self._deliver(_body(alert, self._source, lost))
            with self._changed:
                self._busy = False
                self._delivered += not trouble
                self._failed += bool(trouble)
                self._changed.notify_all()
            if trouble:
                self._on_failure(trouble)

    def _deliver(self, body: bytes) -> str:
        """Try as often as allowed. Answers the last trouble, or nothing where it arrived."""
        trouble = ""
        for attempt in range(self._attempts):
            if attempt and self._ended.wait(self._pause_s * 2 ** (attempt - 1)):
                break
            trouble = self._attempt(body)
            if not trouble:
                break
        return trouble

    def _attempt(self, body: bytes) -> str:
        request = urllib.request.Request(
            self._url or "", data=body, headers={"Content-Type": "application/json", "User-Agent": "trader"}
        )
        began = time.monotonic()
        try:
            with self._opener.open(request, timeout=self._timeout_s):
                return ""
        except HTTPError as error:
            error.close()
            return f"the alert webhook answered {error.code}"
        # ValueError: an address that http.client can't use; its text would quote the secret, so only the kind is told
        except (OSError, HTTPException, ValueError) as error:
            return f"the alert webhook failed after {time.monotonic() - began:.1f} s: {type(error).__name__}"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an error, as any answer but a 2xx is: where it leads to, nothing was delivered."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _body(alert: _Alert, source: str, lost: int) -> bytes:
    message = {
        "text": f"[{source}] {alert.severity.upper()} {alert.kind}: {printable(alert.detail)}",
        "severity": alert.severity,
        "kind": alert.kind,
        "at": alert.at.isoformat(),
        "source": source,
        "lost_before": lost,
    }
    return json.dumps(message).encode()
