"""A backtest: the daemon's own code over stored bars, in process, with its bounds, its windows and its figures.

The headline run is the pessimistic one. Beside it stand the optimistic order of each bar's extremes and, where finer
bars are given, the run on those. With a walk the strategy's parameters are fitted on past windows as the run goes on.
"""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from hashlib import blake2b, file_digest
from multiprocessing import active_children
from pathlib import Path

from forecasters.base import Forecaster
from settings import children
from settings.schema import Settings
from trader.core.market import Bars
from trader.core.types import Symbol, Timeframe
from trader.errors import ConfigurationError
from trader.exchange.market.files import to_micros
from trader.exchange.market.market import Market, MarketOptions
from trader.research.backtest.figures import Figures, RunHistory, figures_of, grid_of
from trader.research.backtest.inprocess import table_of
from trader.research.backtest.result import BacktestResult, DataFile, FinerRun, Pace
from trader.research.backtest.run_folder import ForecastSampler, RunRecord
from trader.research.backtest.simulate import BeforeCycle, OnPlan, Recording, Setup, market_options, opened, simulate
from trader.research.backtest.walkforward import Walk, Walker, check
from trader.research.backtest.worth import worth_at
from trader.trading.cycle import Trader

AHEAD = 128  # bars: of both symbols together twice that, which is where a batch stops paying

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked for.

    settings  those of a simulation: symbols, timeframe, strategy, and the files under `sim`
    end       None: the end of the data
    cycles    at most so many; None: no limit
    finer     bar files of finer bars, by symbol
    bounds    whether the optimistic run is made too
    walk      None: the parameters stay
    ahead     see Setup
    """

    settings: Settings
    end: datetime | None = None
    cycles: int | None = None
    finer: Mapping[Symbol, Path] = field(default_factory=dict)
    bounds: bool = True
    walk: Walk | None = None
    ahead: int = AHEAD


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """The result, and what of the headline run goes into its folder."""

    result: BacktestResult
    kept: RunRecord
    recording: Recording


def run_backtest(
    request: Request,
    forecaster: Forecaster,
    *,
    another: Callable[[], Forecaster] | None = None,
    progress: Progress = lambda name, share: None,
    say: Callable[[str], None] = lambda line: None,
) -> Backtest:
    """Every run that was asked for.

    another   makes a second forecaster of the same kind in another process: the optimistic run is made there meanwhile
    progress  told (which run, its share so far; below zero where that is not known)
    Raises ConfigurationError where the data or the parameters don't fit.
    """
    setup = _setup(request)
    sampler = ForecastSampler()
    walker = _walker(request, setup, forecaster, say)
    with _elsewhere(request, another) as optimistic_run:
        start = time.perf_counter()
        recording = _run(setup, forecaster, "pessimistic", progress, on_plan=sampler, walker=walker)
        seconds = time.perf_counter() - start
        optimistic = optimistic_run.result() if optimistic_run is not None else None
    if request.bounds and optimistic is None:
        optimistic = _optimistic(request, setup, forecaster, progress)
    finer = _finer(request, setup, recording, forecaster, progress) if request.finer else None
    if not recording.cycles:
        raise ConfigurationError(
            "no bar closes in that time with enough bars before it: give an earlier --from, or a later --to"
        )
    history = run_history_of(recording)
    result = replace(
        _result(setup, recording, figures_of(history)),
        optimistic=optimistic,
        finer=finer,
        windows=tuple(walker.windows) if walker is not None else (),
        pace=_pace(recording, seconds) if walker is None else None,
        data=_data_files(setup.market, request.finer),
    )
    return Backtest(result=result, kept=_kept(recording, history, sampler), recording=recording)


def _result(setup: Setup, recording: Recording, figures: Figures) -> BacktestResult:
    settings = setup.settings
    return BacktestResult(
        source="backtest",
        symbols=settings.trading.symbols,
        timeframe=str(recording.rules.timeframe),
        backend=settings.trading.backend,
        strategy=recording.rules.strategy,
        params=dict(recording.rules.params),
        context=recording.rules.context,
        horizon=recording.rules.horizon,
        start=recording.start,
        end=recording.end,
        cycles=recording.cycles,
        figures=figures,
        denials=dict(recording.journal.denials.most_common()),
        since=dict(recording.journal.denied_since),
        alerts=len(recording.journal.alerts),
        errors=recording.errors,
        halted=recording.halted,
        problems=tuple(problems_of(recording)),
        spread_bps=str(settings.sim.spread_bps),
    )


# ---- the runs ----


def _setup(request: Request) -> Setup:
    settings = request.settings
    market = replace(market_options(settings), timeframe=Timeframe.parse(settings.trading.timeframe))
    if market.data:
        missing = [name for name in settings.trading.symbols if Symbol(name) not in market.data]
        if missing:
            raise ConfigurationError(f"no bars of {', '.join(missing)}: give --data {missing[0]}=FILE")
    elif request.end is None and request.cycles is None:
        raise ConfigurationError("a generated market never ends: give --to or --cycles")
    if request.walk is not None:
        check(request.walk, settings)
        market = replace(market, start=_first_fit(request.walk, market))
    return Setup(settings=settings, market=market, end=request.end, cycles=request.cycles, ahead=request.ahead)


def begin_of(request: Request) -> datetime:
    """When the run begins. Raises ConfigurationError."""
    return opened(_setup(request).market).start


def _first_fit(walk: Walk, market: MarketOptions) -> datetime:
    """Without a start of its own, a walk begins where its first window has its context."""
    return market.start if market.start is not None else opened(market).start + walk.window


def _walker(request: Request, setup: Setup, forecaster: Forecaster, say: Callable[[str], None]) -> Walker | None:
    return None if request.walk is None else Walker(request.walk, setup, forecaster, say)


def _run(
    setup: Setup,
    forecaster: Forecaster,
    name: str,
    progress: Progress,
    *,
    on_plan: OnPlan = lambda name, inputs, plan: None,
    walker: Walker | None = None,
) -> Recording:
    return simulate(setup, forecaster, on_plan=on_plan, before_cycle=_telling(setup, name, progress, walker))


def _telling(setup: Setup, name: str, progress: Progress, walker: Walker | None) -> BeforeCycle:
    first: datetime | None = None
    done = 0

    def before(trader: Trader, bar_close: datetime) -> None:
        nonlocal first, done
        first = first or bar_close
        done += 1
        if setup.cycles:
            progress(name, done / setup.cycles)
        elif setup.end is not None and setup.end > first:
            progress(name, (bar_close - first) / (setup.end - first))
        else:
            progress(name, -1.0)
        if walker is not None:
            walker(trader, bar_close)

    return before


@contextmanager
def _elsewhere(request: Request, another: Callable[[], Forecaster] | None) -> Iterator[Future[Figures] | None]:
    """The optimistic run in a process of its own, where that was asked for; ended with the block where this fails."""
    if another is None or not request.bounds:
        yield None
        return
    before = active_children()
    with children.pool(1) as pool:
        try:
            with _deaf_to_interrupts():
                future = pool.submit(_optimistic_alone, request, another)
            yield future
        except BaseException:
            for process in active_children():
                if process not in before:
                    process.kill()
            raise


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """What is started in the block never sees a Ctrl-C, which a terminal gives to all of its processes: it would end
    with a traceback in the midst of what we say. Whoever started it ends it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)


