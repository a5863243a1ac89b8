"""Arms for comparisons: a sound pair, and one broken in each way that ever fooled somebody."""

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

MODEL = "model@1"


class Costly:
    """The baseline, `times` as slow: it makes each forecast so often."""

    def __init__(self, times: int) -> None:
        self.name = "baseline"
        self._inner: Forecaster = registry.build("baseline", {"samples": 256})
        self._times = times

    def warm_up(self) -> None:
        self._inner.warm_up()

    def forecast(self, contexts: Sequence[Context]) -> Answer:
        for _ in range(self._times - 1):
            self._inner.forecast(contexts)
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


def eager(times: int = 4, *, shows: Shows | None = None) -> Rival:
    return _rival("eager", "key of eager", Costly(times), CompileReport(), shows or logits())


def compiled(
    tampering: Tampering = lambda answer, call: answer,
    *,
    key: str = "key of compiled",
    frames: int = 1,
    shows: Shows | None = None,
) -> Rival:
    report = CompileReport(frames=frames, warm_up_s=1.0)
    return _rival("compiled", key, Tampered(Costly(1), tampering), report, shows or logits())


def _rival(name: str, key: str, forecaster: Forecaster, report: CompileReport, shows: Shows) -> Rival:
    forecaster.warm_up()
    return Rival(
        name=name, key=key, forecaster=forecaster, report=lambda: report, memory=lambda: 100.0, teacher_forced=shows
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

    def tamper(answer: Answer, call: int) -> Answer:
        if call % every:
            return answer
        return {symbol: _scaled(forecast, 1 + share) for symbol, forecast in answer.items()}

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


def _scaled(forecast: Forecast, factor: float) -> Forecast:
    paths = None if forecast.paths is None else forecast.paths * factor
    return replace(forecast, quantiles=forecast.quantiles * factor, paths=paths)
