"""The daemon and its commands as a person starts them, in a folder of their own. Only the imports are saved."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.forking import Forked, shared_zygote
from tests.waiting import GENEROUS_S, eventually

COMMAND = (sys.executable, "-m", "trader")
OURS = ("ALPACA_", "RISK__", "SIM__", "STORE__", "TRADING_", "KRONOS_", "TOTO_", "FORECASTER", "STRATEGY", "SYMBOLS")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    code: int
    out: str
    err: str

    @property
    def data(self) -> object:
        return json.loads(self.out)


def environment(state: Path, **more: str) -> dict[str, str]:
    """Nothing of the settings of whoever runs the tests, nor the size of a terminal that is not the command's."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith((*OURS, "COLUMNS", "LINES"))}
    return {**plain, "STATE_DIR": str(state), "PYTHONWARNINGS": "ignore", **more}


def ask(state: Path, *arguments: str, timeout: float = 300, **more: str) -> Answer:
    """One command, to its end. Run in the state folder, where no .env lies."""
    state.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        out, err = Path(scratch) / "out", Path(scratch) / "err"
        zygote = shared_zygote()
        process = Forked(zygote, zygote.start(arguments, environment(state, **more), state, out, err))
        try:
            code = process.wait(timeout)
        finally:
            process.kill()
        return Answer(code=code, out=out.read_text(), err=err.read_text())


@dataclass(slots=True)
class Daemon:
    process: Forked
    state: Path
    log: Path

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def says(self, text: str, within: float = GENEROUS_S) -> None:
        until(lambda: text in self.log.read_text(), f"{text!r} in the log", within)

    def status(self) -> dict[str, object]:
        answer = ask(self.state, "status", "--json")
        assert answer.code == 0, answer.err
        found = answer.data
        assert isinstance(found, dict)
        return found

    def stop(self, number: int = signal.SIGTERM, within: float = GENEROUS_S) -> int:
        self.process.send_signal(number)
        return self.process.wait(within)


@contextmanager
def daemon(state: Path, *arguments: str, **more: str) -> Iterator[Daemon]:
    """Running in the background until the block ends; its log lines in a file."""
    state.mkdir(parents=True, exist_ok=True)
    log = state / "out.log"
    zygote = shared_zygote()
    command = ("run", "--plain", *arguments)
    process = Forked(zygote, zygote.start(command, environment(state, **more), state, log, log))
    try:
        yield Daemon(process, state, log)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(GENEROUS_S)


@contextmanager
def exchange(state: Path, *arguments: str, **more: str) -> Iterator[dict[str, str]]:
    """A simulated exchange of its own, with `more` in its environment; the settings that lead to it."""
    zygote = shared_zygote()
    folder = Path(tempfile.mkdtemp(prefix="exchange-"))
    out, command = folder / "out", ("exchange", "--port", "0", "--with-parent", *arguments)
    process = Forked(zygote, zygote.start(command, environment(state, **more), folder, out, folder / "err"))
    try:
        until(lambda: process.poll() is not None or ("\n" in out.read_text()), "an exchange")
        urls = json.loads(out.read_text().partition("\n")[0])
        names = ("trading_url", "data_url", "trade_stream_url")
        keys = {"ALPACA_API_KEY_ID": "PKTEST", "ALPACA_API_SECRET_KEY": "secret-of-the-test"}
        yield {f"ALPACA_{name.upper()}": urls[name] for name in names} | keys
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder)


def until(done: Callable[[], bool], what: str, within: float = GENEROUS_S) -> None:
    """Look until it is so. AssertionError, with `what`, where it takes too long."""
    eventually(done, what, within_s=within, every_s=0.1)


def trouble_in(text: str) -> Sequence[str]:
    """Lines of a log that nobody wants to see."""
    return [line for line in text.splitlines() if '"ERROR"' in line or '"CRITICAL"' in line or "Traceback" in line]
