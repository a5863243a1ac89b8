"""Whatever a compiled model does, the forecast of that call is right, says who made it, and somebody hears of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install the extra `models`")

from forecasters.base import ForecastError, InvalidContext, Notice  # noqa: E402
from forecasters.compiled.compile_report import compile_report_of  # noqa: E402
from forecasters.compiled.guard import FALLBACK, Guarded, GuardOptions  # noqa: E402
from forecasters.compiled.marker import Marker  # noqa: E402
from forecasters.compiled.toolchain import CacheFolder  # noqa: E402
from forecasters.compiled.trial import trial_contexts  # noqa: E402
from forecasters.deadline import answering  # noqa: E402
from forecasters.types import Context, Forecast  # noqa: E402
from tests.forecasters.support import context  # noqa: E402
from tests.forecasters.twins import Compiled, Eager, Paths  # noqa: E402

Misdeed = Callable[[Compiled], None]
CONTEXTS = [context("BTC/USD", horizon=4, seed=1), context("ETH/USD", horizon=4, seed=2)]


class Bench:
    """A guard over two twins, with a clock that moves when told to."""

    def __init__(self, *, first: Misdeed = lambda twin: None, **changes: object) -> None:
        self.now, self.eager, self.made = 0.0, Eager(), list[Compiled]()
        self._first = first
        options = GuardOptions.model_validate({"retry_s": 600, **changes})
        self.guard = Guarded(
            name="twin",
            eager=self.eager,
            compile=self._compile,
            trial=lambda: trial_contexts(bars=50, horizons=(4, 4)),
            options=options,
            clock=lambda: self.now,
        )

    def _compile(self) -> Compiled:
        twin = Compiled()
        if not self.made:
            self._first(twin)
        self.made.append(twin)
        return twin

    @property
    def twin(self) -> Compiled:
        return self.made[-1]

    def modes(self) -> set[str]:
        """Of a forecast, whose numbers must be the eager twin's whoever made it."""
        found, wanted = self.guard.forecast(CONTEXTS), Eager().forecast(CONTEXTS)
        assert set(found) == set(wanted)
        for symbol, each in found.items():
            assert np.array_equal(each.quantiles, wanted[symbol].quantiles)
        return {each.compile_mode for each in found.values()}


def scaled(by: float) -> Misdeed:
    def tamper(paths: Paths) -> Paths:
        return paths * by

    return lambda twin: setattr(twin, "tamper", tamper)


def wider(by: float) -> Misdeed:
    """Only the moves are off: a hundredth of a small move is a hard thing to see in a price."""

    def tamper(paths: Paths) -> Paths:
        return paths[:1, :1, :1] * (paths / paths[:1, :1, :1]) ** by

    return lambda twin: setattr(twin, "tamper", tamper)


def raising(error: BaseException) -> Misdeed:
    def before() -> None:
        raise error

    return lambda twin: setattr(twin, "before", before)


def of_nan(twin: Compiled) -> None:
    twin.tamper = lambda paths: paths * np.nan


def growing(twin: Compiled) -> None:
    """Another shape at each call: everything is compiled again."""

    def before() -> None:
        twin.size += 1

    twin.before = before


def cut(twin: Compiled) -> None:
    twin.whole, twin._graph = False, None


def idle(twin: Compiled) -> None:
    twin.idle = True


WRONG = [
    pytest.param(scaled(1.01), "paths are not the same", id="off by 1%"),
    pytest.param(scaled(1.1), "paths are not the same", id="off by 10%"),
    pytest.param(wider(1.01), "paths are not the same", id="moves off by 1%"),
    pytest.param(of_nan, "NaN", id="NaN"),
    pytest.param(raising(RuntimeError("CUDA error: misaligned address")), "RuntimeError: CUDA error", id="exception"),
    pytest.param(raising(MemoryError()), "out of memory", id="out of memory"),
    pytest.param(raising(torch.OutOfMemoryError("CUDA out of memory")), "out of memory: CUDA", id="out of GPU memory"),
    pytest.param(cut, "graph is cut", id="graph break"),
]


