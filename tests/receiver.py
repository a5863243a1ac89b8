"""A webhook on this machine: what a person would have been told, and when by the machine's clock."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.waiting import eventually


@dataclass(frozen=True, slots=True)
class Post:
    """One alert. `at`: seconds of time.monotonic, when it had come whole."""

    body: dict[str, Any]
    at: float

    @property
    def kind(self) -> str:
        return str(self.body["kind"])

    @property
    def severity(self) -> str:
        return str(self.body["severity"])

    @property
    def text(self) -> str:
        return str(self.body["text"])


@dataclass
class Receiver:
    """`posts`: those that were answered with 200; `followed`: GETs, as a redirect of a POST is followed."""

    url: str = ""
    posts: list[Post] = field(default_factory=list)
    followed: int = 0

    def find(self, kind: str, severity: str, *, after: float = 0.0, says: str = "") -> Post | None:
        fit = (each for each in list(self.posts) if (each.kind, each.severity) == (kind, severity))
        return next((each for each in fit if each.at > after and says in each.text), None)

    def wait(self, kind: str, severity: str, *, after: float, within_s: float, says: str = "") -> Post:
        """The first one of that kind that came later than `after`."""
        eventually(
            lambda: self.find(kind, severity, after=after, says=says),
            lambda: f"{kind} ({severity}) {says!r}; there were {[each.text for each in self.posts]}",
            within_s=within_s,
        )
        found = self.find(kind, severity, after=after, says=says)
        assert found is not None
        return found


@contextmanager
def receiving(answers: list[int] | None = None) -> Iterator[Receiver]:
    """`answers`: the status codes to give, in turn; after them 200."""
    found, codes = Receiver(), [] if answers is None else answers

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status = codes.pop(0) if codes else 200
            if status == 200:
                found.posts.append(Post(body, time.monotonic()))
            self._answer(status)

        def do_GET(self) -> None:
            found.followed += 1
            self._answer(200)

        def _answer(self, status: int) -> None:
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", f"{found.url}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """The test looks at `posts`."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}/alerts"
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
