"""A backtest's result as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from trader.core.names import shown_strategy
from trader.research.backtest.figures import Curve, Figures, SymbolFigures
from trader.research.backtest.result import BacktestResult


def show(result: BacktestResult) -> str:
    return "\n".join(_lines(result))


def _lines(result: BacktestResult) -> Iterator[str]:
    yield (
        f"{', '.join(result.symbols)} {result.timeframe}, {result.backend} + {shown_strategy(result.strategy)}, "
        f"{result.start:%Y-%m-%d %H:%M}Z to {result.end:%Y-%m-%d %H:%M}Z, {result.cycles} cycles"
    )
    if result.in_sample:
        yield result.trained
    yield ""
    yield f"{'':<24}{'return':>10}{'drawdown':>10}{'Sharpe':>8}  {'95% interval':<16}{'fees':>10}{'turnover':>10}"
    yield _row(
        "pessimistic" + (" (IN-SAMPLE)" if result.in_sample else " (headline)"), result.figures.account, result.figures
    )
    if result.optimistic is not None:
        yield _row("optimistic bound", result.optimistic.account, result.optimistic)
    if result.finer is not None:
        yield _row(f"on {result.finer.timeframe} bars", result.finer.figures.account, result.finer.figures)
        yield f"{'':<24}from {result.finer.start:%Y-%m-%d %H:%M}Z to {result.finer.end:%Y-%m-%d %H:%M}Z"
    if result.figures.buy_and_hold is not None:
        yield _row("buy and hold, no costs", result.figures.buy_and_hold, None)
    yield f"{'flat':<24}{0:>10.2%}{0:>10.2%}"
    yield ""
    yield from _symbols(result)
    yield ""
    yield from _windows(result)
    yield from _notes(result)


def _row(name: str, curve: Curve, figures: Figures | None) -> str:
    sharpe = "-" if curve.sharpe is None else f"{curve.sharpe:.2f}"
    interval = curve.sharpe_interval
    told = "" if interval is None else f"{interval.low:.2f} to {interval.high:.2f}"
    costs = "" if figures is None else f"{figures.fees:>10.2f}{figures.turnover:>9.1f}x"
    return f"{name:<24}{curve.total_return:>10.2%}{curve.max_drawdown:>10.2%}{sharpe:>8}  {told:<16}{costs}"


def _symbols(result: BacktestResult) -> Iterator[str]:
    yield f"{'':<12}{'trades':>8}{'won':>7}{'profit':>12}{'fees':>10}{'in market':>11}{'held instead':>14}"
    for each in result.figures.symbols:
        yield _symbol(each)
    yield (
        f"{result.figures.orders} orders, {result.figures.fills} fills, mean exposure {result.figures.exposure:.1%}, "
        f"equity {result.figures.first_equity:.2f} to {result.figures.last_equity:.2f}"
    )


def _symbol(figures: SymbolFigures) -> str:
    won = f"{figures.won / figures.trades:.0%}" if figures.trades else "-"
    profit = "-" if figures.profit is None else f"{figures.profit:.2f}"
    in_market = "-" if figures.in_market is None else f"{figures.in_market:.0%}"
    instead = "-" if figures.buy_and_hold is None else f"{figures.buy_and_hold:.2%}"
    return (
        f"{figures.symbol:<12}{figures.trades:>8}{won:>7}{profit:>12}{figures.fees:>10.2f}{in_market:>11}{instead:>14}"
    )


def _windows(result: BacktestResult) -> Iterator[str]:
    for window in result.windows:
        params = ", ".join(f"{name}={value}" for name, value in window.params.items())
        yield (
            f"fitted on {window.fitted_from:%Y-%m-%d} to {window.fitted_to:%Y-%m-%d}, "
            f"used to {window.used_to:%Y-%m-%d}: {params} "
            f"({window.best_return:+.2%} there, worst of {window.choices} {window.worst_return:+.2%})"
        )
    if result.windows:
        yield ""


def _notes(result: BacktestResult) -> Iterator[str]:
    bound = result.optimistic
    if bound is not None and bound.account.total_return < result.figures.account.total_return:
        yield "the bound ended lower: it is one for each bar's fills, and other fills led to other trades and limits"
    if result.denials:
        told = ", ".join(f"{rule} {count}" for rule, count in list(result.denials.items())[:6])
        yield f"entries denied or shrunk by the risk layer: {told}"
    if "drawdown" in result.since:
        yield f"RISK__MAX_DRAWDOWN stopped the entries on {result.since['drawdown']:%Y-%m-%d %H:%M}Z, as it would live"
    if result.pace is not None:
        yield (
            f"{result.pace.bars} bars in {result.pace.seconds:.1f} s, {result.pace.forecast_seconds:.1f} of them "
            f"forecasting: {result.pace.bars_per_second:.0f} bars/s with forecasts at hand"
        )
    if result.trained and not result.in_sample:
        yield result.trained
    if result.again is not None:
        yield result.again.told
    if result.halted:
        yield f"halted: {result.halted}"
    if result.problems:
        yield from (f"books: {problem}" for problem in result.problems[:20])
    else:
        yield f"books sound: {result.errors} errors, {result.alerts} alerts"
