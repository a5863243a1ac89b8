"""The trade-update stream: a websocket that says what the venue did, in binary frames of JSON.

The client sends {"action": "authenticate", "data": {"key_id", "secret_key"}}, then {"action": "listen", "data":
{"streams": ["trade_updates"]}}. Faults of kind `stream` act here and nowhere else: the ledger is never touched.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from trader.exchange.api.faults import Happening, Rule
from trader.exchange.api.wire import trade_update
from trader.exchange.engine.events import OrderEvent

_BACKLOG = 10_000  # messages; a client that is further behind is cut off
_REORDER_WAIT_S = 1.0  # a held-back event is sent after that even where no other came
GARBAGE = b'\x00\xff{"stream": "trade_updates", "data": {'


@dataclass(eq=False, slots=True)
class _Connection:
    socket: WebSocket
    queue: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(_BACKLOG))
    listening: bool = False
    muted: bool = False

    def push(self, message: bytes | None) -> None:
        """None closes the connection."""
        if self.muted and message is not None:
            return
        try:
            self.queue.put_nowait(message)
        except asyncio.QueueFull:
            self.muted = True
            self.queue.get_nowait()
            self.queue.put_nowait(None)


class StreamHub:
    """All connections. `publish` is called from the event loop's own thread."""

    def __init__(self, *, authorized: Callable[[str, str], bool], rules: Callable[[Happening], Iterable[Rule]]) -> None:
        self._authorized = authorized
        self._rules = rules
        self._connections: set[_Connection] = set()
        self._held_back: list[bytes] = []

    @property
    def listeners(self) -> int:
        return sum(c.listening for c in self._connections)

    def publish(self, events: Sequence[OrderEvent]) -> None:
        for event in events:
            text = json.dumps({"stream": "trade_updates", "data": trade_update(event)}, separators=(",", ":"))
            self._spoil(event, text.encode())

    def _spoil(self, event: OrderEvent, message: bytes) -> None:
        happening = Happening(now=event.at, path="/stream", text=event.order.symbol.text, event=event.event)
        kinds = {rule.kind for rule in self._rules(happening)}
        if "mute" in kinds:
            for connection in self._connections:
                connection.muted = True
        if "disconnect" in kinds:
            self._broadcast(None)
        if kinds & {"drop", "disconnect", "mute"}:
            return
        if "garbage" in kinds:
            self._broadcast(GARBAGE)
        if "reorder" in kinds:
            self._held_back.append(message)
            asyncio.get_running_loop().call_later(_REORDER_WAIT_S, self._let_go)
            return
        self._broadcast(message)
        if "duplicate" in kinds:
            self._broadcast(message)
        self._let_go()

    def _let_go(self) -> None:
        held, self._held_back = self._held_back, []
        for message in held:
            self._broadcast(message)

    def _broadcast(self, message: bytes | None) -> None:
        for connection in self._connections:
            if connection.listening:
                connection.push(message)

    async def serve(self, socket: WebSocket) -> None:
        """One connection, until either side ends it."""
        await socket.accept()
        connection = _Connection(socket)
        self._connections.add(connection)
        sender = asyncio.create_task(self._send(connection))
        try:
            await self._receive(connection)
        except WebSocketDisconnect:
            pass
        finally:
            self._connections.discard(connection)
            sender.cancel()

    def close(self) -> None:
        for connection in self._connections:
            connection.push(None)

    async def _send(self, connection: _Connection) -> None:
        while (message := await connection.queue.get()) is not None:
            try:
                await connection.socket.send_bytes(message)
            except (WebSocketDisconnect, RuntimeError):  # it went away while we were sending
                return
        try:
            await connection.socket.close(1012)
        except (WebSocketDisconnect, RuntimeError):  # it was closed from the other side already
            return

    async def _receive(self, connection: _Connection) -> None:
        authorized = False
        while True:
            action, data = _request(await _text(connection.socket))
            if action in ("authenticate", "auth"):
                key, secret = data.get("key_id", data.get("key")), data.get("secret_key", data.get("secret"))
                authorized = self._authorized(str(key or ""), str(secret or ""))
                status = "authorized" if authorized else "unauthorized"
                connection.push(_message("authorization", {"status": status, "action": "authenticate"}))
            elif action == "listen" and authorized:
                streams = data.get("streams")
                names = streams if isinstance(streams, list) else []
                connection.listening = "trade_updates" in names
                connection.push(_message("listening", {"streams": ["trade_updates"] if connection.listening else []}))
            elif action == "listen":
                connection.push(_message("authorization", {"status": "unauthorized", "action": "listen"}))
            else:
                connection.push(_message("error", {"error": "actions are authenticate and listen"}))


async def _text(socket: WebSocket) -> str | bytes:
    message = await socket.receive()
    if message["type"] != "websocket.receive":
        raise WebSocketDisconnect(message.get("code", 1000))
    return message.get("text") or message.get("bytes") or b""


def _request(raw: str | bytes) -> tuple[str, dict[str, Any]]:
    """(action, data) of what the client sent; an empty action where it is not intelligible."""
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return "", {}
    if not isinstance(found, dict):
        return "", {}
    data = found.get("data", found)
    return str(found.get("action", "")), data if isinstance(data, dict) else {}


def _message(stream: str, data: dict[str, Any]) -> bytes:
    return json.dumps({"stream": stream, "data": data}).encode()
