"""Arms for comparisons: a sound pair, and one broken in each way that ever fooled somebody.

Each has a clock of its own that moves when it answers and never otherwise: what an arm costs is planted, not measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from forecasters import registry
from forecasters.base import Forecaster, ForecastError
from forecasters.compiled.compile_report import CompileReport
from forecasters.compiled.forced import Forced, Kind, Outputs
from forecasters.compiled.guard import FALLBACK
from forecasters.types import Context, Forecast
from trader.research.compare.rivals import Rival

Answer = Mapping[str, Forecast]
Shows = Callable[[Sequence[Context]], Forced]
Tampering = Callable[[Answer, int], Answer]
Cost = Callable[[int, Sequence[Context]], float]  # seconds of an answer, by the number of the call

MODEL = "model@1"


class Timed:
    """The baseline, for each of whose answers its clock moves by what `cost` says."""

    def __init__(self, cost: Cost) -> None:
        self.name = "baseline"
        self.now = 0.0
        self._inner: Forecaster = registry.build("baseline", {"samples": 256})
        self._cost = cost
        self._calls = 0

    def warm_up(self) -> None:
        self._inner.warm_up()

    def forecast(self, contexts: Sequence[Context]) -> Answer:
        self._calls += 1
        self.now += self._cost(self._calls, contexts)
        found = self._inner.forecast(contexts)
        return {symbol: replace(forecast, model=MODEL) for symbol, forecast in found.items()}

    def close(self) -> None:
        self._inner.close()


class Tampered:
    """Another forecaster whose answers pass through `tampering`, which is given the number of the call."""

    def __init__(self, inner: Forecaster, tampering: Tampering) -> None:
        self.name = inner.name
        self._inner, self._tampering = inner, tampering
        self._calls = 0

    def warm_up(self) -> None:
        self._inner.warm_up()

    def forecast(self, contexts: Sequence[Context]) -> Answer:
        self._calls += 1
        return self._tampering(self._inner.forecast(contexts), self._calls)

    def close(self) -> None:
        self._inner.close()


def steady(seconds: float, noise: float = 0.05, seed: int = 0) -> Cost:
    """So long, and a little more or less by chance."""
    random = np.random.default_rng([seed, round(seconds * 1e6)])
    return lambda call, contexts: float(seconds * np.exp(random.normal(0, noise)))


def eager(cost: Cost | None = None, *, shows: Shows | None = None) -> Rival:
    timed = Timed(cost or steady(0.2))
    return _rival("eager", "key of eager", timed, timed, CompileReport(), shows or logits())


def compiled(
    tampering: Tampering = lambda answer, call: answer,
    *,
    cost: Cost | None = None,
    key: str = "key of compiled",
    frames: int = 1,
    shows: Shows | None = None,
) -> Rival:
    report = CompileReport(frames=frames, warm_up_s=1.0)
    timed = Timed(cost or steady(0.05))
    return _rival("compiled", key, Tampered(timed, tampering), timed, report, shows or logits())


def _rival(name: str, key: str, forecaster: Forecaster, timed: Timed, report: CompileReport, shows: Shows) -> Rival:
    forecaster.warm_up()
    return Rival(
        name=name,
        key=key,
        forecaster=forecaster,
        report=lambda: report,
        memory=lambda: 100.0,
        teacher_forced=shows,
        clock=lambda: timed.now,
    )


# ---- what their networks say before anything is drawn ----


def logits(off: float = 0.0, kind: Kind = "logits") -> Shows:
    """Of three steps for each context, about what a trained network's are; `off` by so much of themselves."""

    def show(contexts: Sequence[Context]) -> Forced:
        found = {}
        for context in contexts:
            random = np.random.default_rng(int(context.last_close * 100))
            values = random.normal(0, 3, (3, 64))
            found[context.symbol] = {"s1 logits": Outputs(values=values * (1 + off), kind=kind)}
        return found

    return show


def no_logits(contexts: Sequence[Context]) -> Forced:
    return {}


def failing(contexts: Sequence[Context]) -> Forced:
    raise ForecastError("the compiled model does not serve: it was compiled again and again")


def few(contexts: Sequence[Context]) -> Forced:
    return dict(list(logits()(contexts).items())[:-1])


def nan_logits(contexts: Sequence[Context]) -> Forced:
    """Raises what a network's own check of its outputs raises."""
    return {each.symbol: {"s1 logits": Outputs(values=np.full((3, 64), np.nan), kind="logits")} for each in contexts}


def off_by(share: float, every: int = 1) -> Tampering:
    """Prices too high by a share, in every so-manieth call."""
    return wrong_in(lambda call: call % every == 0, share=share)


def wrong_in(
    calls: Callable[[int], bool], *, symbol: str = "", step: int | None = None, share: float = 0.01
) -> Tampering:
    """Prices too high by a share in some calls: everywhere, or of one symbol, or at one step."""

    def tamper(answer: Answer, call: int) -> Answer:
        if not calls(call):
            return answer
        return {name: _scaled(f, 1 + share, step) if symbol in (name, "") else f for name, f in answer.items()}

    return tamper


def not_a_number(answer: Answer, call: int) -> Answer:
    """Raises what the backend's own check of its forecast raises."""
    return {s: replace(f, quantiles=np.full_like(f.quantiles, np.nan), paths=None) for s, f in answer.items()}


def crashing(answer: Answer, call: int) -> Answer:
    if call > 3:
        raise ForecastError("the worker has ended: killed by signal 11")
    return answer


def one_missing(answer: Answer, call: int) -> Answer:
    return {} if call == 5 else answer


def fallen_back(answer: Answer, call: int) -> Answer:
    return {symbol: replace(forecast, compile_mode=FALLBACK) for symbol, forecast in answer.items()}


def of_another_model(answer: Answer, call: int) -> Answer:
    return {symbol: replace(forecast, model="other@1") for symbol, forecast in answer.items()}


def stale() -> Tampering:
    """What a cache gives whose key leaves the bars out: the first answer again and again, under a new date."""
    first: dict[str, Forecast] = {}

    def tamper(answer: Answer, call: int) -> Answer:
        for symbol, forecast in answer.items():
            first.setdefault(symbol, forecast)
        return {
            symbol: replace(forecast, quantiles=first[symbol].quantiles, paths=first[symbol].paths)
            for symbol, forecast in answer.items()
        }

    return tamper


def late() -> Tampering:
    """The answer to the question before."""
    before: dict[str, Forecast] = {}

    def tamper(answer: Answer, call: int) -> Answer:
        found = {symbol: before.get(symbol, forecast) for symbol, forecast in answer.items()}
        before.update(answer)
        return found

    return tamper


def _scaled(forecast: Forecast, factor: float, step: int | None = None) -> Forecast:
    """At one step, or at all."""
    factors = np.ones((len(forecast.times), 1))
    factors[slice(None) if step is None else step] = factor
    paths = None if forecast.paths is None else forecast.paths * factors
    return replace(forecast, quantiles=forecast.quantiles * factors, paths=paths)