def _optimistic_alone(request: Request, another: Callable[[], Forecaster]) -> Figures:
    forecaster = another()
    try:
        return _optimistic(request, _setup(request), forecaster, lambda name, share: None)
    finally:
        forecaster.close()


def _optimistic(request: Request, setup: Setup, forecaster: Forecaster, progress: Progress) -> Figures:
    """The better order of each bar's extremes; with a walk the windows are played so too."""
    better = replace(setup, matching=replace(setup.rules, optimistic=True))
    walker = _walker(request, better, forecaster, lambda _: None)
    return figures_of(run_history_of(_run(better, forecaster, "optimistic", progress, walker=walker)))


def _finer(request: Request, setup: Setup, headline: Recording, forecaster: Forecaster, progress: Progress) -> FinerRun:
    """The headline's decisions on finer bars: the venue plays those, the strategy sees the same length as before."""
    timeframe = headline.rules.timeframe
    coarse = {symbol: path for symbol, path in setup.market.data.items() if symbol not in request.finer}
    data = {**coarse, **request.finer}  # the coarsest first: it sets the clock
    options = replace(setup.market, data=data, quotes={}, timeframe=timeframe, start=None)
    market = opened(options)
    start, end = max(headline.start, market.start), min(headline.end, market.end or headline.end)
    if start >= end:
        raise ConfigurationError(
            f"--finer: with {headline.rules.context} {timeframe} bars of context its bars begin at "
            f"{market.start:%Y-%m-%d %H:%M}Z, after the end of the run"
        )
    finer = replace(setup, market=replace(options, start=start), end=end, cycles=None)
    walker = _walker(request, finer, forecaster, lambda _: None)
    run = _run(finer, forecaster, "finer", progress, walker=walker)
    return FinerRun(
        timeframe=str(market.timeframe), start=run.start, end=run.end, figures=figures_of(run_history_of(run))
    )


