"""Two arms on the same bars: is the compiled model worth it?

The reference's backtest asks both arms at each cycle, in turns; the candidate's is then played from what it answered.
So both saw the same bars, the same seeds and the same machine, and each forecast was computed once.
"""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from forecasters.compiled.compile_report import CompileReport
from forecasters.compiled.likeness import Likeness, Tolerance
from forecasters.types import CLOSE, HIGH, LOW, Context, Forecast
from settings.research import Compare
from trader.core.types import Symbol, Timeframe
from trader.exchange.market.files import to_micros
from trader.exchange.market.market import Market
from trader.research.backtest.backtest import problems_of, run_history_of
from trader.research.backtest.figures import YEAR, Figures, figures_of, sharpe_of
from trader.research.backtest.inprocess import table_of
from trader.research.backtest.simulate import Recording, Setup, opened, simulate
from trader.research.compare.agreement import alike, asked, in_words
from trader.research.compare.fresh import Fresh, ask_afresh
from trader.research.compare.rivals import InTurns, Recorded, Rival
from trader.research.compare.speed import Speed, speed_of
from trader.research.compare.teacher import Teaching, compare_raw_outputs
from trader.research.compare.unfinished import Toll, Unfinished
from trader.research.compare.verdict import ArmEvidence, Evidence, Verdict, decide
from trader.research.evaluate.scores import quantile_score
from trader.research.intervals import Interval, automatic_block, sharpe_change_interval, sum_interval

Floats = NDArray[np.float64]
Progress = Callable[[int], None]

LONGEST_PAUSE = 100  # bars that a market may be closed before the bars that were forecast come
CHANNELS = {"close": CLOSE, "high": HIGH, "low": LOW}


