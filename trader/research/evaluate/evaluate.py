"""Backends against the bars that came: the same origins for all of them, beside a random walk.

An arm that can't run here, or fails, is listed with its reason; the others go on. Nothing is fitted here: an origin's
context ends where its forecast begins, and what came after it is only looked at to score. An arm that has learned the
bars that it is to forecast, or whose answers are not of their contexts alone, ends the evaluation: see
`trader.research.forecasts.in_sample` and `again`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from forecasters.base import Forecaster, ForecastError
from forecasters.types import Context
from settings.load import Loaded
from trader.core.market import Bars, to_datetime
from trader.core.types import Symbol
from trader.errors import ConfigurationError
from trader.research.data.windows import Calendar, Window, context_at, rolling_origins
from trader.research.evaluate.measure import (
    Figures,
    RuledForecast,
    Truth,
    at_ruler_levels,
    difference,
    figures_of,
    pooled_difference,
    truth_of,
)
from trader.research.evaluate.random_walk import NAME as RANDOM_WALK
from trader.research.evaluate.random_walk import RandomWalk
from trader.research.evaluate.scores import Difference
from trader.research.forecasts.again import SHARE, Again, Depends, Sample, ask_again, demand
from trader.research.forecasts.arms import Arm, Described, Timing, described, open_arm, reason_of, timed
from trader.research.forecasts.in_sample import Trained, trained
from trader.research.forecasts.store import ForecastStore, StoredAnswer
from trader.research.forecasts.sweep import BATCH, OriginAnswer, Progress, sweep

BASELINE = "baseline"
HELD_OUT = 0.25  # of each series, at its end, where no span is given
_FEWEST_ANSWERED = 0.5  # an arm with forecasts at fewer of the origins would shrink the comparison of the others


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to evaluate. `backends` by the names that FORECASTER takes; the random walk is always there.

    again      the share of the forecasts that is asked again
    in_sample  whether bars that a backend has learned may be among those that it forecasts
    """

    backends: tuple[str, ...]
    window: Window
    origins: int = 200
    batch: int = BATCH
    timing: bool = True
    again: float = SHARE
    in_sample: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ArmResult:
    """`problem` says why there is nothing of it; `answers` are by symbol and origin.

    about    its key, as plain values
    absent   reason -> at how many origins it had no forecast
    unkept   why its forecasts are not stored; empty where they are
    """

    name: str
    problem: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)
    answers: Mapping[Symbol, Mapping[int, RuledForecast]] = field(default_factory=dict)
    absent: Mapping[str, int] = field(default_factory=dict)
    timing: Timing | None = None
    computed: int = 0
    stored: int = 0
    unkept: str = ""
    trained: Trained | None = None
    again: Again | None = None

    @property
    def mark(self) -> str:
        """Behind its name wherever it is shown: what it has learned is no evidence."""
        return " (in-sample)" if self.trained is not None and self.trained.in_sample else ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Against:
    """One arm's score of the close less another's. `symbol` None: over all of them."""

    arm: str
    other: str
    symbol: Symbol | None
    difference: Difference


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation:
    plan: Plan
    truths: Mapping[Symbol, Truth]
    arms: tuple[ArmResult, ...]
    figures: tuple[Figures, ...]
    against: tuple[Against, ...]

    @property
    def is_empty(self) -> bool:
        """None of the backends that were asked for could be evaluated."""
        return not any(each.arm != RANDOM_WALK for each in self.figures)

    def shown(self, name: str) -> str:
        """An arm's name, marked where it is in-sample."""
        return name + next((arm.mark for arm in self.arms if arm.name == name), "")


Say = Callable[[str], None]


def held_out(bars: Bars, window: Window, count: int) -> list[int]:
    """Origins evenly over the last quarter of the series, each with its whole context, which may begin earlier."""
    first = max(window.context, round(len(bars) * (1 - HELD_OUT)))
    begin = first - window.context
    tail = Bars(symbol=bars.symbol, timeframe=bars.timeframe, times=bars.times[begin:], values=bars.values[begin:])
    return [origin + begin for origin in rolling_origins(tail, window, count)]


