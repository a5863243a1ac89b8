"""A compiled backend in its worker: what goes wrong costs one forecast at most, and reaches whoever runs the worker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install the extra `models`")

from forecasters.base import ForecastError
from forecasters.compiled.guard import FALLBACK
from forecasters.worker.client import Worker, WorkerSettings
from forecasters.worker.sandbox.policy import Sandbox
from tests.forecasters.support import context, install_oddities
from tests.waiting import GENEROUS_S, eventually, let_pass

Make = Callable[..., Worker]
ROOT = Path(__file__).parents[3]
DAEMON = """
import json, sys
from pathlib import Path
from forecasters.worker.client import Worker, WorkerSettings
from forecasters.worker.sandbox.policy import Sandbox
from tests.forecasters.support import context
options = json.loads(sys.argv[1])
sandbox = Sandbox(writable=(Path(options["folder"]).parent,))
worker = Worker(WorkerSettings(backend="guarded", options=options, threads=1, sandbox=sandbox))
worker.warm_up()
print(worker.ping(60).pid, flush=True)
worker.forecast([context()])
"""


@pytest.fixture(scope="module")
def oddities(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install_oddities(tmp_path_factory.mktemp("site"))


@pytest.fixture
def make(oddities: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    monkeypatch.setenv("PYTHONPATH", str(oddities))
    made: list[Worker] = []

    def maker(
        how: str, *, deadline_s: float = GENEROUS_S, warm_up_deadline_s: float = 5 * GENEROUS_S, **changes: object
    ) -> Worker:
        folder = str(tmp_path / "cache")
        options = {"how": how, "folder": folder, "marker": str(tmp_path / "once"), **changes}
        settings = WorkerSettings(
            backend="guarded",
            options=options,
            deadline_s=deadline_s,
            warm_up_deadline_s=warm_up_deadline_s,
            backoff_first_s=0.05,
            threads=1,
            sandbox=Sandbox(writable=(tmp_path,)),  # the marker's place and the cache's
        )
        made.append(Worker(settings))
        return made[-1]

    yield maker
    for worker in made:
        worker.close()


def mode(worker: Worker) -> str:
    return worker.forecast([context()])["BTC/USD"].compile_mode


def answers(worker: Worker) -> bool:
    try:
        worker.ping()
    except ForecastError:
        return False
    return True


@contextmanager
def daemon_in_a_forecast(
    options: dict[str, str], oddities: Path
) -> Iterator[tuple[subprocess.Popen[bytes], psutil.Process]]:
    """Another trading process than this one, and its worker, in the middle of what it never comes back from."""
    environment = {**os.environ, "PYTHONPATH": f"{oddities}:{ROOT}"}
    command = [sys.executable, "-c", DAEMON, json.dumps(options)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as parent:
        try:
            assert parent.stdout is not None
            child = psutil.Process(int(parent.stdout.readline()))
            eventually(Path(options["marker"]).exists)
            yield parent, child
        finally:
            parent.kill()


@contextmanager
def closed_in_a_forecast(worker: Worker) -> Iterator[None]:
    def never_answered() -> None:
        with pytest.raises(ForecastError, match="closed"):
            mode(worker)

    waiting = threading.Thread(target=never_answered)
    waiting.start()
    yield
    worker.close()
    waiting.join(GENEROUS_S)


def told(worker: Worker, severity: str) -> str:
    return " ".join(notice.text for notice in worker.notices() if notice.severity == severity)


def test_an_exception_costs_no_forecast_and_is_heard_of_and_it_serves_again_in_its_time(make: Make) -> None:
    worker = make("raises", retry_s=0.5)
    worker.warm_up()
    assert "guarded-compiled: serves: 1 graphs" in told(worker, "info")
    report = worker.ping(GENEROUS_S).compile
    assert report is not None
    assert (report.frames, report.recompiles) == (1, 0)
    assert mode(worker) == FALLBACK
    assert "failed: RuntimeError: CUDA error: an illegal memory access" in told(worker, "error")
    eventually(lambda: mode(worker) != FALLBACK)
    assert "serves again" in told(worker, "info")


@pytest.mark.parametrize(
    ("how", "reason", "within_s"), [("crashes", "SIGABRT", GENEROUS_S), ("hangs", "deadline", 2.0)]
)
def test_one_that_takes_its_process_with_it_is_not_trusted_by_the_next(
    make: Make, how: str, reason: str, within_s: float
) -> None:
    worker = make(how)
    worker.warm_up()
    with pytest.raises(ForecastError, match=reason):
        worker.forecast([context()], deadline_s=within_s)
    worker.warm_up()
    assert mode(worker) == FALLBACK
    assert "ended while it ran, the compiled model is suspected" in told(worker, "error")


def test_one_that_takes_too_long_is_cut_short_for_eager_and_compiling_again_gives_way_to_a_forecast(
    make: Make,
) -> None:
    worker = make("waits", eager_s=1.0, compiles="slowly_again", retry_s=0.1)
    worker.warm_up()
    pid = worker.ping(GENEROUS_S).pid
    assert worker.forecast([context()], deadline_s=4.0)["BTC/USD"].compile_mode == FALLBACK
    assert "s, then it was eager's turn" in told(worker, "error")
    let_pass(0.2)  # twice the pause before it is compiled again
    assert mode(worker) == FALLBACK  # after its answer the other is compiled again, which never ends
    eventually(lambda: worker.ping(GENEROUS_S).busy_s > 0.1)
    assert worker.forecast([context()], deadline_s=4.0)["BTC/USD"].compile_mode == FALLBACK
    assert "a forecast was wanted, and it was not yet compiled again" in told(worker, "error")
    assert worker.ping(GENEROUS_S).pid == pid


def test_a_compilation_that_never_ends_is_not_tried_by_the_next_process(make: Make) -> None:
    worker = make("behaves", compiles="hangs_once", warm_up_deadline_s=10.0)
    with pytest.raises(ForecastError, match="warm-up: deadline of 10 s"):
        worker.warm_up()
    worker.warm_up()
    assert mode(worker) == FALLBACK
    assert "the compiled model is suspected" in told(worker, "error")


def test_one_that_ended_with_its_parent_or_was_told_to_is_not_suspected(
    make: Make, oddities: Path, tmp_path: Path
) -> None:
    """Not even in code that lets nobody else run: the kernel's word is noted from C."""
    options = {"how": "hangs", "folder": str(tmp_path / "cache"), "marker": str(tmp_path / "other")}
    with daemon_in_a_forecast(options, oddities) as (parent, child):
        parent.kill()
        eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
    (mark,) = (tmp_path / "cache/running").iterdir()
    assert "hread 0x" in mark.read_text()  # the kernel may say it once more, and that may cut the note short
    next_one = make("hangs", deadline_s=5 * GENEROUS_S)
    next_one.warm_up()
    assert "guarded-compiled: serves" in told(next_one, "info")
    assert not mark.exists()
    with closed_in_a_forecast(next_one):
        eventually((tmp_path / "once").exists)
        eventually(lambda: not answers(next_one))  # before that it would end in good order
    assert "most recent call first" in next((tmp_path / "cache/running").iterdir()).read_text()
    last = make("behaves")
    last.warm_up()
    assert "guarded-compiled: serves" in told(last, "info")


def test_a_gpu_that_is_out_of_order_costs_one_forecast_and_the_process(make: Make, tmp_path: Path) -> None:
    worker = Worker(
        WorkerSettings(
            backend="breaks_gpu",
            options={"marker": str(tmp_path / "gpu")},
            deadline_s=GENEROUS_S,
            threads=1,
            sandbox=Sandbox(writable=(tmp_path,)),
        )
    )
    try:
        worker.warm_up()
        pid = worker.ping(GENEROUS_S).pid
        with pytest.raises(ForecastError, match="illegal memory access"):
            worker.forecast([context()])
        worker.warm_up()
        assert worker.ping(GENEROUS_S).pid != pid
        assert mode(worker) == "eager"
    finally:
        worker.close()
