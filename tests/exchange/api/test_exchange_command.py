"""`python -m trader.exchange`: what it prints, how it ends, and what it says of wrong options."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import psutil
import pytest
from click.testing import CliRunner

from tests.exchange.api.running import KEYS, running
from tests.waiting import GENEROUS_S, eventually
from trader.exchange.command import exchange_command
from trader.exchange.run import ExchangeOptions

COMMAND = [sys.executable, "-m", "trader.exchange", "--port", "0"]
ENDS = ("--port", "0", "--speed", "warp")  # wrong as well, so that nothing is served where the first is taken


def test_ready_line_names_everything_a_client_needs(tmp_path: Path) -> None:
    with running(ledger=tmp_path / "exchange.db") as exchange:
        assert set(exchange.ready) == {
            "trading_url", "data_url", "trade_stream_url", "ledger", "start", "timeframe", "symbols",
            "off_grid",
        }  # fmt: skip
        assert exchange.ready["symbols"] == ["BTC/USD", "ETH/USD"]
        assert exchange.ready["ledger"] == str(tmp_path / "exchange.db")


def test_the_secret_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("pair\n# what it is for\n")
    (tmp_path / "secret").chmod(0o600)
    with running(["--key", "right", "--secret-file", str(tmp_path / "secret")]) as exchange:
        answers = []
        for secret in ("pair", "wrong"):
            exchange.session.headers.update({"APCA-API-KEY-ID": "right", "APCA-API-SECRET-KEY": secret})
            answers.append(exchange.get("/v2/account").status_code)
    assert answers == [200, 403]


@pytest.mark.parametrize(
    ("written", "mode", "said"),
    [
        (b"pair\n", 0o622, "can be written by every user; right: chmod go-w"),
        (b"pair\n", 0o604, "every user can read it; right: chmod o-r"),
        (b"\npair\n", 0o600, "its first line is empty"),
        (b"\xff\xfe", 0o600, "it is no text"),
        (None, 0, "No such file"),
    ],
)
def test_a_file_that_keeps_no_secret_is_refused(written: bytes | None, mode: int, said: str, tmp_path: Path) -> None:
    if written is not None:
        (tmp_path / "secret").write_bytes(written)
        (tmp_path / "secret").chmod(mode)
    done = CliRunner().invoke(exchange_command, [*ENDS, "--secret-file", str(tmp_path / "secret")])
    assert (done.exit_code, done.stderr.count("\n")) == (78, 1)
    assert said in done.stderr
    assert "pair" not in done.stderr


def test_no_option_takes_a_secret_and_a_key_id_alone_keeps_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EXCHANGE_SECRET", raising=False)
    alone = CliRunner().invoke(exchange_command, [*ENDS, "--key", "right"])
    assert (alone.exit_code, alone.stderr.count("\n")) == (78, 1)
    assert "right: --secret-file FILE, or EXCHANGE_SECRET" in alone.stderr
    typed = CliRunner().invoke(exchange_command, [*ENDS, "--key", "right", "--secret", "pair"])
    assert typed.exit_code == 2
    assert "--secret-file" in typed.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_cleanly(number: signal.Signals) -> None:
    with running() as exchange:
        exchange.get("/v2/account")
        exchange.process.send_signal(number)
        assert exchange.process.wait(GENEROUS_S) == 0


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--data", "nonsense"], "--data"),
        (["--data", "BTC/USD=/no/such/file.parquet"], "/no/such/file.parquet"),
        (["--speed", "-1"], "--speed"),
        (["--speed", "warp"], "--speed"),
        (["--cash", "plenty"], "--cash"),
        (["--volume-share", "1.5"], "--volume-share"),
        (["--stop-slip", "-1"], "--stop-slip"),
        (["--stock-spread-bps", "wide"], "--stock-spread-bps"),
        (["--start", "yesterday"], "--start"),
        (["--timeframe", "7Parsecs"], "--timeframe"),
        (["--faults", "/no/such/faults.json"], "--faults"),
        (["--ledger", "/proc/nowhere/exchange.db"], "/proc/nowhere"),
    ],
)
def test_wrong_option_exits_78_with_one_line(arguments: list[str], word: str) -> None:
    done = CliRunner().invoke(exchange_command, ["--port", "0", *arguments])
    assert done.exit_code == 78, done.output
    assert done.stdout == ""
    assert word in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("speed", "given", "limit"), [(1.0, None, 200), (60.0, None, 0), (None, None, 0), (1.0, 0, 0), (None, 50, 50)]
)
def test_rate_limit_is_the_venues_at_real_speed_only(speed: float | None, given: int | None, limit: int) -> None:
    assert ExchangeOptions(speed=speed, rate_limit=given).requests_a_minute == limit


def test_it_ends_with_its_parent() -> None:
    """A parent that is killed can't clean up: the exchange must notice by itself."""
    script = (
        "import subprocess, sys\n"
        "child = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True)\n"
        "line = child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, *COMMAND, "--with-parent", "--context", "60"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    assert parent.stdin is not None
    child = psutil.Process(int(parent.stdout.readline()))
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdin.close()
    parent.stdout.close()
    try:
        eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, "its end with its parent")
    finally:
        with suppress(psutil.NoSuchProcess):
            child.kill()


def test_an_answer_does_not_wait_for_the_acknowledgement_of_its_first_part() -> None:
    """A client that acknowledges late, as kernels do by 40 ms, is answered as soon as one that does so at once."""
    late, at_once = [], []
    with running() as exchange:
        where = urlsplit(exchange.url)
        with socket.create_connection((where.hostname, where.port)) as client:
            for _ in range(30):
                late.append(_asked(client, acknowledging_at_once=False))
                at_once.append(_asked(client, acknowledging_at_once=True))
    assert median(late) < 8 * median(at_once)


def _asked(client: socket.socket, *, acknowledging_at_once: bool) -> float:
    """Seconds until the whole answer to one request is there."""
    keys = "".join(f"{name}: {value}\r\n" for name, value in KEYS.items())
    begin, seen = time.perf_counter(), b""
    client.sendall(f"GET /v2/account HTTP/1.1\r\nHost: exchange\r\n{keys}\r\n".encode())
    while not seen.endswith(b"}"):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, int(acknowledging_at_once))
        seen += client.recv(65_536)
    return time.perf_counter() - begin
