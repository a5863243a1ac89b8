"""Two forecasters asked the same things in turns, with everything written down that tells them apart.

    pair = InTurns(reference, candidate)  # a Forecaster: it answers with the reference's forecasts
    simulate(setup, pair)                           # a backtest of the reference, each cycle asked of both
    simulate(setup, Recorded(pair.candidate))       # then one of the candidate, from the answers it gave

Which of them goes first changes with each question, so that a machine that grows slower favours neither, and so does
what one finds warm that the other has used.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from forecasters.base import Forecaster, ForecastError
from forecasters.compiled.compile_report import CompileReport
from forecasters.compiled.forced import Forced
from forecasters.compiled.guard import FALLBACK
from forecasters.types import Context, Forecast
from trader.research.forecasts.key import Question, question_of

FAILURES_KEPT = 20
Tell = Callable[[int, Sequence[Context]], "tuple[QuestionResult, QuestionResult] | None"]
_KEPT = 48  # questions, at most


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionResult:
    """What came of one question: the forecasts by symbol and how long they took, or why it failed."""

    forecasts: Mapping[str, Forecast]
    seconds: float
    failure: str = ""


@dataclass(slots=True, kw_only=True)
class Rival:
    """One forecaster under comparison, and what it did.

    key        of its forecasts
    report     what its compiler did so far; None where it can't tell
    memory     its process's peak in MB; None where unknown
    teacher_forced  its network's raw outputs, nothing where it has none; raises ForecastError
    seconds    of each question that it answered, by number of the question, unless it had answered it before
    slowest_s  the longest of all its answers
    answers    by question; a forecast that was refused is absent
    failures   the first of them, a line each; `failed` counts all
    misplaced  answers that were of other bars, or another question's
    warm_up_s  until it was ready, as its caller waited
    last       what came of the question that was asked last
    clock      in seconds
    """

    name: str
    key: str
    forecaster: Forecaster
    report: Callable[[], CompileReport | None]
    memory: Callable[[], float | None]
    teacher_forced: Callable[[Sequence[Context]], Forced] = lambda contexts: {}
    seconds: dict[int, float] = field(default_factory=dict)
    slowest_s: float = 0.0
    answers: dict[Question, Forecast] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    failed: int = 0
    asked: int = 0
    served_eager: int = 0
    misplaced: int = 0
    model: str = ""
    warm_up_s: float | None = None
    last: QuestionResult | None = None
    clock: Callable[[], float] = time.perf_counter
    _inputs: list[str] = field(default_factory=list)
    _seen: dict[bytes, Question] = field(default_factory=dict)

    @property
    def inputs(self) -> str:
        """Hash of all that it was asked, in order."""
        return hashlib.blake2b("\n".join(self._inputs).encode(), digest_size=16).hexdigest()

    def anew(self) -> Rival:
        """The same forecaster, of which nothing is known yet."""
        return Rival(
            name=self.name,
            key=self.key,
            forecaster=self.forecaster,
            report=self.report,
            memory=self.memory,
            model=self.model,
            clock=self.clock,
        )

    def ask(
        self, number: int, contexts: Sequence[Context], known: QuestionResult | None = None
    ) -> Mapping[str, Forecast]:
        """Its forecasts, none where it failed. `known`: what came of this very question before; judged all the same."""
        questions = {context.symbol: question_of(context) for context in contexts}
        self.asked += len(contexts)
        self._inputs += [repr(question) for question in questions.values()]
        self.last = known if known is not None else self._asked(contexts)
        if self.last.failure:
            self.fail(self.last.failure)
            return {}
        self.slowest_s = max(self.slowest_s, self.last.seconds)
        if self.answers.keys().isdisjoint(questions.values()):  # what it may only remember says nothing of its speed
            self.seconds[number] = self.last.seconds
        for context in contexts:
            forecast = self.last.forecasts.get(context.symbol)
            if forecast is None:
                self.fail(f"{context.symbol}: no forecast")
            else:
                self._take(questions[context.symbol], context, forecast)
        return self.last.forecasts

    def _asked(self, contexts: Sequence[Context]) -> QuestionResult:
        start = self.clock()
        try:
            forecasts = self.forecaster.forecast(contexts)
        except ForecastError as error:
            return QuestionResult(forecasts={}, seconds=0.0, failure=error.reason or type(error).__name__)
        return QuestionResult(forecasts=forecasts, seconds=self.clock() - start)

    def fail(self, reason: str) -> None:
        """Something that a sound forecaster would not have done."""
        self.failed += 1
        if len(self.failures) < FAILURES_KEPT:
            self.failures.append(reason)

    def _take(self, question: Question, context: Context, forecast: Forecast) -> None:
        self.answers[question] = forecast
        self.model = self.model or forecast.model
        self.served_eager += forecast.compile_mode == FALLBACK
        self.misplaced += self._is_of_another(question, context, forecast)
        if forecast.model != self.model:
            self.fail(f"{context.symbol}: answered by {forecast.model}, before by {self.model}")

    def _is_of_another(self, question: Question, context: Context, forecast: Forecast) -> bool:
        """Of another moment or price, or the very answer that another question got: what a stale cache gives."""
        if forecast.asof != context.asof or forecast.last_close != context.last_close:
            return True
        if not np.array_equal(forecast.times, context.future_times):
            return True
        relative = np.round(forecast.quantiles / forecast.last_close, 12)
        prints = [hashlib.blake2b(each.tobytes(), digest_size=16).digest() for each in (forecast.quantiles, relative)]
        return any(self._seen.setdefault(each, question) != question for each in prints)


class InTurns:
    """A Forecaster over two rivals. What the reference says is the answer.

    kept     the contexts of some of the questions, evenly spread over all of them
    tell     what both answered a question in an earlier sitting, None where it is to be asked
    on_done  told of each question that was asked now, by its number, once both have answered
    """

    def __init__(
        self,
        reference: Rival,
        candidate: Rival,
        *,
        tell: Tell = lambda number, contexts: None,
        on_done: Callable[[int, Sequence[Context]], None] = lambda number, contexts: None,
    ) -> None:
        self.name = reference.name
        self.reference, self.candidate = reference, candidate
        self.questions = 0
        self._tell, self._on_done = tell, on_done
        self.kept: list[Sequence[Context]] = []
        self._every = 1

    def warm_up(self) -> None:
        """Whoever made the rivals warmed them up: what that takes is part of what is compared."""

    def forecast(self, contexts: Sequence[Context]) -> Mapping[str, Forecast]:
        answers = self._tell(self.questions, contexts)
        first, second = (None, None) if answers is None else answers
        if self.questions % 2:
            self.candidate.ask(self.questions, contexts, second)
        forecasts = self.reference.ask(self.questions, contexts, first)
        if not self.questions % 2:
            self.candidate.ask(self.questions, contexts, second)
        if answers is None:
            self._on_done(self.questions, contexts)
        self._keep(contexts)
        self.questions += 1
        return forecasts

    def _keep(self, contexts: Sequence[Context]) -> None:
        if self.questions % self._every == 0:
            self.kept.append(contexts)
        if len(self.kept) > _KEPT:
            self.kept, self._every = self.kept[::2], 2 * self._every

    def close(self) -> None:
        self.reference.forecaster.close()
        self.candidate.forecaster.close()


class Recorded:
    """A Forecaster that says again what a rival answered, and nothing else."""

    def __init__(self, rival: Rival) -> None:
        self.name = rival.name
        self._answers = rival.answers

    def warm_up(self) -> None: ...

    def forecast(self, contexts: Sequence[Context]) -> Mapping[str, Forecast]:
        forecasts = {context.symbol: self._answers.get(question_of(context)) for context in contexts}
        return {symbol: forecast for symbol, forecast in forecasts.items() if forecast is not None}

    def close(self) -> None: ...
