"""`python -m trader.exchange`: what it prints, how it ends, and what it says of wrong options."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from tests.exchange.api.running import running
from trader.exchange.command import exchange_command
from trader.exchange.run import ExchangeOptions

COMMAND = [sys.executable, "-m", "trader.exchange", "--port", "0"]


def test_ready_line_names_everything_a_client_needs(tmp_path: Path) -> None:
    with running(ledger=tmp_path / "exchange.db") as exchange:
        assert set(exchange.ready) == {
            "trading_url", "data_url", "trade_stream_url", "ledger", "start", "timeframe", "symbols",
            "off_grid",
        }  # fmt: skip
        assert exchange.ready["symbols"] == ["BTC/USD", "ETH/USD"]
        assert exchange.ready["ledger"] == str(tmp_path / "exchange.db")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_cleanly(number: signal.Signals) -> None:
    with running() as exchange:
        exchange.get("/v2/account")
        exchange.process.send_signal(number)
        assert exchange.process.wait(timeout=10) == 0


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
    for _ in range(200):
        if not child.is_running() or child.status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(0.05)
    child.kill()
    pytest.fail("the exchange outlived its parent")


def test_it_starts_within_seconds_and_answers_fast() -> None:
    """Bounds with much room: this is a check against mistakes of a kind (a 44 ms delayed acknowledgement), no bench."""
    begin = time.monotonic()
    with running() as exchange:
        assert time.monotonic() - begin < 10
        exchange.get("/v2/account")
        times = []
        for _ in range(50):
            before = time.monotonic()
            exchange.get("/v2/account")
            times.append(time.monotonic() - before)
        assert sorted(times)[len(times) // 2] < 0.03
        assert json.dumps(exchange.ready)