# ---- what they left ----


def run_history_of(run: Recording) -> RunHistory:
    market, interval, fills = run.venue.market, run.rules.timeframe.duration, run.journal.fills
    bars = {
        symbol: bars
        for symbol in run.rules.symbols
        if (bars := _bars_until(market, symbol, run.rules.timeframe, run.start, run.end, 1)) is not None
    }
    times = grid_of(run.start, run.end, interval)
    return RunHistory(
        symbols=run.rules.symbols,
        start=run.start,
        end=run.end,
        interval=interval,
        worth=worth_at(times, fills, run.journal.corrections, bars, interval),
        fills=fills,
        orders=len(run.journal.orders),
        bars=bars,
    )


def _bars_until(
    market: Market, symbol: Symbol, timeframe: Timeframe, start: datetime, end: datetime, before: int
) -> Bars | None:
    """Those that closed within the run, and `before` older ones."""
    series = market.series(symbol)
    if series is None:
        return None
    columns, end_count = series.closed(timeframe, end_us=to_micros(end))
    _, start_count = series.closed(timeframe, end_us=to_micros(start))
    times, values = table_of(columns)
    part = slice(max(0, start_count - before), end_count)
    return Bars(symbol=symbol, timeframe=timeframe, times=times[part], values=values[part])


def _pace(run: Recording, seconds: float) -> Pace:
    bars = sum(_bars_played(run, symbol) for symbol in run.rules.symbols)
    return Pace(bars=bars, seconds=seconds, forecast_seconds=run.forecast_s)


def _bars_played(run: Recording, symbol: Symbol) -> int:
    """Of the traded length."""
    bars = _bars_until(run.venue.market, symbol, run.rules.timeframe, run.start, run.end, 0)
    return 0 if bars is None else len(bars)


def _kept(run: Recording, history: RunHistory, sampler: ForecastSampler) -> RunRecord:
    timeframe, market = run.rules.timeframe, run.venue.market
    bars = {s: _bars_until(market, s, timeframe, run.start, run.end, run.rules.context) for s in run.rules.symbols}
    return RunRecord(
        run=replace(history, bars={symbol: each for symbol, each in bars.items() if each is not None}),
        orders=list(run.journal.orders.values()),
        intents=run.journal.all_intents,
        forecasts=sampler.seen,
    )


def problems_of(run: Recording) -> list[str]:
    """What does not add up between the journal and the venue's own books."""
    journal, books = run.journal, run.venue.books
    problems = [f"{c.kind} {c.symbol or ''}: {c.detail}" for c in journal.corrections if c.kind != "opening"]
    # a gate that closes is a limit that works: the denials tell of it, and since when
    alarms = Counter((a.kind, a.detail) for a in journal.alerts if a.severity == "error" and a.kind != "gate")
    for (kind, detail), count in alarms.items():
        problems.append(f"alert {kind}: {detail}" + (f" ({count} times)" if count > 1 else ""))
    holdings = {symbol: holding.qty for symbol, holding in books.holdings.items() if holding.qty}
    believed = journal.believed()
    if dict(believed.positions) != holdings:
        problems.append(f"positions: {dict(believed.positions)} in the journal, {holdings} at the venue")
    if abs(believed.cash - books.cash) >= Decimal("0.005"):
        problems.append(f"cash: {believed.cash} in the journal, {books.cash} at the venue")
    if len(journal.fills) != books.executions:
        problems.append(f"fills: {len(journal.fills)} in the journal, {books.executions} at the venue")
    return problems


def _data_files(market: MarketOptions, finer: Mapping[Symbol, Path]) -> tuple[DataFile, ...]:
    kinds: Sequence[tuple[str, Mapping[Symbol, Path]]] = (
        ("bars", market.data),
        ("quotes", market.quotes),
        ("finer", finer),
    )
    return tuple(
        DataFile(symbol=symbol.text, kind=kind, path=str(path), content=_content(path))
        for kind, files in kinds
        for symbol, path in files.items()
    )


def _content(path: Path) -> str:
    with path.open("rb") as stream:
        return file_digest(stream, lambda: blake2b(digest_size=16)).hexdigest()
