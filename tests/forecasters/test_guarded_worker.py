"""A compiled backend in its worker: what goes wrong costs one forecast at most, and reaches whoever runs the worker."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install the extra `models`")

from forecasters.base import ForecastError
from forecasters.guard import FALLBACK
from forecasters.worker import Worker, WorkerSettings
from tests.forecasters.support import context, install_oddities

Make = Callable[..., Worker]


@pytest.fixture(scope="module")
def oddities(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install_oddities(tmp_path_factory.mktemp("site"))


@pytest.fixture
def make(oddities: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    monkeypatch.setenv("PYTHONPATH", str(oddities))
    made: list[Worker] = []

    def maker(how: str, **changes: float) -> Worker:
        folder = str(tmp_path / "cache")
        options = {"how": how, "folder": folder, "marker": str(tmp_path / "once"), **changes}
        settings = WorkerSettings(backend="guarded", options=options, deadline_s=5.0, backoff_first_s=0.05, threads=1)
        made.append(Worker(settings))
        return made[-1]

    yield maker
    for worker in made:
        worker.close()


def mode(worker: Worker) -> str:
    return worker.forecast([context()])["BTC/USD"].compile_mode


def told(worker: Worker, severity: str) -> str:
    return " ".join(notice.text for notice in worker.notices() if notice.severity == severity)


def test_an_exception_costs_no_forecast_and_is_heard_of_and_it_serves_again_in_its_time(make: Make) -> None:
    worker = make("raises", retry_s=0.5)
    worker.warm_up()
    assert "guarded-compiled: serves: 1 graphs" in told(worker, "info")
    report = worker.ping().compile
    assert report is not None
    assert (report.frames, report.recompiles) == (1, 0)
    assert mode(worker) == FALLBACK
    assert "failed: RuntimeError: CUDA error: an illegal memory access" in told(worker, "error")
    deadline = time.monotonic() + 30
    while mode(worker) == FALLBACK:
        assert time.monotonic() < deadline
    assert "serves again" in told(worker, "info")


@pytest.mark.parametrize(("how", "reason"), [("crashes", "SIGABRT"), ("hangs", "deadline")])
def test_one_that_takes_its_process_with_it_is_not_trusted_by_the_next(make: Make, how: str, reason: str) -> None:
    worker = make(how)
    worker.warm_up()
    with pytest.raises(ForecastError, match=reason):
        worker.forecast([context()])
    worker.warm_up()
    assert mode(worker) == FALLBACK
    assert "ended while it ran, the compiled model is suspected" in told(worker, "error")


def test_a_gpu_that_is_out_of_order_costs_one_forecast_and_the_process(make: Make, tmp_path: Path) -> None:
    worker = Worker(
        WorkerSettings(backend="breaks_gpu", options={"marker": str(tmp_path / "gpu")}, deadline_s=30, threads=1)
    )
    try:
        worker.warm_up()
        pid = worker.ping().pid
        with pytest.raises(ForecastError, match="illegal memory access"):
            worker.forecast([context()])
        worker.warm_up()
        assert worker.ping().pid != pid
        assert mode(worker) == "eager"
    finally:
        worker.close()
