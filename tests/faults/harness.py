"""The real daemon against the real simulated exchange, each a process of its own, and the truth about both.

The exchange outlives the daemon and keeps its own durable ledger: what is in it happened. The journal is what the
daemon believes. `Scene.assert_universal` holds the two against each other.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests

from tests.faults.universal import (
    CASH,
    LIVE,
    MAX_SYMBOL,
    caps_hold,
    each_fill_once,
    nothing_unmanaged,
    one_entry_a_cycle,
    one_order_an_intent,
    positions_agree,
    purpose_of_id,
)
from tests.forking import Zygote
from tests.waiting import GENEROUS_S, eventually
from trader.adapters.journal import Journal
from trader.core.ids import parse_client_order_id
from trader.core.types import Purpose

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
START = "2024-03-05T12:00:00Z"
ACCEPT_S = "1"  # market seconds from a POST to the order's arrival, as in every simulated run


@dataclass
class Program:
    """One process that the zygote started. `code` is negative where a signal ended it."""

    zygote: Zygote
    pid: int
    output: Path
    code: int | None = None

    def poll(self) -> int | None:
        if self.code is None:
            self.code = self.zygote.poll(self.pid)
        return self.code

    def wait(self) -> int:
        eventually(lambda: self.poll() is not None, lambda: f"it still runs: {self.said()[-3000:]}", every_s=0.01)
        assert self.code is not None
        return self.code

    def send(self, number: int) -> None:
        os.kill(self.pid, number)

    def end(self) -> None:
        """By SIGTERM, in good order."""
        self.send(signal.SIGTERM)
        assert self.wait() == 0, self.said()[-4000:]
        assert "Traceback" not in self.said(), self.said()[-4000:]

    def kill(self) -> None:
        """Leaves nothing of its process group."""
        if self.poll() is None:
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except ProcessLookupError:  # so young that it has no group yet
                os.kill(self.pid, signal.SIGKILL)
            eventually(lambda: self.poll() is not None, "its end", every_s=0.005)

    def said(self) -> str:
        return self.output.read_text() + self.output.with_suffix(".err").read_text()


def started(
    zygote: Zygote,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    output: Path,
    limits: Mapping[str, int] | None = None,
) -> Program:
    """In the folder of its output."""
    errors = output.with_suffix(".err")
    return Program(zygote, zygote.start(arguments, environment, output.parent, output, errors, limits), output)


@dataclass
class Scene:
    """An exchange that runs, a state folder, and daemons one after another."""

    zygote: Zygote
    folder: Path
    environment: dict[str, str]
    exchange: Program
    url: str
    session: requests.Session = field(default_factory=requests.Session)
    programs: list[Program] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.session.trust_env = False
        self.session.headers.update({"APCA-API-KEY-ID": "SIM", "APCA-API-SECRET-KEY": "SIM"})

    # ---- programs ----

    def trader(self, *arguments: str, limits: Mapping[str, int] | None = None, **environment: str) -> Program:
        """`trader ARGUMENTS`, started."""
        output = self.folder / f"out-{len(self.programs)}.txt"
        program = started(self.zygote, arguments, {**self.environment, **environment}, output, limits)
        self.programs.append(program)
        return program

    def trader_said(self, *arguments: str) -> str:
        """A command, to its end."""
        program = self.trader(*arguments)
        program.wait()
        return program.said()

    def status(self, **environment: str) -> dict[str, Any]:
        """As `trader status --json` tells it."""
        asked = self.trader("status", "--json", **environment)
        assert asked.wait() == 0, asked.said()
        found: dict[str, Any] = json.loads(asked.output.read_text())
        return found

    def start(self, cycles: int | None = None, *failpoints: str, **environment: str) -> Program:
        """The daemon, not waited for."""
        arguments = ["run", "--plain"]
        arguments += ["--cycles", str(cycles)] if cycles is not None else []
        for each in failpoints:
            arguments += ["--failpoint", each]
        return self.trader(*arguments, limits=None, **environment)

    def run(self, cycles: int, *failpoints: str, expect: int | None = 0, **environment: str) -> Program:
        """The daemon until it ends. `expect`: its exit code; -9 where a failpoint is to be met, None for any."""
        program = self.start(cycles, *failpoints, **environment)
        code = program.wait()
        assert expect is None or code == expect, f"exit {code}, not {expect}: {program.said()[-4000:]}"
        said = program.said()
        assert "Traceback" not in said, said[-4000:]
        return program

    def run_until(self, what: Callable[[], object]) -> Program:
        """The daemon until `what` holds: where the market does not wait, how far some cycles get is the machine's."""
        program = self.start()
        self.until(what)
        program.end()
        return program

    # ---- the venue ----

    def faults(self, *rules: Mapping[str, Any], seed: int = 1) -> None:
        """Replace the script; none: the trouble is over."""
        answer = self.session.post(f"{self.url}/sim/faults", json={"seed": seed, "rules": list(rules)}, timeout=20)
        assert answer.status_code == 200, answer.text

    def fired(self) -> list[int]:
        found: list[int] = self.session.get(f"{self.url}/sim/faults", timeout=20).json()["fired"]
        return found

    def ledger(self) -> dict[str, Any]:
        found: dict[str, Any] = self.session.get(f"{self.url}/sim/ledger", timeout=20).json()
        return found

    def advance(self, hours: float) -> None:
        """Let market time pass with nobody watching."""
        now = datetime.fromisoformat(self.session.get(f"{self.url}/sim/clock", timeout=20).json()["now"])
        until = now + timedelta(hours=hours)
        while now < until:
            body = {"until": until.isoformat()}
            now = datetime.fromisoformat(
                self.session.post(f"{self.url}/sim/advance", json=body, timeout=20).json()["now"]
            )

    def order(self, **fields: object) -> requests.Response:
        """One placed by hand at the venue."""
        body = {"symbol": "BTC/USD", "qty": "0.01", "side": "buy", "type": "market", "time_in_force": "gtc"} | fields
        return self.session.post(f"{self.url}/v2/orders", json=body, timeout=20)

    def ours(self) -> dict[str, dict[str, Any]]:
        """Orders at the venue by our ids."""
        return {name: order for name, order in self.ledger()["orders"].items() if parse_client_order_id(name)}

    def resting_exits(self) -> list[dict[str, Any]]:
        exits = [order for name, order in self.ours().items() if purpose_of_id(name) is not Purpose.ENTRY]
        return [order for order in exits if order["status"] in LIVE]

    def cancel_by_hand(self, order: Mapping[str, Any]) -> None:
        self.session.delete(f"{self.url}/v2/orders/{order['id']}", timeout=20)

    def entries(self) -> list[dict[str, Any]]:
        return [order for name, order in self.ours().items() if purpose_of_id(name) is Purpose.ENTRY]

    # ---- the daemon's mind ----

    @contextmanager
    def journal(self) -> Iterator[Journal]:
        given = self.environment.get("DATABASE_URL", "")
        with Journal.open(given or f"sqlite:///{self.database}", create=False) as journal:
            yield journal

    @property
    def database(self) -> Path:
        given = self.environment.get("DATABASE_URL", "")
        if given:
            return Path(given.removeprefix("sqlite:///"))
        mode = self.environment["TRADING_MODE"]
        return self.folder / f"journal-{mode}.db"

    def alerts(self) -> str:
        with self.journal() as journal:
            return "\n".join(f"{alert.kind}: {alert.detail}" for alert in journal.alerts(500))

    def flag(self, name: str) -> str:
        with self.journal() as journal:
            return journal.flag(name)

    def until(self, what: Callable[[], object], within_s: float = GENEROUS_S, every_s: float = 0.03) -> None:
        """Wait until `what` holds."""
        eventually(what, lambda: self.programs[-1].said()[-3000:], within_s=within_s, every_s=every_s)

    def leave_the_market(self) -> None:
        """A market that does not wait for us to look is left with nothing in it that could still fill."""
        with self.journal() as journal:
            journal.set_flag("killed", "the end of the test", datetime.now(UTC))
        self.run(2)

    # ---- the universal pass ----

    def assert_universal(self, *, halted: bool = False, external: bool = False) -> None:
        """To be called after a daemon has ended in good order. `external`: there were orders of others."""
        ledger = self.ledger()
        with self.journal() as journal:
            positions_agree(ledger, journal)
            each_fill_once(ledger, journal)
            if not external:
                one_order_an_intent(ledger, journal)
            assert bool(journal.flag("halted")) == halted, journal.flag("halted")
        one_entry_a_cycle(ledger)
        caps_hold(ledger)
        nothing_unmanaged(ledger)
        check = self.trader("db", "check")
        assert check.wait() == 0, check.said()

    def close(self) -> None:
        """May be done early, and again."""
        if not self.folder.exists():
            return
        for program in self.programs:
            program.kill()
        self.session.close()
        self.exchange.kill()
        complaints = self.exchange.said()
        assert "Traceback" not in complaints, complaints
        shutil.rmtree(self.folder, ignore_errors=True)


