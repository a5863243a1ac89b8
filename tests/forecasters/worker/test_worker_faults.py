"""The worker with backends that really misbehave: each costs one forecast, never the caller."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from forecasters.base import Account, ForecastError, Mended
from forecasters.progress import Progress
from forecasters.worker import wire
from forecasters.worker.child import Server, _Job
from forecasters.worker.client import Worker, WorkerSettings, WorkerState
from forecasters.worker.sandbox.policy import Sandbox
from settings import children
from tests.forecasters.oddities import tells_why
from tests.forecasters.oddities._common import Options
from tests.forecasters.support import context, install_oddities
from tests.waiting import GENEROUS_S, eventually

Make = Callable[..., Worker]


@pytest.fixture(scope="module")
def oddities(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install_oddities(tmp_path_factory.mktemp("site"))


@pytest.fixture
def make(oddities: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes workers, with a marker file so that a backend misbehaves in its first life only."""
    monkeypatch.setenv("PYTHONPATH", str(oddities))
    made: list[Worker] = []
    sandbox = Sandbox(writable=(tmp_path,))  # the marker's place

    def maker(backend: str, *, on_log: Callable[[str], None] | None = None, **changes: object) -> Worker:
        options = {"marker": str(tmp_path / "once"), **dict(changes.pop("options", {}))}  # type: ignore[call-overload]
        settings = {"deadline_s": GENEROUS_S, "backoff_first_s": 0.05, "sandbox": sandbox, **changes}
        worker = Worker(WorkerSettings(backend=backend, options=options, **settings), on_log=on_log)  # type: ignore[arg-type]
        made.append(worker)
        return worker

    yield maker
    for worker in made:
        worker.close()


def costs_one_forecast(worker: Worker, reason: str) -> None:
    worker.warm_up()
    with pytest.raises(ForecastError, match=reason):
        worker.forecast([context()])
    with pytest.raises(ForecastError, match="starting"):  # it is not waited for
        worker.forecast([context()])
    worker.warm_up()
    assert set(worker.forecast([context()])) == {"BTC/USD"}


def test_a_crash_costs_one_forecast(make: Make) -> None:
    costs_one_forecast(make("crashes"), "SIGABRT")


@pytest.mark.parametrize("backend", ["hangs", "hangs_deaf"])
def test_a_hang_is_given_up_at_its_deadline_and_its_process_is_killed(make: Make, backend: str) -> None:
    worker = make(backend, deadline_s=0.6)
    worker.warm_up()
    child = psutil.Process(worker.ping(GENEROUS_S).pid)
    started = time.monotonic()
    with pytest.raises(ForecastError, match=r"deadline of 0\.6 s"):
        worker.forecast([context()])
    assert time.monotonic() - started >= 0.6  # and it would have hung for ever
    eventually(lambda: not child.is_running())
    worker.warm_up()
    assert worker.forecast([context()], deadline_s=GENEROUS_S)


def test_an_exception_costs_one_forecast_and_not_the_process(make: Make) -> None:
    worker = make("raises")
    worker.warm_up()
    pid = worker.ping(GENEROUS_S).pid
    with pytest.raises(ForecastError, match=r"ZeroDivisionError.*by design"):
        worker.forecast([context()])
    assert worker.forecast([context()])
    assert worker.ping(GENEROUS_S).pid == pid
    assert (worker.ping(GENEROUS_S).forecasts, worker.ping(GENEROUS_S).failures) == (2, 1)


def test_garbage_on_the_socket_costs_one_forecast(make: Make) -> None:
    costs_one_forecast(make("writes_garbage"), "garbage")


def test_memory_beyond_the_limit_costs_one_forecast(make: Make) -> None:
    worker = make("eats_memory", memory_limit_bytes=4 << 30, options={"bytes": 8 << 30}, threads=1)
    costs_one_forecast(worker, "out of memory")


def test_a_kill_from_outside_is_noticed_before_the_next_forecast(make: Make) -> None:
    worker = make("steady")
    worker.warm_up()
    os.kill(worker.ping(GENEROUS_S).pid, signal.SIGKILL)
    eventually(lambda: "SIGKILL" in worker.reason)
    assert "out of memory?" in worker.reason
    eventually(lambda: worker.state is WorkerState.READY)
    assert worker.forecast([context()])


