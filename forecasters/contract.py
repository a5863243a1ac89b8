"""What every backend owes the daemon, as checks that anybody can run on a backend of their own.

    for finding in check_backend("mine", {"trees": 50}):
        print(finding.check, finding.problem or "holds")

`trader backends check NAME` shows the same as a table. A check asks a built backend and says what is wrong, in one
line; nothing is asserted and nothing is stored. The bars are made from a seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC

import numpy as np

from forecasters import registry
from forecasters.base import Forecaster, ForecastError
from forecasters.checks import Checks, Finding
from forecasters.made import hours, made_bars, made_context
from forecasters.types import CHANNELS, CLOSE, HIGH, LOW, OPEN, TAG, Context, Forecast
from forecasters.worker.client import Worker, WorkerSettings
from forecasters.worker.sandbox.policy import DEFAULT, Sandbox

__all__ = ["CHECKS", "Check", "Finding", "Subject", "check_backend", "equal", "hours", "made_bars", "made_context"]

_WIDEST = 0.05  # the outer quantiles of the next hour lie on both sides of the last close, or miss it by less
_SERIES = (("BTC/USD", 1, 60_000.0), ("DOGE/USD", 2, 1e-8), ("AAPL", 3, 1e9))


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A backend under examination, built and warm.

    bars, horizon  of the contexts that it is asked with
    deadline_s     of a forecast in a process of its own
    sandbox        of that process
    """

    name: str
    options: Mapping[str, object]
    forecaster: Forecaster
    bars: int = 200
    horizon: int = 3
    deadline_s: float = 60.0
    sandbox: Sandbox = DEFAULT

    def batch(self) -> list[Context]:
        return [made_context(s, seed, close, bars=self.bars, horizon=self.horizon) for s, seed, close in _SERIES]

    def ask(self, contexts: Sequence[Context]) -> Mapping[str, Forecast]:
        return self.forecaster.forecast(contexts)


Check = Callable[[Subject], str]


_check: Checks[Subject] = Checks()
CHECKS: Mapping[str, Check] = _check.by_name


def check_backend(
    name: str,
    options: Mapping[str, object],
    *,
    bars: int = 200,
    horizon: int = 3,
    deadline_s: float = 60.0,
    sandbox: Sandbox = DEFAULT,
) -> Iterator[Finding]:
    """One finding a check, as it is made. Raises ForecastError where the backend can't be built or warmed up at all."""
    forecaster = registry.build(name, options)
    try:
        forecaster.warm_up()
        subject = Subject(
            name=name,
            options=options,
            forecaster=forecaster,
            bars=bars,
            horizon=horizon,
            deadline_s=deadline_s,
            sandbox=sandbox,
        )
        yield from _check.findings(subject)
    finally:
        forecaster.close()


def equal(first: Forecast, second: Forecast) -> bool:
    """To the last bit; how long it took is no part of it."""
    if (first.paths is None) != (second.paths is None):
        return False
    same_paths = first.paths is None or second.paths is None or np.array_equal(first.paths, second.paths)
    return np.array_equal(first.quantiles, second.quantiles) and same_paths


def _differing(first: Mapping[str, Forecast], second: Mapping[str, Forecast]) -> str:
    """The symbols whose forecasts are not the same, or that only one side has."""
    names = sorted(set(first) | set(second))
    return ", ".join(n for n in names if n not in first or n not in second or not equal(first[n], second[n]))


# ---- what is answered ----


@_check("each symbol gets a forecast of the bars that were asked for")
def _of_what_was_asked(subject: Subject) -> str:
    contexts = subject.batch()
    answer = subject.ask(contexts)
    if set(answer) != {context.symbol for context in contexts}:
        return f"asked for {', '.join(c.symbol for c in contexts)}, given {', '.join(answer) or 'nothing'}"
    for context in contexts:
        forecast = answer[context.symbol]
        if forecast.symbol != context.symbol or not np.array_equal(forecast.times, context.future_times):
            return f"{context.symbol}: the forecast is of {forecast.symbol} at {forecast.times}"
        if forecast.asof != context.asof or forecast.asof.tzinfo is not UTC:
            return f"{context.symbol}: asof is {forecast.asof}, right is context.asof"
        if forecast.last_close != context.last_close:
            return f"{context.symbol}: last_close is {forecast.last_close}, right is context.last_close"
    return ""


@_check("a forecast says by whom it is: backend, model as name@revision, dtype, compile mode")
def _says_by_whom(subject: Subject) -> str:
    for forecast in subject.ask(subject.batch()[:1]).values():
        if not (forecast.backend and forecast.dtype and forecast.compile_mode):
            return "backend, dtype or compile_mode is empty"
        if "@" not in forecast.model:
            return f"model is {forecast.model!r}, right is name@revision"
    return ""


