"""The trade-update stream, as a hint only: each update says "look now", and REST tells what happened.

The library's own stream pulls in pandas, half the memory of a daemon that should idle below 150 MB; the protocol is
four messages. It runs on a thread of its own and reconnects with jittered backoff; a message that can't be read is
reported and dropped.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from loguru import logger
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import ClientConnection, connect

from settings.schema import LOOPBACK
from trader.adapters.alpaca.clients import AlpacaEndpoints
from trader.adapters.alpaca.convert import Malformed, mapping, shown, text
from trader.bounded.answers import Unreadable, read_json

_OPEN_S, _ANSWER_S = 10.0, 10.0
_PING_EVERY_S, _PONG_WITHIN_S = 10.0, 20.0  # a dead peer is noticed within 30 s
_MOST_BYTES = 256 << 10  # of one message, unpacked; an order of three legs takes 5 KB
_FIRST_BACKOFF_S, _LONGEST_BACKOFF_S = 1.0, 30.0
_SKEW = timedelta(seconds=2)  # between the venue's clock and ours
_STOP_S = 7.0


class _Refused(Exception):
    """The venue did not take the keys, or did not answer in its own words."""


class TradeUpdates:
    """Calls `on_event` (from the stream's thread) on each update and each (re)connection.

    on_problem  told (kind, detail) of a message that could not be read
    """

    def __init__(
        self,
        endpoints: AlpacaEndpoints,
        on_event: Callable[[], None],
        on_problem: Callable[[str, str], None] | None = None,
    ) -> None:
        self._endpoints = endpoints
        self._on_event = on_event
        self._on_problem = on_problem or (lambda kind, detail: None)
        self._stopping = threading.Event()
        self._socket: ClientConnection | None = None
        self._listening = False
        self._thread: threading.Thread | None = None
        self._owed_since: float | None = None
        self._connected_at: datetime | None = None
        self.last_event_at: datetime | None = None

    @property
    def connected(self) -> bool:
        return self._listening and self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Check the keys over REST first. With wrong keys this tries for ever."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="trade-updates", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Harmless before start, and twice."""
        if self._thread is None:
            return
        self._stopping.set()
        socket = self._socket
        if socket is not None:
            socket.close()
        self._thread.join(_STOP_S)
        self._thread = None

    def filled_elsewhere(self, at: datetime) -> None:
        """Call it when REST shows a fill of that moment. The stream owes an update, unless one came shortly before."""
        connected_at = self._connected_at
        update_came = self.last_event_at is not None and self.last_event_at >= at - _SKEW
        if (
            self._owed_since is None
            and self.connected
            and connected_at is not None
            and at > connected_at
            and not update_came
        ):
            self._owed_since = time.monotonic()

    def mute(self, after: timedelta) -> bool:
        """Whether it is connected and has owed an update for longer than `after`. Any message ends that."""
        owed = self._owed_since
        return self.connected and owed is not None and time.monotonic() - owed > after.total_seconds()

    def reconnect(self) -> None:
        """Drop the connection and make another. For one that sends nothing."""
        socket = self._socket
        self._listening = False
        if socket is not None:
            threading.Thread(target=socket.close, name="trade-updates-end", daemon=True).start()  # may take seconds

    # ---- the stream's thread ----

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            heard = self.last_event_at
            try:
                self._listen()
            except (OSError, WebSocketException, _Refused) as error:
                logger.debug("trade updates: {}", error)
            except Exception:  # noqa: BLE001 - whatever an update brought about: the next ones are to be heard
                logger.exception("the trade updates broke off")
            self._listening = False
            failures = 1 if self.last_event_at is not heard else failures + 1
            self._stopping.wait(_backoff_s(failures))

    def _listen(self) -> None:
        """One connection, until it ends. Raises OSError, WebSocketException, _Refused."""
        loopback = urlsplit(self._endpoints.trade_stream_url).hostname in LOOPBACK
        with connect(
            self._endpoints.trade_stream_url,
            open_timeout=_OPEN_S,
            close_timeout=2,
            ping_interval=_PING_EVERY_S,
            ping_timeout=_PONG_WITHIN_S,
            max_size=_MOST_BYTES,
            proxy=None if loopback else True,
        ) as socket:
            self._socket = socket
            if self._stopping.is_set():
                return
            self._sign_in(socket)
            self._listening, self._owed_since, self._connected_at = True, None, datetime.now(UTC)
            self._on_event()  # what happened while nobody listened
            try:
                for frame in socket:
                    self._received(frame)
            except ConnectionClosed as error:
                logger.debug("trade updates: {}", error)
            finally:
                self._socket = None

    def _sign_in(self, socket: ClientConnection) -> None:
        keys = {"key_id": self._endpoints.key, "secret_key": self._endpoints.secret}
        socket.send(json.dumps({"action": "authenticate", "data": keys}))
        try:
            answer = mapping(mapping(_parsed(socket.recv(timeout=_ANSWER_S)), "answer").get("data"), "data")
        except (Malformed, TimeoutError) as error:
            raise _Refused(f"no sensible answer to the keys: {error}") from None
        if answer.get("status") != "authorized":
            raise _Refused("the keys were refused")
        socket.send(json.dumps({"action": "listen", "data": {"streams": ["trade_updates"]}}))

    def _received(self, frame: str | bytes) -> None:
        self._owed_since = None
        try:
            message = _parsed(frame)
            if isinstance(message, dict) and message.get("stream") not in (None, "trade_updates"):
                return  # the answer to `listen`, and what else the venue may say
            self.last_event_at = datetime.now(UTC)
            text(mapping(mapping(message, "message").get("data"), "data"), "event")
        except Malformed as error:
            self._on_problem("trade update", f"{error} in {shown(frame)}")
        self._on_event()


def _parsed(frame: str | bytes) -> object:
    """Raises Malformed."""
    try:
        parsed: object = read_json(frame)
    except Unreadable as error:
        raise Malformed(str(error)) from None
    return parsed


def _backoff_s(failures: int) -> float:
    longest: float = min(_LONGEST_BACKOFF_S, _FIRST_BACKOFF_S * 2.0 ** min(failures - 1, 10))
    return random.uniform(0.5, 1.0) * longest
