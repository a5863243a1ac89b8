"""One zygote and one forecasting worker for all; an exchange for each test that asks for one."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.harness import HERE, ROOT, Scene, scenes
from tests.forking import Zygote
from tests.waiting import GENEROUS_S, eventually


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    found = Zygote()
    yield found
    found.close()


@pytest.fixture(scope="session")
def worker() -> Iterator[Path]:
    """A forecasting worker that runs as a service, as under a service manager, and outlives every daemon."""
    with tempfile.TemporaryDirectory(prefix="worker-") as folder:
        path = Path(folder) / "worker.sock"
        command = [sys.executable, "-m", "forecasters.worker", "--backend", "bold", "--socket", str(path)]
        environment = {"PYTHONPATH": f"{ROOT}:{HERE / 'installed'}", "OPENBLAS_NUM_THREADS": "1"}
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        eventually(lambda: _listens(path) or process.poll() is not None, "a worker that listens")
        assert process.poll() is None, process.stderr and process.stderr.read()
        yield path
        process.terminate()
        process.communicate(timeout=GENEROUS_S)


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


@pytest.fixture(scope="session")
def shifted_clock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return preloaded("shifted_clock", tmp_path_factory)


@pytest.fixture(scope="session")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return preloaded("synced", tmp_path_factory)


def preloaded(name: str, factory: pytest.TempPathFactory) -> Path:
    """The library that is made of NAME.c, for LD_PRELOAD."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip(f"no C compiler to build {name}.c with (Debian: apt-get install gcc libc6-dev)")
    library = factory.mktemp("preloaded") / f"{name}.so"
    command = [compiler, "-shared", "-fPIC", "-o", str(library), str(HERE / f"{name}.c")]
    subprocess.run(command, check=True, capture_output=True)
    return library


@pytest.fixture
def scene(zygote: Zygote, worker: Path) -> Iterator[Callable[..., Scene]]:
    """`scene(...)` is an exchange with a folder for its daemons; ended with the test."""
    with scenes(zygote, worker) as make:
        yield make