def test_nan_that_a_backend_smuggled_is_refused_and_the_other_symbols_stand(make: Make) -> None:
    worker = make("says_nan")
    worker.warm_up()
    assert set(worker.forecast([context("NAN/USD"), context("BTC/USD"), context("OTHER/USD")])) == {"BTC/USD"}
    assert "NaN" in worker.refusals["NAN/USD"]
    assert "last close" in worker.refusals["OTHER/USD"]
    with pytest.raises(ForecastError, match="NaN"):
        worker.forecast([context("NAN/USD")])
    assert worker.state is WorkerState.READY


def test_an_answer_to_another_question_is_refused_and_the_other_symbols_stand(make: Make) -> None:
    """Another series under a ticker's name is the worst kind of forecast: nothing in it looks wrong."""
    worker = make("answers_another")
    worker.warm_up()
    wrong = {"LATER/USD": "other bars", "LESS/USD": "other bars", "DEARER/USD": "its last close is 100"}
    asked = [context(symbol, horizon=3) for symbol in (*wrong, "BOTH/USD", "BTC/USD")]
    assert set(worker.forecast(asked)) == {"BOTH/USD", "BTC/USD"}
    assert set(worker.refusals) == {*wrong, "GHOST/USD"}
    for symbol, why in {**wrong, "GHOST/USD": "was not asked for"}.items():
        assert why in worker.refusals[symbol]


def test_death_during_warm_up_is_told_and_the_next_attempt_works(make: Make) -> None:
    worker = make("dies_warming", backoff_first_s=0.3)
    with pytest.raises(ForecastError, match="SIGKILL"):
        worker.warm_up()
    with pytest.raises(ForecastError, match="restarting"):
        worker.forecast([context()])
    worker.warm_up()
    assert worker.forecast([context()])


