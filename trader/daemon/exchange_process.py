"""The daemon's own simulated exchange: a child process that prints where it is and dies with its parent."""

from __future__ import annotations

import json
import selectors
import subprocess
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from loguru import logger

from settings import children
from trader.errors import ConfigurationError, VenueUnreachable

READY_S = 60.0
LINES_KEPT = 20
_KEY_NAMES = ("EXCHANGE_KEY", "EXCHANGE_SECRET")
_PREFIX = "trader exchange: "


@dataclass(slots=True)
class ExchangeChild:
    """Started on entering the block, ended on leaving it. `urls` holds what it printed when it was ready."""

    arguments: Sequence[str]
    keys: tuple[str, str] | None = None  # the only ones that it takes; None: any
    urls: Mapping[str, Any] | None = None
    _process: subprocess.Popen[str] | None = None
    _complaints: deque[str] = field(default_factory=lambda: deque(maxlen=LINES_KEPT))
    _reader: threading.Thread | None = None

    def __enter__(self) -> ExchangeChild:
        command = children.python("trader.exchange", "--port", "0", "--with-parent", *self.arguments)
        # a session of its own: Ctrl-C at the terminal is ours to pass on, when everything is tidy
        # keys are not for the command line: everybody on the machine can read that
        process = children.start(
            command,
            more=dict(zip(_KEY_NAMES, self.keys or (), strict=False)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            own_session=True,
        )
        self._process = process
        # what it has to say goes to the log, read all the time: a full pipe would stop it
        self._reader = threading.Thread(target=self._listen, args=(process,), name="exchange-log", daemon=True)
        self._reader.start()
        line = self._first_line(process)
        if not line:
            self._fail(process)
        self.urls = json.loads(line)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._close(process)

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            text = line.strip().removeprefix(_PREFIX)
            if text:
                self._complaints.append(text)
                if self.urls is not None:  # before that the last line becomes the error's own
                    logger.warning("exchange: {}", text)

    def _first_line(self, process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            return process.stdout.readline() if selector.select(READY_S) else ""

    def _fail(self, process: subprocess.Popen[str]) -> None:
        code = process.poll()
        process.kill()
        code = process.wait() if code is None else code
        self._close(process)
        why = self._complaints[-1] if self._complaints else f"it ended with exit code {code}"
        if code == ConfigurationError.exit_code:
            raise ConfigurationError(f"the simulated exchange: {why}")
        raise VenueUnreachable(f"the simulated exchange did not start: {why}")

    def _close(self, process: subprocess.Popen[str]) -> None:
        if self._reader is not None:
            self._reader.join(timeout=2)
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
