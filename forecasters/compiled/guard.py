"""A compiled model under the eyes of its eager twin: the same weights, computed twice now and then.

    forecaster = Guarded(name="kronos", eager=eager, compile=eager.compiled_twin, trial=..., options=GuardOptions())
    forecaster.warm_up()             # loads, compiles, compares on made-up bars of the shapes that will come
    forecaster.forecast(contexts)    # compiled; every so often compared on what was asked; else by the eager twin
    forecaster.report()              -> CompileReport, what the compiler did: for whoever compares backends
    forecaster.state()               -> GuardState, who serves, and why
    forecaster.upkeep()              # between forecasts: tries again once its time has come

The eager twin takes over within the same call when the compiled model raises, runs out of memory, compiles nothing,
cuts its graph, skips CUDA graphs, recompiles again and again, or gives another answer. The reason becomes a notice for
the operator. Not to be had silently: what served is said in each forecast's `compile_mode`. The stages of a compiled
model, and what leads from one to the next, are a table in stages.py.

Where an answer is wanted by some time, the compiled model is left alone no longer than leaves the eager one its own
time, as measured; a comparison that would make the answer late is made after it; and a compilation in between gives
way to an answer that it would make late.

Once a day all that is asked is asked of both, and how far apart and how fast they are becomes a notice: whether it pays
to compile on this machine is on record, day by day, whatever was measured before it was chosen.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from forecasters.base import Forecaster, ForecastError, InvalidContext, Notice, Severity, account_of, notices_of
from forecasters.compiled.compile_report import CompileReport, CompileTally
from forecasters.compiled.faults import free_device_memory, in_words
from forecasters.compiled.forced import COARSER, Forced, output_distances, teacher_forced_of
from forecasters.compiled.likeness import Likeness, Tolerance, likeness
from forecasters.compiled.marker import Marker
from forecasters.compiled.pace import Pace
from forecasters.compiled.rounds import Rounds
from forecasters.compiled.stages import GuardState, Owed, Stage, Standing
from forecasters.compiled.toolchain import CacheFolder
from forecasters.deadline import OutOfTime, cut_short
from forecasters.progress import report as say_progress
from forecasters.types import Context, Forecast

__all__ = ["FALLBACK", "CompileReport", "GuardOptions", "GuardState", "Guarded"]

FALLBACK = "eager (fallback)"  # as compile_mode of a forecast that should have been a compiled model's
DAY_S = 86_400.0

_log = logging.getLogger(__name__)


class GuardOptions(BaseModel):
    """How closely a compiled model is watched.

    every            forecasts between two comparisons with eager; 0: only before it serves
    within           forecasts until each symbol was compared, however many there are, whatever `every` says
    outputs          of what the network says of a step given the same past: see forecasters.compiled.forced
    difference       of a price, as a share of the forecast's width there, that is still the same price
    agreement        least share of the sampled steps with an equal past that must come out the same
    retry_s          after it has failed, so long before it is tried again
    most_recompiles  after the warm-up; each is a notice, more than so many a failure
    fallback         eager, or none: then there is no forecast where the compiled model fails
    cache_dir        where compiled code is kept; empty: the user's cache folder
    inductor_dir     torch's own part of it; empty: `inductor` in it
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    every: int = Field(default=50, ge=0)
    within: int = Field(default=200, ge=1)
    outputs: float = Field(default=1e-3, gt=0, le=1)
    difference: float = Field(default=2e-3, gt=0, lt=1)
    agreement: float = Field(default=0.995, gt=0, le=1)
    retry_s: float = Field(default=3600.0, gt=0)
    most_recompiles: int = Field(default=2, ge=0)
    fallback: Literal["eager", "none"] = "eager"
    cache_dir: str = ""
    inductor_dir: str = ""

    def tolerance(self, dtype: str) -> Tolerance:
        """bfloat16 rounds a thousand times more coarsely: ten times as many steps may turn out otherwise."""
        is_exact = dtype == "float32"
        allowed = (1 - self.agreement) * (1 if is_exact else 10)
        return Tolerance(
            difference=self.difference,
            agreement=max(0.0, 1 - allowed),
            outputs=min(self.outputs * (1 if is_exact else COARSER), 1.0),
        )


