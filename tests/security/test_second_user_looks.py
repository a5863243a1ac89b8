"""What another user of this machine sees of a running daemon, and where he leads root with a link. As that user.

The daemon is started with the widest umask, in a folder that everybody may enter.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.security.second_user import as_another_user, by_stranger, public_folder, seen_by_stranger
from tests.waiting import GENEROUS_S, eventually

pytestmark = [as_another_user, pytest.mark.timeout(200)]
TRADER = str(Path(sys.executable).with_name("trader"))
HOOK = "cnrHook-Tz6Wp1Qy3Rm"

OPENED = """
for path in sys.argv[1:]:
    try:
        print(path, len(open(path, "rb").read(1) if not os.path.isdir(path) else os.listdir(path)))
    except OSError:
        pass
"""
CONNECTED = """
for path in sys.argv[1:]:
    try:
        socket.socket(socket.AF_UNIX).connect(path)
        print(path)
    except PermissionError:
        pass
"""
ASKED = """
url, key, secret = sys.argv[1:]
order = {"symbol": "BTC/USD", "qty": "1", "side": "buy", "type": "market", "time_in_force": "gtc"}
headers = {"APCA-API-KEY-ID": key, "APCA-API-SECRET-KEY": secret, "Content-Type": "application/json"}
for path, body in (("/v2/account", None), ("/v2/orders", order), ("/sim/ledger", None), ("/sim/faults", {"rules": []})):
    data = None if body is None else json.dumps(body).encode()
    try:
        print(urllib.request.urlopen(urllib.request.Request(url + path, data, headers)).status)
    except urllib.error.HTTPError as error:
        print(error.code)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    process: psutil.Process
    state: Path

    def all(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]

    def exchange(self) -> psutil.Process | None:
        return next((each for each in self.all() if "trader.exchange" in each.cmdline()), None)


def environ(state: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "PYTHONPATH") if name in os.environ}
    return {
        **kept,
        "HOME": "/root",
        "OMP_NUM_THREADS": "1",
        "STATE_DIR": str(state),
        "ALERT_WEBHOOK_URL": f"http://127.0.0.1:9/{HOOK}",
    }


@contextmanager
def running(folder: Path) -> Iterator[Ran]:
    state, log = folder / "state", folder / "log"
    state.mkdir()
    state.chmod(0o755)  # as versions of before made it
    words = [TRADER, "run", "--mode", "sim", "--speed", "60", "--plain"]
    with (
        log.open("w") as sink,
        subprocess.Popen(words, cwd="/", env=environ(state), umask=0, stdout=sink, stderr=sink) as daemon,
    ):
        ran = Ran(process=psutil.Process(daemon.pid), state=state)
        try:
            eventually(lambda: daemon.poll() is not None or is_whole(ran), log.read_text)
            assert daemon.poll() is None, log.read_text()
            yield ran
        finally:
            daemon.terminate()
            daemon.wait(GENEROUS_S)


def connects(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as us:
        return us.connect_ex(str(path)) == 0


def is_whole(ran: Ran) -> bool:
    """Its exchange and its worker are there, and its journal is."""
    return len(ran.all()) >= 3 and (ran.state / "journal-sim.db").exists()


@pytest.fixture(scope="module")
def ran() -> Iterator[Ran]:
    for folder in public_folder():
        with running(folder) as found:
            yield found


@pytest.fixture
def public() -> Iterator[Path]:
    yield from public_folder()


def test_he_reads_nothing_of_state_journal_and_ledger(ran: Ran) -> None:
    everything = [ran.state, *ran.state.rglob("*")]
    assert {"journal-sim.db", "exchange.db"} <= {path.name for path in everything}
    assert seen_by_stranger(OPENED, ran.state.parent) == [f"{ran.state.parent} 2"]  # so he can look, where he may
    assert seen_by_stranger(OPENED, *everything) == []


def test_he_reads_no_environment_no_memory_and_no_secret_among_the_arguments(ran: Ran) -> None:
    exchange = ran.exchange()
    assert exchange is not None
    secrets = [HOOK, exchange.environ()["EXCHANGE_KEY"], exchange.environ()["EXCHANGE_SECRET"]]
    places = [Path(f"/proc/{each.pid}") for each in ran.all()]
    assert len(places) >= 3
    closed = ("environ", "mem", "maps", "fd", "cwd", "stack")
    assert seen_by_stranger(OPENED, *(place / name for place in places for name in closed)) == []
    arguments = seen_by_stranger(
        "for path in sys.argv[1:]: print(open(path).read().replace(chr(0), ' '))",
        *(place / "cmdline" for place in places),
    )
    assert any("trader.exchange" in line for line in arguments)
    assert [secret for secret in secrets if secret in "".join(arguments)] == []


def test_the_daemons_exchange_takes_nothing_from_him(ran: Ran) -> None:
    exchange = ran.exchange()
    assert exchange is not None
    (port,) = {each.laddr.port for each in exchange.net_connections() if each.status == psutil.CONN_LISTEN}
    own = exchange.environ()
    url = f"http://127.0.0.1:{port}"
    assert own["EXCHANGE_SECRET"]  # the daemon's own requests are taken, so there is a key to guess
    for pair, status in ((("SIM", "SIM"), "403"), ((own["EXCHANGE_KEY"], "guessed"), "403"), (("", ""), "401")):
        assert seen_by_stranger(ASKED, url, *pair) == [status] * 4


def test_he_connects_to_no_worker(public: Path) -> None:
    """One that runs as a service, in a folder that he may enter."""
    path = public / "worker.sock"
    words = [sys.executable, "-P", "-m", "forecasters.worker", "--socket", str(path), "--backend", "baseline"]
    with subprocess.Popen(words, cwd="/", umask=0) as worker:
        try:
            eventually(path.exists, "a socket")
            eventually(lambda: connects(path), "a listener")
            assert seen_by_stranger(CONNECTED, path) == []
        finally:
            worker.terminate()
            worker.wait(GENEROUS_S)


@pytest.mark.parametrize("words", [("db", "backup", "{}"), ("report", "--out", "{}")], ids=" ".join)
def test_what_root_writes_follows_no_link_of_his(words: tuple[str, ...], ran: Ran, public: Path) -> None:
    """A backup or a report into his folder emptied a file that only root may write."""
    kept = public / "roots"
    kept.write_text("only root may write this")
    kept.chmod(0o600)
    by_stranger(f"mkdir {public}/his; cd {public}/his; ln -s {kept} out; ln -s {kept} out.unfinished")
    given = [word.format(public / "his/out") for word in words]
    command = [TRADER, *given, "--mode", "sim"]
    done = subprocess.run(command, cwd="/", env=environ(ran.state), capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert done.returncode == 0 or "a link of another user lies there" in done.stderr
    assert kept.read_text() == "only root may write this"


def test_without_a_home_what_is_compiled_goes_to_no_folder_that_he_made_first(public: Path) -> None:
    by_stranger(f"cd {public}; for n in trader-compiled torchinductor_root compiled tmp; do mkdir -m 777 $n; done")
    code = (
        "import tempfile\nfrom forecasters.compiled.toolchain import use_cache_folder\n"
        "print(use_cache_folder('').path)\nprint(tempfile.gettempdir())"
    )
    bare = {name: value for name, value in environ(public).items() if name != "HOME"} | {"TMPDIR": str(public)}
    words = [sys.executable, "-P", "-c", code]
    done = subprocess.run(words, cwd="/", env=bare, capture_output=True, text=True, check=True)
    for line in done.stdout.splitlines():
        assert Path(line).stat().st_uid == os.geteuid()
        assert seen_by_stranger(OPENED, line) == []
