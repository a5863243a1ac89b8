"""The trade-update stream, as a hint only: each update says "look now", and REST tells what happened.

alpaca-py's stream reconnects by itself with jittered backoff. It runs on a thread of its own; a message that can't
be read is reported and dropped.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from alpaca.trading.stream import TradingStream

from trader.adapters.alpaca.clients import AlpacaEndpoints
from trader.adapters.alpaca.convert import Malformed, mapping, shown, text

_PINGS = {"ping_interval": 10, "ping_timeout": 20, "max_queue": 1024}  # a dead peer is noticed within 30 s
_STOP_S = 7.0  # the library looks at its stop queue every 5 s


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
        self._on_event = on_event
        self._on_problem = on_problem or (lambda kind, detail: None)
        self._stream = _Stream(endpoints, self._connected)
        self._stream.subscribe_trade_updates(self._received)
        self._thread: threading.Thread | None = None
        self._owed_since: float | None = None
        self.last_event_at: datetime | None = None

    @property
    def connected(self) -> bool:
        return self._stream._running and self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Validate the keys over REST first: with wrong ones the library retries for ever and says nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._stream.run, name="trade-updates", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Takes up to some seconds; harmless before start, and twice."""
        if self._thread is None:
            return
        self._stream.stop_soon()
        self._thread.join(_STOP_S)
        self._thread = None

    def filled_elsewhere(self) -> None:
        """REST showed a fill: the stream owes an update, unless one came just now."""
        if self._owed_since is None and self.connected:
            self._owed_since = time.monotonic()

    def mute(self, after: timedelta) -> bool:
        """Connected, yet silent: it has owed an update for longer than `after`. Any message settles the debt."""
        owed = self._owed_since
        return self.connected and owed is not None and time.monotonic() - owed > after.total_seconds()

    def _connected(self) -> None:
        self._owed_since = None
        self._on_event()

    async def _received(self, message: object) -> None:
        self._owed_since = None
        self.last_event_at = datetime.now(UTC)
        try:
            text(mapping(mapping(message, "message").get("data"), "data"), "event")
        except Malformed as error:
            self._on_problem("trade update", f"{error} in {shown(message)}")
        self._on_event()


class _Stream(TradingStream):
    """The library's stream, with word of each connection and a stop that works at any time."""

    def __init__(self, endpoints: AlpacaEndpoints, on_connect: Callable[[], None]) -> None:
        super().__init__(
            endpoints.key,
            endpoints.secret,
            paper=endpoints.paper,
            raw_data=True,
            url_override=endpoints.trade_stream_url,
            websocket_params=dict(_PINGS),
        )
        self._on_connect = on_connect
        self._stopping = False

    def stop_soon(self) -> None:
        """`stop` itself raises before the loop runs, and waits on it."""
        self._stopping = True
        loop: Any = self._loop  # None until the thread runs it
        if loop is not None and loop.is_running():
            loop.call_soon_threadsafe(lambda: loop.create_task(self._stop_now()))

    async def _start_ws(self) -> None:
        if self._stopping:
            await self.stop_ws()
            return
        await super()._start_ws()  # type: ignore[no-untyped-call]
        self._on_connect()

    async def _stop_now(self) -> None:
        await self.stop_ws()
        await self.close()

    async def _consume(self) -> None:
        socket: Any = self._ws  # None where it was stopped while connecting
        if socket is not None:
            await super()._consume()  # type: ignore[no-untyped-call]

    async def _dispatch(self, msg: Any) -> None:
        if isinstance(msg, dict):
            await super()._dispatch(msg)
            return
        handler: Any = self._trade_updates_handler
        await handler(msg)