class Guarded:
    """A Forecaster of two: the compiled one while it is right, else the eager one. Not for several threads."""

    def __init__(
        self,
        *,
        name: str,
        eager: Forecaster,
        compile: Callable[[], Forecaster],
        trial: Callable[[], Sequence[Context]],
        options: GuardOptions,
        dtype: str = "float32",
        lacking: Callable[[], Sequence[str]] = tuple,
        cache: CacheFolder | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        compile  the twin, of the eager one's weights, compiled anew each time; called after the eager one's warm-up
        trial    contexts of the shapes that will be asked for: what is compiled before it serves
        lacking  what compiling needs and this machine has not
        """
        self.name = name
        self._eager, self._compile, self._trial, self._lacking = eager, compile, trial, lacking
        self._options, self._tolerance = options, options.tolerance(dtype)
        self._cache, self._clock = cache, clock
        self._marker = Marker(cache.path / "running", name) if cache is not None else None
        self._standing = Standing(retry_at=clock())
        self._tally, self._checked = CompileTally(), 0
        self._last: Likeness | None = None
        self._pace, self._series = Pace(), 1  # at once, as last asked for
        self._whole_at = clock()
        self._shown_of: Sequence[Context] = ()  # whose outputs are to be compared when there is time
        self._rounds = Rounds(options.every, options.within)
        self._is_exact = dtype == "float32"  # a path that turns is rare enough to be suspicious
        self._notices: list[Notice] = []
        self._answered_by(None)

    def warm_up(self) -> None:
        """The eager one first, which must load: ForecastError. What is wrong with the compiled one is a notice."""
        if self._cache is not None and self._cache.problem:
            self._say("warning", self._cache.problem)
        self._eager.warm_up()
        died = self._marker.left_behind() if self._marker is not None else ""
        if died:
            self._give_up(f"{died}, the compiled model is suspected")
        else:
            self._try()
        if self._serving() is None and self._options.fallback == "none":
            raise ForecastError(f"{self.name}: no forecast, the compiled model failed: {self._standing.reason}")

    def forecast(self, contexts: Sequence[Context]) -> Mapping[str, Forecast]:
        """As the twins do; within one call the eager one answers where the compiled one does not, or wrongly."""
        compiled, self._series = self._serving(), len(contexts)
        if compiled is None:
            return self._by_eager(contexts)
        forecasts: Mapping[str, Forecast] = {}
        problem = ""
        limit_s = self._pace.limit_s(len(contexts)) if self._options.fallback == "eager" else None
        start = time.monotonic()
        try:
            with self._tally.counting(), self._mark(), cut_short(limit_s):
                forecasts = compiled.forecast(contexts)
                self._pace.compiled_s = time.monotonic() - start  # of an answer: a failure's says nothing of the next
        except InvalidContext as mismatch:
            _log.info("%s: %s", self.name, mismatch)  # of another shape, or wrong altogether, which eager will say
            return self._by_eager(contexts)
        except OutOfTime:
            problem = f"it gave no answer in {time.monotonic() - start:.1f} s, then it was eager's turn"
        except Exception as error:  # noqa: BLE001 - whatever generated code raises, eager answers
            _log.warning("the compiled model failed", exc_info=True)
            problem = in_words(error)  # what it holds of the memory is let go of with it, before eager needs it
        problem = problem or self._counted() or self._canary(forecasts, contexts)
        self._standing.forecasts += 1
        if problem:
            self._give_up(problem)
            self._refuse_if_late(contexts)
            return self._by_eager(contexts)
        self._answered_by(compiled)
        return forecasts

    def _answered_by(self, who: Forecaster | None) -> None:
        account = account_of(who)
        self.refusals, self.mended = account.refusals, account.mended

    def teacher_forced(self, contexts: Sequence[Context]) -> Forced:
        """By the compiled one. ForecastError where eager serves in its place: what it says is not what was asked."""
        compiled = self._serving()
        if compiled is None:
            raise ForecastError(f"{self.name}: the compiled model does not serve: {self._standing.reason}")
        return teacher_forced_of(compiled, contexts)

    def upkeep(self) -> None:
        """What there was no time for, then the compiled one again where it is time to.

        It may take as long as the first time, where nobody comes to wait for an answer.
        """
        if self._standing.owed is not None:
            self._settle(self._standing.owed)
        if self._shown_of and self._serving() is not None:
            self._hold_networks(self._shown_of)
        if self._standing.stage.is_idle and self._clock() >= self._standing.retry_at:
            self._try()

    def notices(self) -> Sequence[Notice]:
        """What happened since the last call."""
        notices, self._notices = [*notices_of(self._eager), *self._notices], []
        return notices

    def report(self) -> CompileReport:
        """Of the compiled model that serves, or of the last one that was tried."""
        return self._tally.report()

    def state(self) -> GuardState:
        serves = self._serving() is not None
        return GuardState(
            serving="compiled" if serves else "eager",
            reason="" if serves else self._standing.reason,
            retry_in_s=None if serves else max(0.0, self._standing.retry_at - self._clock()),
            checked=self._checked,
            last=self._last,
            times_as_fast=self._pace.times_as_fast,
        )

    def close(self) -> None:
        self._release()
        self._eager.close()

    # ---- the compiled one ----

    def _serving(self) -> Forecaster | None:
        """The compiled one where it is its turn to answer."""
        return self._standing.compiled if self._standing.stage in (Stage.SERVING, Stage.OWING) else None

    def _try(self) -> None:
        """Compile, answer, compare: it serves only after all three."""
        missing = self._lacking()
        if missing:
            self._give_up(f"this machine lacks {' and '.join(missing)}")
            return
        self._standing.try_it()
        again = self._standing.stage is Stage.RETRYING
        self._tally = CompileTally()
        try:
            with cut_short(None, reserve_s=self._pace.reserve_s(self._series)):
                with self._tally.warming_up(), self._mark():
                    compiled = self._standing.compiled = self._compile()
                    compiled.warm_up()
                    contexts = self._trial()
                    forecasts = compiled.forecast(contexts)
                say_progress(f"compiled: {self._tally.report().summary}")
                problem = (
                    self._made() or self._alike(forecasts, contexts) or self._networks(contexts, alone=not forecasts)
                )
        except OutOfTime:
            problem = "a forecast was wanted, and it was not yet compiled again"
        except Exception as error:  # noqa: BLE001 - a compiler raises anything, and eager serves all the same
            _log.warning("the model could not be compiled", exc_info=True)
            problem = in_words(error)
        if problem:
            self._give_up(problem)
            return
        self._standing.serve()
        self._say("info", f"serves{' again' if again else ''}: {self._tally.report().summary}")

    def _mark(self) -> AbstractContextManager[None]:
        """On the disk meanwhile: should the process die of it, the next one knows."""
        return nullcontext() if self._marker is None else self._marker.held()

    def _made(self) -> str:
        """What the compiler's counters say against it, empty where nothing."""
        done = self._tally.report()
        if done.frames == 0:
            return "it compiled nothing: what was called compiled would have run eager"
        if done.graph_breaks:
            return f"its graph is cut in {done.graph_breaks} places"
        if done.cudagraph_skips:
            return f"CUDA graphs were skipped {done.cudagraph_skips} times"
        return ""

    def _counted(self) -> str:
        """The same after a forecast; the first recompiles are only said."""
        done, problem = self._tally.report(), self._made()
        if done.recompiles > self._options.most_recompiles:
            problem = problem or f"it was compiled {done.recompiles} times after its warm-up"
        if done.recompiles > self._standing.recompiles_said and not problem:
            self._say("warning", f"it was compiled again within a forecast, {done.recompiles} times since the warm-up")
        self._standing.recompiles_said = done.recompiles
        return problem

    def _canary(self, forecasts: Mapping[str, Forecast], contexts: Sequence[Context]) -> str:
        """The first forecast and one a day whole, others by some symbols in turn, and always what was left out."""
        every, compiled_s = self._options.every, None
        due = set(self._rounds.due([context.symbol for context in contexts if context.symbol in forecasts]))
        if every and (self._standing.forecasts == 0 or self._clock() - self._whole_at >= DAY_S):
            due, compiled_s, self._whole_at = set(forecasts), self._pace.compiled_s, self._clock()
        sample = [context for context in contexts if context.symbol in due or context.symbol not in forecasts]
        if not sample:
            return ""
        chosen = {symbol: forecast for symbol, forecast in forecasts.items() if symbol in due}
        if not self._pace.allows_eager(len(sample)):
            self._standing.owe(Owed(forecasts=chosen, contexts=sample, compiled_s=compiled_s))
            return ""
        return self._alike(chosen, sample, compiled_s)

    def _settle(self, owed: Owed) -> None:
        """The comparison that the answer did not wait for; put off again where the next one can't wait either."""
        try:
            with cut_short(None, reserve_s=self._pace.reserve_s(len(owed.contexts))):
                problem = self._alike(owed.forecasts, owed.contexts, owed.compiled_s)
        except OutOfTime:
            return
        self._standing.settle()
        if problem:
            self._give_up(f"{problem} (found after it had answered)")

    def _hold_networks(self, contexts: Sequence[Context]) -> None:
        """The daily one, between two forecasts; put off again where the next one can't wait."""
        try:
            with cut_short(None, reserve_s=self._pace.reserve_s(len(contexts))):
                problem = self._networks(contexts)
        except OutOfTime:
            return
        except Exception as error:  # noqa: BLE001 - whatever generated code raises, eager serves
            problem = in_words(error)
        self._shown_of = ()
        if problem:
            self._give_up(f"{problem} (found after it had answered)")

    def _alike(
        self, forecasts: Mapping[str, Forecast], contexts: Sequence[Context], compiled_s: float | None = None
    ) -> str:
        """compiled_s  what all of it took the compiled one, where the two are to be timed, too"""
        started = time.monotonic()
        try:
            with self._pace.eager(len(contexts)):
                eager = self._eager.forecast(contexts)
        except Exception as error:  # noqa: BLE001 - it may do better where it has the memory to itself
            _log.warning("the eager model failed", exc_info=True)
            return f"eager, which it is held against, failed: {in_words(error)}"
        eager_s = time.monotonic() - started
        if not forecasts and not eager:
            return ""  # neither has one: nothing was compared, and nothing is wrong
        result = likeness(forecasts, eager, self._tolerance)
        self._last, self._checked = result, self._checked + 1
        again_and_again = self._rounds.looked(eager.keys(), result.turned if self._is_exact else ())
        if result.problem or again_and_again:
            return f"it differs from eager: {result.problem or again_and_again}"
        if compiled_s is not None:
            self._shown_of = contexts  # no answer waits for it: two more passes through each network
            self._pace.compared(compiled_s, eager_s)
            if self._pace.comparisons > 1:  # the first is of a start, which says enough
                self._say("info", f"as eager: {result.summary}; {self._pace.summary}")
        return ""

    def _networks(self, contexts: Sequence[Context], *, alone: bool = False) -> str:
        """What the two networks say given the same past. It sees what no sampled path of one forecast shows.

        alone   no forecast was compared: something must be
        """
        if self._standing.compiled is None:
            return ""
        forced = [teacher_forced_of(each, contexts) for each in (self._standing.compiled, self._eager)]
        ours, theirs = forced
        if ours.keys() != theirs.keys():
            return f"one network shows its outputs of {len(ours)} contexts, the other of {len(theirs)}"
        if alone and not theirs:
            return "neither it nor eager gave a forecast in the trial: nothing was compared"
        distances = output_distances([ours[symbol] for symbol in theirs], list(theirs.values()))
        allowed = self._tolerance.outputs
        off = [f"{name} by {distance.worst:.2g}" for name, distance in distances.items() if distance.worst > allowed]
        return f"given the same past, the networks differ in {', '.join(off)}; {allowed:g} is allowed" if off else ""

    # ---- the eager one ----

    def _refuse_if_late(self, contexts: Sequence[Context]) -> None:
        """Said at once, the next forecast is eager's; begun in vain, it would end this process."""
        if self._options.fallback == "eager" and self._pace.is_hopeless(len(contexts)):
            raise ForecastError(f"{self.name}: no forecast, {self._standing.reason}; eager would have been late")

    def _by_eager(self, contexts: Sequence[Context]) -> Mapping[str, Forecast]:
        if self._options.fallback == "none":
            raise ForecastError(
                f"{self.name}: no forecast, {self._standing.reason or 'nothing of this shape is compiled'}"
            )
        with self._pace.eager(len(contexts)):
            forecasts = self._eager.forecast(contexts)
        self._answered_by(self._eager)
        return {symbol: replace(forecast, compile_mode=FALLBACK) for symbol, forecast in forecasts.items()}

    def _give_up(self, problem: str) -> None:
        """What is found wrong again when it is tried again is not said again."""
        self._release()
        if not self._standing.fail(problem, retry_at=self._clock() + self._options.retry_s):
            _log.info("%s: still %s", self.name, problem)
            return
        instead = "eager serves" if self._options.fallback == "eager" else "there are no forecasts"
        self._say("error", f"failed: {problem}; {instead}, it is tried again in {self._options.retry_s:g} s")

    def _release(self) -> None:
        compiled = self._standing.let_go()
        if compiled is not None:
            compiled.close()
            free_device_memory()

    def _say(self, severity: Severity, text: str) -> None:
        self._notices.append(Notice(severity=severity, text=f"{self.name}-compiled: {text}"))
