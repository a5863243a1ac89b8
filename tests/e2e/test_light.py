"""What the trading process and the small commands load and cost."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import psutil

from tests.e2e.running import ask, daemon, environment

HEAVY = ("torch", "pandas", "pyarrow", "starlette", "uvicorn", "exchange_calendars", "scipy", "matplotlib")
NOT_FOR_STATUS = (*HEAVY, "alpaca", "requests", "rich", "apscheduler", "websockets", "alembic")
MOST_MB = 150

_RUN_AND_TELL = """
import json, resource, sys
from trader.cli import cli
code = cli.main(sys.argv[2:], standalone_mode=False)
print(json.dumps({"code": code or 0, "loaded": [n for n in sys.argv[1].split(",") if n in sys.modules]}))
"""


def _loaded_by(state: Path, heavy: tuple[str, ...], *arguments: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", _RUN_AND_TELL, ",".join(heavy), *arguments],
        env=environment(state), cwd=state, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["code"] == 0, done.stdout
    return list(told["loaded"])


def test_the_trading_process_loads_no_model_and_no_data_library(tmp_path: Path) -> None:
    assert _loaded_by(tmp_path, HEAVY, "run", "--plain", "--speed", "max", "--cycles", "3") == []


def test_status_loads_next_to_nothing_and_answers_at_once(tmp_path: Path) -> None:
    assert ask(tmp_path, "run", "--plain", "--speed", "max", "--cycles", "2").code == 0
    assert _loaded_by(tmp_path, NOT_FOR_STATUS, "status") == []
    taken = []
    for _ in range(4):
        before = psutil.Process().cpu_times()
        assert ask(tmp_path, "status").code == 0
        after = psutil.Process().cpu_times()
        # processor time: the wall's is that of whatever else runs on this machine
        taken.append(after.children_user + after.children_system - before.children_user - before.children_system)
    assert min(taken) < 1.5


def test_a_waiting_daemon_is_small_and_quiet(tmp_path: Path) -> None:
    with daemon(tmp_path, "--speed", "1") as running:
        running.says("warming up")
        time.sleep(3)  # what is measured is time passing
        process = psutil.Process(running.process.pid)
        before, began = process.cpu_times(), time.monotonic()
        time.sleep(5)
        after = process.cpu_times()
        share = (after.user + after.system - before.user - before.system) / (time.monotonic() - began)
        assert share < 0.03  # the aim is 0.01, over minutes
        assert process.memory_info().rss < MOST_MB * 1e6