def test_where_the_machine_has_no_room_for_a_start_it_is_tried_again_until_it_has(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = make("steady", warm_up_deadline_s=20.0)
    with monkeypatch.context() as full:
        full.setattr(tempfile, "tempdir", str(tmp_path / "gone"))  # nor can a folder be made on a full disk
        full.setattr(children, "_temporary", None)  # which it would have to be
        with pytest.raises(ForecastError, match=r"start: .*gone"):
            worker.warm_up()
    eventually(lambda: worker.state is WorkerState.READY)
    assert worker.forecast([context()])


def test_a_warm_up_has_a_deadline_of_its_own(make: Make) -> None:
    worker = make("hangs_warming", warm_up_deadline_s=3.0)
    with pytest.raises(ForecastError, match="warm-up: deadline of 3 s"):  # it would have hung for ever
        worker.warm_up()
    eventually(lambda: worker.state is WorkerState.READY)


def test_restarts_come_ever_more_slowly_up_to_a_bound(make: Make, tmp_path: Path) -> None:
    worker = make("dies_warming", options={"marker": ""}, backoff_first_s=0.05, backoff_last_s=0.2)
    ends = []
    for _ in range(5):
        with pytest.raises(ForecastError, match="SIGKILL"):
            worker.warm_up()
        ends.append(time.monotonic())
    assert ends[-1] - ends[0] >= 0.05 + 0.1 + 0.2 + 0.2


def test_wrong_options_fail_for_good_with_one_line(make: Make) -> None:
    worker = make("steady", options={"bites": 1})
    with pytest.raises(ForecastError, match=r"bites.*did you mean 'bytes'") as raised:
        worker.warm_up()
    assert "\n" not in raised.value.reason
    assert worker.state is WorkerState.FAILED
    with pytest.raises(ForecastError, match="failed"):
        worker.forecast([context()])


def test_guard_24_a_chatty_child_never_blocks_on_its_output_and_takes_its_own_children_with_it(make: Make) -> None:
    lines: list[str] = []
    worker = make("talks_much", on_log=lines.append)
    worker.warm_up()
    assert worker.forecast([context()])
    eventually(lambda: any(line.startswith("helper ") for line in lines))
    helper = psutil.Process(int(next(line for line in lines if line.startswith("helper ")).split()[1]))
    worker.close()
    eventually(lambda: not helper.is_running() or helper.status() == psutil.STATUS_ZOMBIE)


def test_a_broken_log_callback_does_not_stop_the_draining(make: Make) -> None:
    def refuse(line: str) -> None:
        raise ValueError(line[:10])

    worker = make("talks_much", on_log=refuse)
    worker.warm_up()
    assert worker.forecast([context()])


def test_close_during_a_forecast_ends_it_and_is_idempotent(make: Make) -> None:
    worker = make("hangs", deadline_s=2 * GENEROUS_S)
    worker.warm_up()
    child = psutil.Process(worker.ping(GENEROUS_S).pid)
    raised: list[ForecastError] = []

    def wait_for_forecast() -> None:
        with pytest.raises(ForecastError) as caught:
            worker.forecast([context()])
        raised.append(caught.value)

    waiting = threading.Thread(target=wait_for_forecast)
    waiting.start()
    eventually(lambda: worker.ping(GENEROUS_S).busy_s > 0)
    closers = [threading.Thread(target=worker.close) for _ in range(3)]
    for thread in closers:
        thread.start()
    for thread in [*closers, waiting]:
        thread.join(GENEROUS_S)
    assert [error.reason for error in raised] == ["the worker is closed"]
    assert not child.is_running()
    with pytest.raises(ForecastError, match="closed"):
        worker.warm_up()


def test_a_second_caller_waits_no_longer_than_its_deadline(make: Make) -> None:
    worker = make("hangs", deadline_s=2 * GENEROUS_S)
    worker.warm_up()

    def never_answered() -> None:
        with pytest.raises(ForecastError):
            worker.forecast([context()])

    first = threading.Thread(target=never_answered)
    first.start()
    eventually(lambda: worker.ping(GENEROUS_S).busy_s > 0)
    with pytest.raises(ForecastError, match="busy"):  # the first never ends
        worker.forecast([context()], deadline_s=0.2)
    worker.close()
    first.join(GENEROUS_S)


def test_guard_09_the_child_does_not_outlive_a_parent_that_is_killed(oddities: Path) -> None:
    program = (
        "import sys, threading\n"
        "from forecasters.worker.client import Worker, WorkerSettings\n"
        "worker = Worker(WorkerSettings(backend='steady'))\n"
        "worker.warm_up()\n"
        "print(worker.ping(60).pid, flush=True)\n"
        "threading.Event().wait()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(oddities)}
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_progress_of_a_warm_up_reaches_the_caller(oddities: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(oddities))
    heard: list[Progress] = []
    worker = Worker(WorkerSettings(backend="steady-small"), on_progress=heard.append)
    worker.warm_up()
    worker.close()
    assert Progress(text="steadying", share=0.5) in heard


def test_why_a_symbol_has_no_forecast_and_what_was_mended_reach_whoever_asks(make: Make) -> None:
    worker = make("tells_why")
    worker.warm_up()
    assert set(worker.forecast([context(), context("THIN/USD")])) == {"BTC/USD"}
    assert dict(worker.refusals) == {"THIN/USD": "hardly a trade"}
    assert dict(worker.mended) == {"BTC/USD": Mended(mended=12, dropped=1, of=30)}
    assert worker.forecast([context("THIN/USD")]) == {}
    assert dict(worker.mended) == {}


def test_what_a_backend_says_of_its_forecasts_that_makes_no_sense_costs_none() -> None:
    server = Server("telling", lambda: tells_why.build(Options()), None)
    server.warm_up()
    asked = [context(), context("NONSENSE/USD")]
    reply = server._reply_to(_Job("forecast", GENEROUS_S, asked))
    assert reply.header["kind"] == "ok"
    assert [symbol for symbol, _ in wire.unpack_forecasts(reply)] == ["BTC/USD", "NONSENSE/USD"]
    assert wire.unpack_account(reply.header) == Account()