def evaluate(
    plan: Plan,
    series: Sequence[Bars],
    load: Callable[[str], Loaded],
    store: ForecastStore,
    *,
    origins: Mapping[Symbol, Sequence[int]] | None = None,
    say: Say = lambda line: None,
    listener: Callable[[str, Progress], None] | None = None,
) -> Evaluation:
    """All arms at the same origins. Raises ConfigurationError where the series are too short for any, where an arm has
    learned the bars that it is asked about, and where its answers depend on what else it was asked.

    origins   by symbol; None: `held_out`
    load      the settings with a backend as FORECASTER
    listener  told of each batch, with the arm's name
    """
    origins_by_symbol = origins or {bars.symbol: held_out(bars, plan.window, plan.origins) for bars in series}
    truths = {bars.symbol: truth_of(bars, origins_by_symbol[bars.symbol], plan.window) for bars in series}
    if not any(truth.origins for truth in truths.values()):
        least_bars = plan.window.context + plan.window.horizon
        raise ConfigurationError(f"no series has {least_bars} bars in a row (CONTEXT and HORIZON): give longer ones")
    backends = [_described(name, plan, truths, load) for name in dict.fromkeys(plan.backends)]
    arms = [_random_walk(plan, truths)]
    for backend in backends:
        if isinstance(backend, ArmResult):
            arms.append(backend)
            continue
        tell = None if listener is None else partial(listener, backend.name)
        arms.append(_backend(backend, plan, truths, store, say, tell))
    figures = tuple(_figures(arms, truths))
    return Evaluation(
        plan=plan, truths=truths, arms=tuple(arms), figures=figures, against=tuple(_against(figures, truths))
    )


# ---- the arms' answers ----


def _random_walk(plan: Plan, truths: Mapping[Symbol, Truth]) -> ArmResult:
    forecaster, calendar = RandomWalk(), Calendar()
    answered = (
        _asked(forecaster, truth, origin, context_at(truth.bars, origin, plan.window, calendar))
        for truth in truths.values()
        for origin in truth.origins
    )
    return _collected(RANDOM_WALK, truths, answered)


def _asked(forecaster: Forecaster, truth: Truth, origin: int, context: Context) -> OriginAnswer:
    forecast = forecaster.forecast([context]).get(context.symbol)
    answer = StoredAnswer(forecast=forecast, reason="" if forecast else "too few bars")
    return OriginAnswer(symbol=truth.bars.symbol, origin=origin, context=context, kept=answer)


def _described(
    name: str, plan: Plan, truths: Mapping[Symbol, Truth], load: Callable[[str], Loaded]
) -> Described | ArmResult:
    """The backend, or why there is nothing of it. Raises ConfigurationError where it has learned these bars."""
    try:
        backend = described(name, load)
    except ForecastError as error:
        return ArmResult(name=name, problem=reason_of(error))
    except ConfigurationError as error:
        return ArmResult(name=name, problem=str(error))
    if not plan.in_sample:
        _trained(backend, truths).demand_unseen()
    return backend


def _trained(backend: Described, truths: Mapping[Symbol, Truth]) -> Trained:
    first = {str(symbol): to_datetime(truth.asof[0]) for symbol, truth in truths.items() if truth.origins}
    return trained(backend.name, backend.known.learned_to, first)


