"""A venue or a database that is away when the daemon starts, seen from the service manager."""

from __future__ import annotations

import configparser
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from tests.waiting import GENEROUS_S
from trader.terminal.outage import SHORTEST_START_S

UNIT = Path(__file__).parents[2] / "systemd" / "trader@.service"
NOWHERE = "http://127.0.0.1:9"


def test_an_outage_does_not_use_up_the_starts_that_a_crash_loop_is_allowed() -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.read(UNIT)
    minutes, failures = unit["Unit"]["StartLimitIntervalSec"], int(unit["Unit"]["StartLimitBurst"])
    between_s = SHORTEST_START_S + float(unit["Service"]["RestartSec"].removesuffix("s"))
    assert (failures - 1) * between_s > 60 * float(minutes.removesuffix("min"))
    assert 60 * float(unit["Service"]["TimeoutStartSec"].removesuffix("min")) > SHORTEST_START_S


def test_where_systemd_listens_a_start_without_a_venue_says_so_and_waits_until_it_is_stopped(tmp_path: Path) -> None:
    told = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(told))
        supervisor.settimeout(60)
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "NOTIFY_SOCKET": str(told)}
        keys = {"ALPACA_API_KEY_ID": "PKNONE", "ALPACA_API_SECRET_KEY": "none", "STRATEGY": "flat"}
        where = {"ALPACA_TRADING_URL": NOWHERE, "ALPACA_DATA_URL": NOWHERE, "STATE_DIR": str(tmp_path / "state")}
        process = subprocess.Popen(
            [sys.executable, "-m", "trader", "run", "--plain", "--mode", "paper"],
            env=environment | keys | where,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert "waiting to try again: " in supervisor.recv(4096).decode()
            assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            said, _ = process.communicate(timeout=GENEROUS_S)
            assert process.returncode == -signal.SIGTERM  # for systemd an end as asked
            assert "started again in 1" in said
        finally:
            process.kill()
            process.wait()