@_check("quantiles do not cross, reach 10% and 90%, and are bars")
def _quantiles_are_sound(subject: Subject) -> str:
    for forecast in subject.ask(subject.batch()).values():
        levels, quantiles = forecast.levels, forecast.quantiles
        if quantiles.shape != (len(levels), subject.horizon, len(CHANNELS)):
            return f"{forecast.symbol}: quantiles have the shape {quantiles.shape}"
        if levels[0] > 0.1 or levels[-1] < 0.9:
            return f"levels end at {levels[0]:g} and {levels[-1]:g}: `trader evaluate` needs 0.1 and 0.9"
        if (np.diff(quantiles, axis=0) < 0).any():
            return f"{forecast.symbol}: a quantile is below that of a lower level"
        body = quantiles[..., [OPEN, CLOSE]]
        if (quantiles[..., HIGH] < body.max(-1)).any() or (quantiles[..., LOW] > body.min(-1)).any():
            return f"{forecast.symbol}: an open or close lies outside its low and high"
    return ""


@_check("the distribution surrounds the last close")
def _surrounds_the_last_close(subject: Subject) -> str:
    for forecast in subject.ask(subject.batch()).values():
        lowest, highest = forecast.quantiles[0, 0], forecast.quantiles[-1, 0]
        below, above = forecast.last_close * (1 + _WIDEST), forecast.last_close * (1 - _WIDEST)
        if (lowest >= below).any() or (highest <= above).any():
            return (
                f"{forecast.symbol}: {lowest.min():g} to {highest.max():g}, the last close is {forecast.last_close:g}"
            )
    return ""


# ---- what it may depend on ----


@_check("the same question has the same answer")
def _same_again(subject: Subject) -> str:
    differing = _differing(subject.ask(subject.batch()), subject.ask(subject.batch()))
    return f"asked twice, it answers differently: {differing}" if differing else ""


@_check("a forecast does not depend on what else is in the batch, nor on the order")
def _alone_or_together(subject: Subject) -> str:
    contexts = subject.batch()
    together = subject.ask(contexts)
    if differing := _differing(together, subject.ask(contexts[::-1])):
        return f"in the reverse order it answers differently: {differing}"
    alone = {context.symbol: forecast for context in contexts for forecast in subject.ask([context]).values()}
    differing = _differing(together, alone)
    return f"alone it answers differently: {differing}" if differing else ""


@_check("nothing is remembered between calls")
def _nothing_remembered(subject: Subject) -> str:
    first = subject.batch()[0]
    before = subject.ask([first])
    other = made_context(first.symbol, 17, first.last_close * 1.1, bars=subject.bars, horizon=subject.horizon)
    subject.ask([other])  # other bars of the same symbol
    subject.ask(subject.batch()[::-1])
    differing = _differing(before, subject.ask([first]))
    return f"after other questions it answers differently: {differing}" if differing else ""


@_check("one that is built anew says the same")
def _built_anew(subject: Subject) -> str:
    contexts = subject.batch()
    other = registry.build(subject.name, subject.options)
    try:
        other.warm_up()
        alone = {context.symbol: forecast for context in contexts for forecast in other.forecast([context]).values()}
    finally:
        other.close()
    differing = _differing(subject.ask(contexts), alone)
    return f"built again, it answers differently: {differing}" if differing else ""


@_check("a process of its own says the same, within the deadline")
def _in_a_process(subject: Subject) -> str:
    contexts = subject.batch()
    try:
        reverse_answer = _of_a_worker(subject, contexts[::-1])
        if not _differing(subject.ask(contexts), reverse_answer):
            return ""
        forward_answer = _of_a_worker(subject, contexts)  # this process may use more threads, and round otherwise
    except ForecastError as error:
        return f"in a process of its own, with {subject.deadline_s:g} s for an answer: {error.reason}"
    differing = _differing(reverse_answer, forward_answer)
    return f"two processes answer differently: {differing}" if differing else ""


def _of_a_worker(subject: Subject, contexts: Sequence[Context]) -> Mapping[str, Forecast]:
    with _worker(subject) as worker:
        return worker.forecast(contexts)


@contextmanager
def _worker(subject: Subject) -> Iterator[Worker]:
    """Warm, and ended with the block. Raises ForecastError."""
    settings = WorkerSettings(
        backend=subject.name,
        options=subject.options,
        deadline_s=subject.deadline_s,
        threads=1,
        sandbox=subject.sandbox,
    )
    worker = Worker(settings, on_log=lambda line: None)
    try:
        worker.warm_up()
        yield worker
    finally:
        worker.close()


def _moments(subject: Subject) -> list[Context]:
    """Of one series the same window at later and later times: the bars that one forecasts are in the next."""
    bars, horizon = subject.bars, subject.horizon
    count = bars + 4 * horizon
    times, values = hours(count), made_bars(count, seed=11, last_close=2_000.0)
    firsts = (0, 1, horizon + 1, 2 * horizon + 1)
    return [
        Context(
            symbol=f"ETH/USD{TAG}{number}",
            times=times[first : first + bars],
            values=values[first : first + bars],
            future_times=times[first + bars : first + bars + horizon],
        )
        for number, first in enumerate(firsts)
    ]