def _backend(
    backend: Described,
    plan: Plan,
    truths: Mapping[Symbol, Truth],
    store: ForecastStore,
    say: Say,
    listener: Callable[[Progress], None] | None,
) -> ArmResult:
    """Raises Depends."""
    name, sample = backend.name, Sample(plan.again)
    try:
        with open_arm(backend, store, say) as arm:
            series = [truth.bars for truth in truths.values()]
            origins = {symbol: truth.origins for symbol, truth in truths.items()}
            answers = sweep(arm.forecaster, series, origins, plan.window, batch=plan.batch, listener=listener)
            with closing(answers):
                collection = _collected(name, truths, sample.watching(answers))
            timing = _timing(arm, plan, truths) if plan.timing else None
        again = demand(name, ask_again(sample, partial(backend.fresh, say), backend.known.rounding))
    except Depends:
        raise
    except ForecastError as error:
        return ArmResult(name=name, problem=reason_of(error))
    except ConfigurationError as error:
        return ArmResult(name=name, problem=str(error))
    return ArmResult(
        name=name,
        about=asdict(backend.key),
        answers=collection.answers,
        absent=collection.absent,
        timing=timing,
        computed=arm.forecaster.computed,
        stored=arm.forecaster.hits,
        unkept=backend.known.unkept,
        trained=_trained(backend, truths),
        again=again,
    )


def _collected(name: str, truths: Mapping[Symbol, Truth], answered: Iterator[OriginAnswer]) -> ArmResult:
    answers: dict[Symbol, dict[int, RuledForecast]] = {symbol: {} for symbol in truths}
    absent: dict[str, int] = {}
    for answer in answered:
        truth = truths[answer.symbol]
        forecast, reason = answer.kept.forecast, answer.kept.reason
        quantiles = None
        if forecast is not None:
            quantiles = at_ruler_levels(forecast, truth.actual[truth.origins.index(answer.origin)])
            reason = f"its levels end at {forecast.levels[0]:g} and {forecast.levels[-1]:g}: 0.1 and 0.9 are needed"
        if quantiles is None:
            absent[reason] = absent.get(reason, 0) + 1
        else:
            answers[answer.symbol][answer.origin] = quantiles
    return ArmResult(name=name, answers=answers, absent=absent)


def _timing(arm: Arm, plan: Plan, truths: Mapping[Symbol, Truth]) -> Timing:
    calendar = Calendar()
    truth = max(truths.values(), key=lambda each: len(each.origins))
    newest = truth.origins[-plan.batch :]
    return timed(arm, [context_at(truth.bars, origin, plan.window, calendar) for origin in newest])


# ---- the figures ----


def _figures(arms: Sequence[ArmResult], truths: Mapping[Symbol, Truth]) -> Iterator[Figures]:
    for symbol, truth in truths.items():
        enough = max(1, round(len(truth.origins) * _FEWEST_ANSWERED))
        able = [arm for arm in arms if len(arm.answers.get(symbol, {})) >= enough]
        common = [origin for origin in truth.origins if all(origin in arm.answers[symbol] for arm in able)]
        for arm in able if common else []:
            yield figures_of(arm.name, truth, arm.answers[symbol], common)


def _against(figures: Sequence[Figures], truths: Mapping[Symbol, Truth]) -> Iterator[Against]:
    by_place = {(arm_figures.arm, arm_figures.symbol): arm_figures for arm_figures in figures}
    names = list(dict.fromkeys(arm_figures.arm for arm_figures in figures))
    yardsticks = [yardstick for yardstick in (BASELINE, RANDOM_WALK) if yardstick in names]
    for arm in names:
        for yardstick in yardsticks:
            if arm in (yardstick, RANDOM_WALK):
                continue
            shared_symbols = [
                symbol for symbol in truths if (arm, symbol) in by_place and (yardstick, symbol) in by_place
            ]
            for symbol in shared_symbols:
                ours, theirs = by_place[arm, symbol], by_place[yardstick, symbol]
                gap = difference(ours, theirs, truths[symbol].overlap)
                yield Against(arm=arm, other=yardstick, symbol=symbol, difference=gap)
            if len(shared_symbols) > 1:
                ours_all, theirs_all = (
                    [by_place[name, symbol] for symbol in shared_symbols] for name in (arm, yardstick)
                )
                overlap = max(truths[symbol].overlap for symbol in shared_symbols)
                gap = pooled_difference(ours_all, theirs_all, overlap)
                yield Against(arm=arm, other=yardstick, symbol=None, difference=gap)