def open_scene(
    zygote: Zygote,
    worker: Path,
    *,
    symbols: str = "BTC/USD",
    seed: int = 3,
    speed: str = "max",
    mode: str = "sim",
    exchange: Sequence[str] = (),
    rules: Sequence[Mapping[str, Any]] = (),
    **environment: str,
) -> Scene:
    """Start the exchange; the daemon is the caller's to start."""
    folder = Path(tempfile.mkdtemp(prefix="faults-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
    base = {
        **{name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TZ") if name in os.environ},
        "PYTHONPATH": str(HERE / "installed"),
        "OPENBLAS_NUM_THREADS": "1",
        "STATE_DIR": str(folder),
        "TRADING_MODE": mode,
        "STRATEGY": "maxdiff",
        "SYMBOLS": symbols,
        "TIMEFRAME": "1Hour",
        "CONTEXT": "40",
        "FORECASTER": "bold",
        "WORKER_SOCKET": str(worker),
        "SIM__SPEED": speed,
        "RISK__MAX_SYMBOL": str(MAX_SYMBOL),
        "RISK__COOLDOWN_S": "0",
        "RISK__MAX_DAILY_LOSS": "0.9",
        "RISK__MAX_DRAWDOWN": "0.9",
        "LOG_FORMAT": "text",
    }
    arguments = ["exchange", "--port", "0", "--speed", speed, "--seed", str(seed), "--cash", str(CASH)]
    arguments += ["--symbol", symbols, "--context", "60", "--spread-bps", "4", "--ledger", str(folder / "exchange.db")]
    if "--accept-s" not in exchange:
        arguments += ["--accept-s", ACCEPT_S]
    arguments += [*(() if "--start" in exchange else ("--start", START)), *exchange]
    if "--timeframe" not in exchange:
        arguments += ["--timeframe", "1Hour"]
    if rules:
        script = folder / "faults.json"
        script.write_text(json.dumps({"seed": 1, "rules": list(rules)}))
        arguments += ["--faults", str(script)]
    output = folder / "exchange.txt"
    program = started(zygote, arguments, base, output)
    eventually(lambda: "\n" in output.read_text() or program.poll() is not None, program.said, every_s=0.005)
    assert program.code is None, program.said()
    ready = json.loads(output.read_text().partition("\n")[0])
    base |= {
        "ALPACA_TRADING_URL": ready["trading_url"],
        "ALPACA_DATA_URL": ready["data_url"],
        "ALPACA_TRADE_STREAM_URL": ready["trade_stream_url"],
    }
    return Scene(zygote, folder, base | environment, program, ready["trading_url"])


@contextmanager
def scenes(zygote: Zygote, worker: Path) -> Iterator[Callable[..., Scene]]:
    """Opens one with each call; all of them are ended afterwards."""
    opened: list[Scene] = []

    def make(**options: Any) -> Scene:
        opened.append(open_scene(zygote, worker, **options))
        return opened[-1]

    try:
        yield make
    finally:
        for each in opened:
            each.close()
