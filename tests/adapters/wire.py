"""A venue made of raw sockets: it answers what a test says, byte for byte, and remembers what it was asked."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[[socket.socket, Asked], None]


@dataclass(slots=True)
class Wire:
    """Each request takes the next answer; the last one repeats."""

    url: str
    asked: list[Asked] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)

    def next_answer(self) -> Answer:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def reply(status: int, body: object, headers: dict[str, str] | None = None) -> Answer:
    """JSON, or a text as it is."""
    data = (body if isinstance(body, str) else json.dumps(body)).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(data)}", *(f"{k}: {v}" for k, v in (headers or {}).items())]
    return lambda connection, asked: connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + data)


def raw(head: str, body: bytes, *, status: int = 200, close: bool = False) -> Answer:
    """Bytes as they are, under a head as it is."""

    def answer(connection: socket.socket, asked: Asked) -> None:
        connection.sendall(f"HTTP/1.1 {status} X\r\n{head}\r\n\r\n".encode() + body)
        if close:
            connection.shutdown(socket.SHUT_RDWR)

    return answer


def reset(connection: socket.socket, asked: Asked) -> None:
    """The request was read, then the connection broke."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    socket.close(connection.detach())  # the stream over it must not keep it open


def trickle(connection: socket.socket, asked: Asked) -> None:
    """A byte now and then: every socket timeout is content."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    with contextlib.suppress(OSError):
        for _ in range(600):
            connection.sendall(b" ")
            time.sleep(0.02)


@contextlib.contextmanager
def wire(*answers: Answer) -> Iterator[Wire]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        venue = Wire(f"http://127.0.0.1:{listener.getsockname()[1]}", answers=list(answers))
        threading.Thread(target=_serve, args=(listener, venue), daemon=True).start()
        yield venue


def _serve(listener: socket.socket, venue: Wire) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=_talk, args=(connection, venue), daemon=True).start()


def _talk(connection: socket.socket, venue: Wire) -> None:
    with contextlib.suppress(OSError, ValueError), connection, connection.makefile("rb") as stream:
        while line := stream.readline():
            method, path, _ = line.decode().split()
            headers = {}
            while (header := stream.readline().decode().strip()) != "":
                name, _, value = header.partition(": ")
                headers[name.lower()] = value
            asked = Asked(method, path, headers, stream.read(int(headers.get("content-length", "0"))))
            venue.asked.append(asked)
            venue.next_answer()(connection, asked)