@pytest.mark.parametrize(("misdeed", "reason"), [*WRONG, pytest.param(idle, "compiled nothing", id="no-op")])
def test_what_goes_wrong_while_it_warms_up_keeps_it_from_serving(misdeed: Misdeed, reason: str) -> None:
    bench = Bench(first=misdeed)
    bench.guard.warm_up()
    assert bench.modes() == {FALLBACK}
    assert_told(bench, reason)
    assert bench.made[0].closed


@pytest.mark.parametrize(("misdeed", "reason"), WRONG)
def test_what_goes_wrong_later_costs_no_forecast(misdeed: Misdeed, reason: str) -> None:
    bench = Bench(every=1)
    bench.guard.warm_up()
    assert bench.modes() == {"compiled"}
    assert [notice.severity for notice in bench.guard.notices()] == ["info"]
    misdeed(bench.twin)
    assert bench.modes() == {FALLBACK}
    assert_told(bench, reason)
    assert bench.modes() == {FALLBACK}
    assert bench.guard.notices() == []  # said once


def assert_told(bench: Bench, reason: str) -> None:
    """One error, which names the backend, the reason, who serves now and when it is tried again."""
    (notice,) = bench.guard.notices()
    assert notice.severity == "error"
    assert notice.text.startswith("twin-compiled: failed: ")
    assert reason in notice.text
    assert notice.text.endswith("; eager serves, it is tried again in 600 s")
    state = bench.guard.state()
    assert (state.serving, state.retry_in_s) == ("eager", 600)
    assert reason in state.reason


def test_a_recompile_is_said_and_a_storm_of_them_is_a_failure() -> None:
    bench = Bench(most_recompiles=2, every=0)
    bench.guard.warm_up()
    bench.guard.notices()
    growing(bench.twin)
    assert bench.modes() == bench.modes() == {"compiled"}
    assert [notice.severity for notice in bench.guard.notices()] == ["warning", "warning"]
    assert bench.modes() == {FALLBACK}
    assert_told(bench, "compiled 3 times after its warm-up")
    assert bench.guard.report().recompiles == 3


def test_it_is_tried_again_after_its_time_and_not_before() -> None:
    bench = Bench(first=scaled(1.01))
    bench.guard.warm_up()
    bench.guard.notices()
    bench.now = 599.0
    bench.guard.upkeep()
    assert (len(bench.made), bench.modes()) == (1, {FALLBACK})
    bench.now = 600.0
    bench.guard.upkeep()
    assert (len(bench.made), bench.modes()) == (2, {"compiled"})
    (notice,) = bench.guard.notices()
    assert notice.text.startswith("twin-compiled: serves again: 1 graphs in ")
    assert bench.guard.state().reason == ""


def test_one_that_fails_again_waits_as_long_again() -> None:
    bench = Bench()
    bench._first = lambda twin: None
    bench.guard.warm_up()
    for round in (1, 2):
        raising(RuntimeError("no"))(bench.twin)
        assert bench.modes() == {FALLBACK}
        bench.now = 600.0 * round
        bench.guard.upkeep()
        assert bench.modes() == {"compiled"}


def test_what_is_still_missing_an_hour_later_is_not_said_again() -> None:
    bench = Bench()
    bench.guard._lacking = lambda: ["a C++ compiler"]
    bench.guard.warm_up()
    assert len(bench.guard.notices()) == 1
    bench.now = 600.0
    bench.guard.upkeep()
    assert bench.guard.notices() == []
    assert bench.guard.state().retry_in_s == 600


def test_one_symbol_in_turn_is_compared_once_in_so_many_forecasts() -> None:
    bench = Bench(every=3)
    bench.guard.warm_up()
    counts = []
    for _ in range(12):
        before = bench.eager.asked
        bench.modes()
        counts.append(bench.eager.asked - before)
    assert counts[0] == 2, "the first forecast whole"
    assert [sum(counts[place : place + 3]) for place in (3, 6, 9)] == [1, 1, 1]
    assert len({counts[place : place + 3].index(1) for place in (3, 6, 9)}) > 1, "not always at the same place"