@dataclass(frozen=True, slots=True, kw_only=True)
class RivalResult:
    """One arm's figures.

    median_s, p99_s  of a question: all symbols of one cycle
    mae              mean absolute error of the median forecast, by channel, as a share of the last close
    crps             of the quantiles (twice the mean pinball loss), likewise
    """

    name: str
    model: str
    key: str
    asked: int
    given: int
    failures: tuple[str, ...]
    median_s: float | None
    p99_s: float | None
    warm_up_s: float | None
    report: CompileReport | None
    memory_mb: float | None
    mae: Mapping[str, float]
    crps: Mapping[str, float]
    trades: int | None
    total_return: float | None
    sharpe: float | None
    sharpe_interval: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What was measured, and what follows from it.

    return_change  candidate minus reference, as a share of the first equity; None without a backtest
    sharpe_change  of the annual ratios; None where either has none
    steps          sampled steps that could be compared, 0 where nothing is sampled
    agreement      share of them that came out the same
    difference     the largest one of a quantile, as a share of the forecast's width
    teacher_forced  the networks' raw outputs, given the same past
    fresh          what both said to questions that nobody can have asked before
    earlier_cycles  of the questions, those that an earlier sitting of the same comparison had asked
    trained        until when each arm's training data goes, as far as that is known; a line each
    in_sample      whether an arm has learned bars that it was asked about: its errors and returns are no evidence
    """

    at: datetime
    machine: str
    symbols: tuple[str, ...]
    timeframe: str
    start: datetime
    end: datetime
    questions: int
    reference: RivalResult
    candidate: RivalResult
    speed: Speed
    fresh: Fresh
    steps: int
    agreement: float
    difference: float
    teacher_forced: Teaching
    return_change: Interval | None
    sharpe_change: Interval | None
    rule: Mapping[str, float]
    verdict: Verdict
    earlier_cycles: int = 0
    trained: tuple[str, ...] = ()
    in_sample: bool = False


def compare(
    setup: Setup,
    reference: Rival,
    candidate: Rival,
    rule: Compare,
    *,
    tolerance: Tolerance,
    progress: Progress = lambda done: None,
    unfinished: Unfinished | None = None,
) -> Comparison:
    """Ask both, backtest both, judge. The arms are warm; `progress` is told the questions asked so far.

    unfinished  what earlier sittings have asked; what this one asks is added to it
    Raises ConfigurationError where the data does not fit, and whatever is a bug.
    """
    pair, before = _pair(reference, candidate, unfinished), [rival.report() for rival in (reference, candidate)]
    run = simulate(setup, pair, before_cycle=lambda trader, bar_close: progress(pair.questions))
    again = simulate(setup, Recorded(candidate))
    fresh = ask_afresh(reference, candidate, pair.kept, tolerance)
    market = opened(setup.market)
    tolls = (Toll(), Toll()) if unfinished is None else unfinished.earlier
    results = [
        _result(rival, rival_run, market, toll.on(_since(first, rival.report())), toll)
        for rival, rival_run, first, toll in zip((reference, candidate), (run, again), before, tolls, strict=True)
    ]
    agreement = alike(reference, candidate, tolerance)
    teaching = compare_raw_outputs(
        reference, candidate, pair.kept, tolerance.outputs
    )  # last: it compiles what does not serve
    speed = speed_of(reference.seconds, candidate.seconds)
    returns = _returns(run, again)
    deadline_s = setup.settings.trading.forecast_deadline_s
    evidence = _evidence(pair, results, (agreement, tolerance), teaching, (speed, fresh, deadline_s))
    return Comparison(
        at=datetime.now(UTC),
        machine=f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        symbols=setup.settings.trading.symbols,
        timeframe=str(run.rules.timeframe),
        start=run.start,
        end=run.end,
        questions=pair.questions,
        reference=results[0],
        candidate=results[1],
        speed=speed,
        fresh=fresh,
        steps=agreement.steps,
        agreement=agreement.agreement,
        difference=agreement.difference,
        teacher_forced=teaching,
        return_change=_return_change(returns),
        sharpe_change=_sharpe_change(returns, run.rules.timeframe.duration),
        rule=rule.model_dump(),
        earlier_cycles=0 if unfinished is None else unfinished.taken,
        verdict=decide(evidence, rule),
    )


# ---- the arms ----


def _pair(reference: Rival, candidate: Rival, unfinished: Unfinished | None) -> InTurns:
    """Asked what no earlier sitting knows, and what they answer now is kept for a later one."""
    if unfinished is None:
        return InTurns(reference, candidate)
    rivals = (reference, candidate)
    before = [rival.report() for rival in rivals]

    def keep(number: int, contexts: Sequence[Context]) -> None:
        reports = [_since(first, rival.report()) for first, rival in zip(before, rivals, strict=True)]
        unfinished.keep(number, contexts, rivals, reports)

    return InTurns(*rivals, tell=lambda number, contexts: unfinished.of(number, contexts, rivals), on_done=keep)


def _since(before: CompileReport | None, after: CompileReport | None) -> CompileReport | None:
    """With every graph made since then among the recompiles, whatever the backend itself calls them."""
    if before is None or after is None:
        return None
    return replace(after, recompiles=max(after.recompiles, after.frames - before.frames))


def _result(rival: Rival, run: Recording, market: Market, report: CompileReport | None, toll: Toll) -> RivalResult:
    figures = _figures(run)
    mae, crps = _scores(rival, market, run)
    seconds = np.array(list(rival.seconds.values()))
    return RivalResult(
        name=rival.name,
        model=rival.model,
        key=rival.key,
        asked=rival.asked,
        given=len(rival.answers),
        failures=(*rival.failures, *problems_of(run)),
        median_s=float(np.median(seconds)) if len(seconds) else None,
        p99_s=float(np.quantile(seconds, 0.99)) if len(seconds) else None,
        warm_up_s=rival.warm_up_s,
        report=report,
        memory_mb=max((mb for mb in (rival.memory(), toll.memory_mb) if mb), default=None),
        mae=mae,
        crps=crps,
        trades=None if figures is None else figures.trades,
        total_return=None if figures is None else figures.account.total_return,
        sharpe=None if figures is None else figures.account.sharpe,
        sharpe_interval=None if figures is None else figures.account.sharpe_interval,
    )


def _evidence(
    pair: InTurns,
    results: Sequence[RivalResult],
    agreement: tuple[Likeness, Tolerance],
    teaching: Teaching,
    timing: tuple[Speed, Fresh, float],
) -> Evidence:
    """What the verdict is made from."""
    speed, fresh, deadline_s = timing
    return Evidence(
        reference=_arm(pair.reference, results[0]),
        candidate=_arm(pair.candidate, results[1]),
        questions=pair.questions,
        alike=in_words(agreement[0]),
        alike_asked=asked(*agreement),
        unlike=agreement[0].problem,
        outputs=teaching.summary if teaching.outputs else "",
        outputs_asked=f"within {teaching.allowed:g}",
        outputs_unlike=teaching.unlike,
        outputs_failure=teaching.failure,
        speed=speed,
        slowest_s=max(pair.candidate.slowest_s, fresh.slowest_s),
        deadline_s=deadline_s,
        fresh=fresh,
    )


def _arm(rival: Rival, result: RivalResult) -> ArmEvidence:
    return ArmEvidence(
        name=rival.name,
        model=rival.model,
        key=rival.key,
        inputs=rival.inputs,
        asked=rival.asked,
        given=result.given,
        failures=result.failures,
        served_eager=rival.served_eager,
        misplaced=rival.misplaced,
        report=result.report,
        mae=result.mae.get("close", math.nan),
        trades=result.trades,
        total_return=result.total_return,
        memory_mb=result.memory_mb,
    )


def _figures(run: Recording) -> Figures | None:
    """None where nothing was ever reported: the run never began."""
    return figures_of(run_history_of(run)) if run.journal.points else None


def _scores(rival: Rival, market: Market, run: Recording) -> tuple[dict[str, float], dict[str, float]]:
    """(MAE of the middle, CRPS) by channel, over all steps of all forecasts that came true by the end of the data."""
    errors: dict[str, list[Floats]] = {name: [] for name in CHANNELS}
    costs: dict[str, list[Floats]] = {name: [] for name in CHANNELS}
    until = run.end + run.rules.timeframe.duration * (LONGEST_PAUSE + run.rules.horizon)
    known = {symbol: _bars_of(market, symbol, run.rules.timeframe, until) for symbol in run.rules.symbols}
    for question, forecast in rival.answers.items():
        times, values = known[Symbol(question.series)]
        places = np.searchsorted(times, forecast.times)
        came = places < len(times)
        came[came] = times[places[came]] == forecast.times[came]
        for name, channel in CHANNELS.items():
            actual = values[places[came], channel] / forecast.last_close
            quantiles = forecast.quantiles[:, came, channel].T / forecast.last_close  # [H, Q]
            errors[name].append(np.abs(quantiles[:, _middle(forecast)] - actual))
            costs[name].append(quantile_score(actual, quantiles, forecast.levels))
    return _means(errors), _means(costs)


def _means(parts: Mapping[str, Sequence[Floats]]) -> dict[str, float]:
    whole = {name: np.concatenate(each) if each else np.array([]) for name, each in parts.items()}
    return {name: float(each.mean()) if len(each) else math.nan for name, each in whole.items()}


def _bars_of(
    market: Market, symbol: Symbol, timeframe: Timeframe, until: datetime
) -> tuple[NDArray[np.datetime64], Floats]:
    """Those that had closed by then: a generated market has no end."""
    series = market.series(symbol)
    if series is None:
        return np.array([], dtype="datetime64[us]"), np.empty((0, 6))
    columns, closed = series.closed(timeframe, end_us=to_micros(until))
    times, values = table_of(columns)
    return times[:closed], values[:closed]


def _middle(forecast: Forecast) -> int:
    """Which of the quantiles is nearest to the median."""
    return int(np.abs(forecast.levels - 0.5).argmin())


# ---- the two together ----


Returns = tuple[Floats, Floats] | None  # of the reference and of the candidate


def _return_change(returns: Returns) -> Interval | None:
    """Of the sum of the differences of the returns from bar to bar, by resampling blocks of them."""
    if returns is None:
        return None
    change = returns[1] - returns[0]
    return sum_interval(change, automatic_block(change))


def _sharpe_change(returns: Returns, interval: timedelta) -> Interval | None:
    """Both resampled by the same blocks, so that what moved both is in neither side's favour."""
    if returns is None or any(sharpe_of(each, interval) is None for each in returns):
        return None
    return sharpe_change_interval(returns[0], returns[1], YEAR / interval)


def _returns(reference: Recording, candidate: Recording) -> Returns:
    """([N], [N]) from bar to bar; None where there are none."""
    if not reference.journal.points or not candidate.journal.points:
        return None
    first, second = (run_history_of(run).worth.growth for run in (reference, candidate))
    if len(first) < 3:
        return None
    return first[1:] / first[:-1] - 1, second[1:] / second[:-1] - 1


def last_cycles(setup: Setup, cycles: int, after: int) -> Setup:
    """The last `cycles` of the files, leaving `after` bars behind them to hold the forecasts against."""
    if not setup.market.data or setup.market.start is not None:
        return replace(setup, cycles=cycles)
    market = opened(setup.market)
    first = next(iter(setup.market.data))
    assert market.end is not None
    times, _ = _bars_of(market, first, market.timeframe, market.end)
    place = max(len(times) - cycles - after - 1, 0)
    start = times[place].astype("datetime64[us]").astype(datetime).replace(tzinfo=UTC)
    earliest = market.start
    return replace(setup, cycles=cycles, market=replace(setup.market, start=max(start, earliest)))