@_check("the bars that come, shown before it or beside it, change nothing")
def _later_bars_shown(subject: Subject) -> str:
    """Each alone in the order of time, when none has been shown that it forecasts; then the latest first, and all."""
    moments = _moments(subject)
    alone = {c.symbol: forecast for c in moments for forecast in subject.ask([c]).values()}
    after = {c.symbol: forecast for c in moments[::-1] for forecast in subject.ask([c]).values()}
    if differing := _differing(alone, after):
        return f"once it was shown the bars that come, it answers differently: {differing}"
    differing = _differing(alone, subject.ask(moments[::-1]))
    return f"beside the bars that come, it answers differently: {differing}" if differing else ""


@_check("a fresh process says the same alone and in another order, whatever it was shown")
def _fresh_process(subject: Subject) -> str:
    moments = _moments(subject)
    try:
        with _worker(subject) as worker:
            alone = {c.symbol: forecast for c in moments for forecast in worker.forecast([c]).values()}
            together = worker.forecast(moments[::-1])
        with _worker(subject) as worker:
            at_once = worker.forecast(moments[::-1])
    except ForecastError as error:
        return f"in a process of its own, with {subject.deadline_s:g} s for an answer: {error.reason}"
    if differing := _differing(alone, together):
        return f"alone and together, in another order, it answers differently: {differing}"
    differing = _differing(together, at_once)
    return f"asked at once in a fresh process, it answers differently: {differing}" if differing else ""


@_check("a tag behind the symbol changes nothing")
def _tags_change_nothing(subject: Subject) -> str:
    first = subject.batch()[0]
    twin = first.piece(f"{first.symbol}#7", 0, len(first), first.future_times)
    plain, twin_forecast = subject.ask([first])[first.symbol], subject.ask([first, twin]).get(twin.symbol)
    if twin_forecast is None:
        return f"no forecast of {twin.symbol}"
    return "" if equal(plain, twin_forecast) else "randomness must start from context.series, which has no tag"


@_check("only the context counts: nothing behind its arrays is looked at")
def _no_look_ahead(subject: Subject) -> str:
    bars, horizon = subject.bars, subject.horizon
    times, values = hours(bars + 50), made_bars(bars + 50, seed=5)
    window = Context(symbol="BTC/USD", times=times[:bars], values=values[:bars], future_times=times[bars:][:horizon])
    before = subject.ask([window])
    values[bars:] = np.nan
    times[bars + horizon :] = np.datetime64("NaT")
    differing = _differing(before, subject.ask([window]))
    return "what lies behind the context's last bar changes the forecast" if differing else ""


@_check("what comes later in the calendar does not change what comes first")
def _calendar_is_causal(subject: Subject) -> str:
    first = subject.batch()[0]
    later = first.future_times.copy()
    later[1:] += np.timedelta64(3, "D")
    variant = first.piece(first.symbol, 0, len(first), later)
    before, after = subject.ask([first])[first.symbol], subject.ask([variant])[first.symbol]
    is_same = np.array_equal(before.quantiles[:, 0], after.quantiles[:, 0])
    return "" if is_same else "the times of later bars change the forecast of the next one"


# ---- what it does with bad input, and to its input ----


@_check("a symbol with too few bars is absent and harms no other")
def _too_few_bars(subject: Subject) -> str:
    contexts = subject.batch()
    short = made_context("NEW/USD", 7, bars=3, horizon=subject.horizon)
    answer = subject.ask([short, *contexts])
    if short.symbol in answer:
        return "three bars gave a forecast"
    differing = _differing(subject.ask(contexts), answer)
    return f"it changes or loses the forecasts of others: {differing}" if differing else ""


@_check("a context with NaN in it has no forecast")
def _refuses_nan(subject: Subject) -> str:
    for row in (0, subject.bars // 2, subject.bars - 1):
        try:
            answer = subject.ask([_with_nan(subject.batch()[0], row)])
        except ForecastError:
            continue
        if answer:
            return f"NaN in bar {row} of {subject.bars} gave a forecast"
    return ""


def _with_nan(context: Context, row: int) -> Context:
    """As no caller can make one: a Context refuses it, and the backend should not rely on that alone."""
    values = context.values.copy()
    values[row, :4] = np.nan
    made = object.__new__(Context)
    fields = {"symbol": "BAD/USD", "times": context.times, "values": values, "future_times": context.future_times}
    for name, value in fields.items():
        object.__setattr__(made, name, value)
    return made


@_check("nothing asked, nothing answered")
def _nothing_asked(subject: Subject) -> str:
    return "an empty batch gave forecasts" if subject.ask([]) else ""


@_check("inputs are left as they were")
def _inputs_unchanged(subject: Subject) -> str:
    contexts = subject.batch()
    kept = [(c.times.copy(), c.values.copy(), c.future_times.copy()) for c in contexts]
    subject.ask(contexts)
    for context, (times, values, future) in zip(contexts, kept, strict=True):
        now = (context.times, context.values, context.future_times)
        if not all(np.array_equal(a, b) for a, b in zip(now, (times, values, future), strict=True)):
            return f"{context.symbol}: its arrays were changed"
    return ""


@_check("closing twice is harmless")
def _closes_twice(subject: Subject) -> str:
    other = registry.build(subject.name, subject.options)
    other.close()
    other.close()
    return ""