def test_a_fault_of_one_symbol_is_found_when_its_turn_comes() -> None:
    bench = Bench(every=1)
    bench.guard.warm_up()
    bench.modes()
    bench.twin.tamper = lambda paths: paths * (1.05 if abs(paths[0, 0, 0] - CONTEXTS[1].last_close) < 1e-9 else 1.0)
    modes = [bench.guard.forecast(CONTEXTS)["BTC/USD"].compile_mode for _ in range(2)]
    assert FALLBACK in modes


def test_never_compared_later_where_that_is_asked_for() -> None:
    bench = Bench(every=0)
    bench.guard.warm_up()
    before = bench.eager.asked
    bench.modes()
    assert bench.eager.asked == before


def test_a_symbol_that_only_the_compiled_one_left_out_is_a_failure_at_once() -> None:
    bench = Bench(every=0)
    bench.guard.warm_up()
    bench.guard.notices()
    whole = bench.twin.forecast
    bench.twin.forecast = lambda contexts: whole(contexts[1:])  # type: ignore[method-assign]
    assert bench.modes() == {FALLBACK}
    assert_told(bench, "no forecast of BTC/USD")


def test_a_shape_that_was_not_prepared_is_eager_this_once() -> None:
    bench = Bench()
    bench.guard.warm_up()
    bench.guard.notices()
    raising(InvalidContext("65 bars are more than were prepared"))(bench.twin)
    assert bench.modes() == {FALLBACK}
    bench.twin.before = lambda: None
    assert bench.modes() == {"compiled"}
    assert bench.guard.notices() == []


def test_where_eager_would_be_late_that_is_said_at_once_and_the_next_forecast_is_eagers() -> None:
    bench = Bench()
    bench.eager.takes_s = 0.3
    bench.guard.warm_up()
    raising(RuntimeError("no"))(bench.twin)
    with (
        answering(time.monotonic() + 0.2),
        pytest.raises(ForecastError, match="no forecast, RuntimeError: no; eager would have been late"),
    ):
        bench.guard.forecast(CONTEXTS)
    assert bench.modes() == {FALLBACK}


def test_a_comparison_that_would_make_the_answer_late_is_made_after_it() -> None:
    bench = Bench()
    bench.eager.takes_s = 0.3
    bench.guard.warm_up()
    bench.guard.notices()
    scaled(1.01)(bench.twin)
    before = bench.eager.asked
    with answering(time.monotonic() + 0.4):
        assert {each.compile_mode for each in bench.guard.forecast(CONTEXTS).values()} == {"compiled"}
    assert bench.eager.asked == before
    bench.guard.upkeep()
    assert_told(bench, "(found after it had answered)")
    assert bench.modes() == {FALLBACK}


def test_one_that_takes_too_long_is_cut_short_while_eager_can_still_answer() -> None:
    bench = Bench()
    bench.eager.takes_s = 1.0  # of which it is left a second and a half
    bench.guard.warm_up()
    bench.guard.notices()
    bench.eager.takes_s = 0.0
    bench.twin.before = threading.Event().wait
    with answering(time.monotonic() + 2.5):
        assert bench.modes() == {FALLBACK}
    assert_told(bench, "s, then it was eager's turn")


def test_without_a_fallback_there_is_no_forecast() -> None:
    bench = Bench(fallback="none", every=1)
    bench.guard.warm_up()
    scaled(1.01)(bench.twin)
    with pytest.raises(ForecastError, match="differs from eager"):
        bench.guard.forecast(CONTEXTS)
    assert "there are no forecasts" in bench.guard.notices()[-1].text
    with pytest.raises(ForecastError, match="compiled nothing"):
        Bench(fallback="none", first=idle).guard.warm_up()


def test_the_error_of_both_twins_is_the_callers() -> None:
    bench = Bench()
    bench.guard.warm_up()
    raising(RuntimeError("compiled"))(bench.twin)
    bench.eager.forecast = raising_forecast  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="eager"):
        bench.guard.forecast(CONTEXTS)


