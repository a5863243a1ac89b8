"""What the trading process and the small commands load and cost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psutil

from tests.e2e.running import ask, daemon, environment
from tests.waiting import eventually, let_pass

HEAVY = ("torch", "pandas", "pyarrow", "starlette", "uvicorn", "exchange_calendars", "scipy", "matplotlib")
NOT_FOR_STATUS = (*HEAVY, "alpaca", "requests", "rich", "apscheduler", "websockets", "alembic")
MOST_MB = 150
MOST_WAKE_UPS = 40  # in two seconds

_RUN_AND_TELL = """
import json, sys
from trader.cli import cli
code = cli.main(sys.argv[1:], standalone_mode=False)
print(json.dumps({"code": code or 0, "loaded": list(sys.modules)}))
"""


def _loaded_by(state: Path, *arguments: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", _RUN_AND_TELL, *arguments],
        env=environment(state), cwd=state, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["code"] == 0, done.stdout
    return set(told["loaded"])


def test_the_trading_process_loads_no_model_and_no_data_library(tmp_path: Path) -> None:
    assert not _loaded_by(tmp_path, "run", "--plain", "--speed", "max", "--cycles", "3") & set(HEAVY)


def test_status_loads_next_to_nothing(tmp_path: Path) -> None:
    assert ask(tmp_path, "run", "--plain", "--speed", "max", "--cycles", "2").code == 0
    loaded = _loaded_by(tmp_path, "status")
    assert not loaded & set(NOT_FOR_STATUS)
    assert len(loaded) < 600  # about 350


def test_a_waiting_daemon_is_small_and_quiet(tmp_path: Path) -> None:
    with daemon(tmp_path, "--speed", "1") as running:
        running.says("warming up")
        process = psutil.Process(running.process.pid)

        def wake_ups() -> int:
            before = _waits(process)
            let_pass(2)
            return _waits(process) - before

        eventually(lambda: wake_ups() < MOST_WAKE_UPS, "quiet")  # it may still be starting
        assert process.memory_info().rss < MOST_MB * 1e6


def _waits(process: psutil.Process) -> int:
    """How often its threads have gone to sleep so far."""
    return sum(psutil.Process(thread.id).num_ctx_switches().voluntary for thread in process.threads())
