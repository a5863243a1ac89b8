"""A daemon's own journal as a run: what it did, in the shape of a backtest, for `trader report`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from trader.adapters.journal import Journal
from trader.core.decision import DecisionInputs
from trader.core.market import Bars
from trader.core.types import Purpose, Symbol
from trader.errors import ConfigurationError
from trader.research.figures import Happened, figures_of
from trader.research.result import BacktestResult
from trader.research.run_folder import ForecastSampler, Kept

_ALL = 10**9


def run_of_journal(journal: Journal, bars: Mapping[Symbol, Bars] | None = None) -> tuple[BacktestResult, Kept]:
    """From its first equity point to its last. `bars`: those of its time, where somebody has them.

    Raises ConfigurationError where it never reported any equity, or never decided anything.
    """
    points, cycles = journal.equity_points(), journal.plan_cycles()
    if not points or not cycles:
        raise ConfigurationError("the journal has no decisions yet: there is nothing to report")
    first = journal.inputs(cycles[0])
    symbols = _symbols(first, journal)
    end = max(points[-1].at, journal.inputs(cycles[-1]).now)
    happened = Happened(
        symbols=symbols,
        start=points[0].at,
        end=end,
        interval=first.timeframe.duration,
        points=points,
        fills=journal.executions(),
        orders=len(journal.orders(_ALL)),
        bars=dict(bars or {}),
    )
    sampler = _sampled(journal, cycles)
    result = _result(journal, first, happened, len(cycles), end)
    kept = Kept(
        run=happened,
        orders=journal.orders(_ALL)[::-1],
        intents={record.intent.client_order_id: record for record in journal.intents()},
        forecasts=sampler.seen,
    )
    return result, kept


def _symbols(first: DecisionInputs, journal: Journal) -> tuple[Symbol, ...]:
    """Those that were to be traded, and whatever else was."""
    return tuple(sorted({*first.instruments, *(fill.symbol for fill in journal.executions())}))


def _sampled(journal: Journal, cycles: Sequence[str]) -> ForecastSampler:
    """The forecasts behind entries; a journal is long, so only those cycles are read."""
    sampler = ForecastSampler()
    entered: dict[str, set[Symbol]] = {}
    for record in journal.intents():
        if record.intent.purpose is Purpose.ENTRY:
            entered.setdefault(record.cycle_id, set()).add(record.intent.symbol)
    for name in cycles:
        if name in entered:
            sampler.keep(name, journal.inputs(name), entered[name])
    return sampler


def _result(journal: Journal, first: DecisionInputs, run: Happened, cycles: int, end: datetime) -> BacktestResult:
    forecast = next(iter(first.forecasts.values()), None)
    alerts = journal.alerts(_ALL)
    return BacktestResult(
        source="journal",
        symbols=tuple(symbol.text for symbol in run.symbols),
        timeframe=str(first.timeframe),
        backend=forecast.backend if forecast is not None else "unknown",
        strategy=first.strategy,
        params=dict(first.params),
        context=0,
        horizon=len(forecast.times) if forecast is not None else 0,
        start=run.start,
        end=end,
        cycles=cycles,
        figures=figures_of(run),
        alerts=len(alerts),
        errors=sum(alert.severity == "error" for alert in alerts),
        halted=journal.flag("halted"),
        problems=tuple(f"{c.kind}: {c.detail}" for c in journal.corrections(_ALL) if c.kind == "unexplained"),
    )
