"""The forecaster as its own unit: started as systemd starts it, spoken to as the daemon does."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from forecasters.worker.client import Worker, WorkerSettings
from settings.load import load
from tests.packages import install
from trader.daemon.worker_unit import worker_command
from trader.errors import ConfigurationError
from trader.strategies import GROUP


@pytest.fixture
def runtime() -> Iterator[Path]:
    """Short: a socket's path may have 107 characters."""
    with tempfile.TemporaryDirectory(prefix="unit-", dir="/tmp") as folder:
        yield Path(folder)


def environment(runtime: Path, **more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(runtime), "WORKER_SOCKET": str(runtime / "worker.sock"), **more}


def test_the_unit_says_ready_when_it_is_warm_and_the_daemons_worker_can_speak_to_it(runtime: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(runtime / "notify"))
        supervisor.settimeout(60)
        process = subprocess.Popen(
            [sys.executable, "-m", "trader.daemon.worker_unit"],
            env=environment(runtime, NOTIFY_SOCKET=str(runtime / "notify"), TRADING_MODE="paper"),
            cwd=runtime,
        )
        try:
            assert supervisor.recv(4096).decode().startswith("READY=1")
            worker = Worker(WorkerSettings(backend="baseline", socket_path=runtime / "worker.sock"))
            worker.warm_up()
            health = worker.ping(60)
            worker.close()
            assert (health.pid, health.backend, health.warm) == (process.pid, "baseline", True)
            assert (runtime / "worker.sock").stat().st_mode & 0o777 == 0o660  # its group is the daemon's way in
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
            assert "STOPPING=1" in supervisor.recv(4096).decode()
        finally:
            process.kill()
            process.wait()


def test_without_a_socket_the_unit_ends_with_the_code_that_is_not_restarted(runtime: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "trader.daemon.worker_unit"],
        env=environment(runtime, WORKER_SOCKET=""),
        cwd=runtime,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 78
    assert done.stderr.count("\n") == 1
    assert "WORKER_SOCKET is not set" in done.stderr


def test_options_do_not_stand_on_the_command_line(runtime: Path) -> None:
    loaded = load(environ=environment(runtime, FORECASTER="kronos"), folder=runtime)
    command = worker_command(loaded.settings)

    assert command[command.index("--options-file") + 1] == "-"
    assert "sample_count" not in " ".join(command)
    assert command[command.index("--backend") + 1] == "kronos"


def test_a_folder_that_is_not_there_is_named(runtime: Path) -> None:
    (runtime / "gone").write_text("a file")
    loaded = load(environ={"WORKER_SOCKET": str(runtime / "gone/worker.sock")}, folder=runtime)
    with pytest.raises(ConfigurationError, match="gone"):
        worker_command(loaded.settings)


def test_the_unit_knows_the_strategies_of_other_packages_and_of_files(runtime: Path) -> None:
    """It needs none of them, but reads the settings that name one."""
    (runtime / "mine.py").write_text("")
    install(runtime, "mine", GROUP, {"mine-too": "mine"})
    for strategy in ("mine-too", "./mine.py"):
        done = subprocess.run(
            [sys.executable, "-m", "trader.daemon.worker_unit"],
            env=environment(runtime, WORKER_SOCKET="", STRATEGY=strategy, PYTHONPATH=str(runtime)),
            cwd=runtime,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "WORKER_SOCKET is not set" in done.stderr, done.stderr
