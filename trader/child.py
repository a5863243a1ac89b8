"""The daemon's own simulated exchange: a child process that prints where it is and dies with its parent."""

from __future__ import annotations

import json
import selectors
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType

from trader.errors import ConfigurationError, VenueUnreachable

READY_S = 60.0


@dataclass(slots=True)
class ExchangeChild:
    """Started on entering the block, ended on leaving it. `urls` holds what it printed when it was ready."""

    arguments: Sequence[str]
    urls: Mapping[str, str] | None = None
    _process: subprocess.Popen[str] | None = None

    def __enter__(self) -> ExchangeChild:
        command = [sys.executable, "-m", "trader.exchange", "--port", "0", "--with-parent", *self.arguments]
        # stderr is inherited: what the exchange has to say reaches the same place as what we say
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        line = self._first_line(self._process)
        if not line:
            self._fail(self._process)
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
        if process.stdout:
            process.stdout.close()

    def _first_line(self, process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            return process.stdout.readline() if selector.select(READY_S) else ""

    def _fail(self, process: subprocess.Popen[str]) -> None:
        code = process.poll()
        process.kill()
        code = process.wait() if code is None else code
        if code == ConfigurationError.exit_code:
            raise ConfigurationError("the simulated exchange refused its options (its own line above says which)")
        raise VenueUnreachable(f"the simulated exchange did not start (exit code {code})")