@pytest.mark.parametrize("forecasts", [0, 3])  # the first one, compared whole, and a later one
def test_where_eager_has_no_memory_beside_the_compiled_one_that_one_gives_way(forecasts: int) -> None:
    """Unwatched it must not serve; and the comparison must not cost this forecast and every one after it."""
    bench = Bench(every=3)
    bench.guard.warm_up()
    bench.guard.notices()
    for _ in range(forecasts):
        bench.modes()
    whole = bench.eager.forecast

    def only_alone(contexts: Sequence[Context]) -> Mapping[str, Forecast]:
        if not bench.twin.closed:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(contexts)

    bench.eager.forecast = only_alone  # type: ignore[method-assign]
    assert {FALLBACK} in [bench.modes() for _ in range(3)]
    assert_told(bench, "eager, which it is held against, failed: out of memory: CUDA out of memory")


def test_a_comparison_that_fails_after_the_answer_is_no_comparison_either() -> None:
    bench = Bench()
    bench.eager.takes_s = 0.3
    bench.guard.warm_up()
    bench.guard.notices()
    with answering(time.monotonic() + 0.4):
        assert {each.compile_mode for each in bench.guard.forecast(CONTEXTS).values()} == {"compiled"}
    bench.eager.forecast = raising_forecast  # type: ignore[method-assign]
    bench.guard.upkeep()
    assert_told(bench, "failed: ValueError: eager (found after it had answered)")


def raising_forecast(contexts: object) -> dict[str, object]:
    raise ValueError("eager")


def test_a_machine_that_lacks_a_compiler_serves_eager_and_says_what_to_install() -> None:
    bench = Bench()
    bench.guard._lacking = lambda: ["a C++ compiler: there is no g++ on the PATH (Debian: apt-get install g++)"]
    bench.guard.warm_up()
    assert bench.modes() == {FALLBACK}
    assert_told(bench, "apt-get install g++")
    assert bench.made == []


def test_a_cache_folder_that_had_to_be_replaced_is_said(tmp_path: Path) -> None:
    bench = Bench()
    bench.guard._cache = CacheFolder(path=tmp_path, problem="/vfast can't be written")
    bench.guard.warm_up()
    assert bench.guard.notices()[0] == Notice(severity="warning", text="twin-compiled: /vfast can't be written")


def test_where_the_last_process_died_of_it_eager_serves(tmp_path: Path) -> None:
    bench = Bench()
    bench.guard._marker = marker = Marker(tmp_path, "twin")
    with marker.held():
        (file,) = tmp_path.iterdir()
        (tmp_path / "twin-4194399").write_text(file.read_text())  # beyond the largest process number
    bench.guard.warm_up()
    assert bench.made == []
    assert bench.modes() == {FALLBACK}
    assert_told(bench, "process 4194399 ended while it ran, the compiled model is suspected")


def test_one_that_is_run_without_the_graphs_it_was_made_for_is_a_failure() -> None:
    """Only a GPU has such graphs: here the count alone is put there."""
    bench = Bench()
    bench.guard.warm_up()
    bench.guard.notices()
    bench.guard._tally._report = replace(bench.guard.report(), cudagraph_skips=2)
    assert bench.modes() == {FALLBACK}
    assert_told(bench, "CUDA graphs were skipped 2 times")


def test_the_report_counts_what_was_compiled_and_is_empty_for_one_that_is_not() -> None:
    bench = Bench()
    bench.guard.warm_up()
    report = compile_report_of(bench.guard)
    assert (report.frames, report.recompiles, report.graph_breaks, report.cold) == (1, 0, 0, None)
    assert report.warm_up_s is not None
    assert compile_report_of(bench.eager).frames == 0


def test_closing_it_closes_both_and_may_be_done_twice() -> None:
    bench = Bench()
    bench.guard.warm_up()
    bench.guard.close()
    bench.guard.close()
    assert bench.twin.closed
